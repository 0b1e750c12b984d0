"""What `doctor` looks at in a ledger, and when it worries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from backbeat.ledger.migrations import SCHEMA_VERSION
from backbeat.ports import Ledger

__all__ = ["Finding", "examine"]

# what one `backbeat tick` delivers at most: more than that and nobody is sending
_BACKLOG = 1000
_SKEW_SECONDS = 5.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        name: What.
        ok: Whether it is as it should be.
        detail: What was seen, or what to do.
    """

    name: str
    ok: bool
    detail: str


def examine(ledger: Ledger) -> list[Finding]:
    """Look at schema, clock, audit log, outbox and leases.

    Raises:
        BackbeatError: The ledger cannot be read at all.
    """
    facts = ledger.check()
    broken, waiting, stale = facts["audit_broken"], facts["outbox"], facts["leases_ended"]
    entries = f"{facts['audit_entries']} entries, every one with its hash"
    tampered = f"entries whose bytes no longer have their hash: {', '.join(map(str, broken[:10]))}"
    late = f"{waiting} messages wait" + (
        f", {facts['outbox_failing']} of them failed before" if facts["outbox_failing"] else ""
    )
    found = [
        Finding(
            "ledger",
            ok=True,
            detail=f"{facts['ledger']}: schema {facts['schema']} (this backbeat: "
            f"{SCHEMA_VERSION}), {facts['runs']} runs",
        ),
        Finding("audit log", ok=not broken, detail=tampered if broken else entries),
        Finding(
            "outbox",
            ok=waiting <= _BACKLOG,
            detail=late + ("; let cron run `backbeat tick`" if waiting > _BACKLOG else ""),
        ),
        Finding(
            "leases",
            ok=True,
            detail=f"{stale} claims whose worker fell silent; a retry takes each over"
            if stale
            else "none has run out",
        ),
    ]
    if facts.get("now"):
        skew = (datetime.now(UTC) - datetime.fromisoformat(facts["now"])).total_seconds()
        found.append(
            Finding(
                "clock",
                ok=abs(skew) <= _SKEW_SECONDS,
                detail=f"this host is {skew:+.1f} s from the ledger's clock"
                + ("; set it by NTP" if abs(skew) > _SKEW_SECONDS else ""),
            )
        )
    return found
