"""Which addresses this process may connect to: model servers, webhooks, whatever a caller names.

An address is looked at twice: as it is written, before anything is opened (`require`), and as the
name server resolves it, at the moment of connecting (`require_ip`), so that a name which points
elsewhere a second later leads nowhere new.
"""

from __future__ import annotations

from backbeat.addresses.environment import VARIABLE, rules_from_environment
from backbeat.addresses.pattern import Pattern
from backbeat.addresses.rules import AddressRules

__all__ = ["VARIABLE", "AddressRules", "Pattern", "rules_from_environment"]
