"""Contracts: what a table's reader may rely on, checked at both ends of a step."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backbeat.contract.changes import Change, Difference, compare
    from backbeat.contract.checking import check, require
    from backbeat.contract.declared import contract_of
    from backbeat.contract.document import Column, DataContract, RowCount, contract_from_json
    from backbeat.contract.findings import Checked, Finding
    from backbeat.contract.stored import load_contract

__all__ = [
    "Change",
    "Checked",
    "Column",
    "DataContract",
    "Difference",
    "Finding",
    "RowCount",
    "check",
    "compare",
    "contract_from_json",
    "contract_of",
    "load_contract",
    "require",
]

_HOMES = {
    "Change": "backbeat.contract.changes",
    "Checked": "backbeat.contract.findings",
    "Column": "backbeat.contract.document",
    "DataContract": "backbeat.contract.document",
    "Difference": "backbeat.contract.changes",
    "Finding": "backbeat.contract.findings",
    "RowCount": "backbeat.contract.document",
    "check": "backbeat.contract.checking",
    "compare": "backbeat.contract.changes",
    "contract_from_json": "backbeat.contract.document",
    "contract_of": "backbeat.contract.declared",
    "load_contract": "backbeat.contract.stored",
    "require": "backbeat.contract.checking",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'backbeat.contract' has no attribute {name!r}")
