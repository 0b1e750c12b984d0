"""Checks that fired, as people read them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from backbeat.drift._wording import CHECK, measured, shown, source, statistic
from backbeat.drift.verdict import Decision, Finding

__all__ = ["Fired", "fired", "sentence"]


@dataclass(frozen=True, kw_only=True)
class Fired:
    """A check that fired, with everything that it measured beyond a limit.

    Args:
        check: Its name for people.
        sentence: What it found, empty where the card or the numbers say so already.
        measures: Each number with its limit; none where it is no number: a column that is gone.
        source: Where the limits come from.
    """

    check: str
    sentence: str
    measures: tuple[str, ...]
    source: str

    @property
    def numbers(self) -> str:
        """What was measured, the limits, and where those come from."""
        return f"{'; '.join(self.measures)}, from {self.source}" if self.measures else ""


def fired(
    findings: tuple[Finding, ...], decision: Decision, *, family: str = "", reason: str = ""
) -> tuple[Fired, ...]:
    """Checks that fired, for people.

    Args:
        findings: The checks.
        decision: What `decide` returned.
        family: What the column's values are.
        reason: What is said already and need not be said again.
    """
    found: list[Fired] = []
    for finding in findings:
        name = statistic(finding)
        value = measured(finding, finding.value, family)
        limit = measured(finding, finding.threshold, family)
        one = Fired(
            check=CHECK[finding.check],
            sentence=_said(finding, family, reason),
            measures=(f"{name} {value}, limit {limit}",) if name else (),
            source=source(finding, decision),
        )
        last = found[-1] if found else None
        if last and not one.sentence and (last.check, last.source) == (one.check, one.source):
            found[-1] = replace(last, measures=last.measures + one.measures)
        else:
            found.append(one)
    return tuple(found)


def sentence(text: str) -> str:
    """Untrusted words as a sentence."""
    line = shown(text, 400).rstrip(".")
    return f"{line[:1].upper()}{line[1:]}." if line else ""


def _said(finding: Finding, family: str, reason: str) -> str:
    """Its sentence, where that says more than the card, the number and its limit."""
    told = finding.sentence.rstrip(".").casefold() == reason.rstrip(".").casefold()
    if told or (family and finding.source == "history"):
        return ""
    return sentence(finding.sentence)
