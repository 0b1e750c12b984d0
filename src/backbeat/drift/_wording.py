"""How a report says things: untrusted text made harmless, and words for the verdict's codes."""

from __future__ import annotations

import re
from typing import Final

from backbeat.drift._units import written
from backbeat.drift.rules import Against
from backbeat.drift.verdict import Check, Decision, DriftVerdict, Finding, Severity

__all__ = [
    "CHECK",
    "SEVERITY",
    "SIGN",
    "WORD",
    "compared",
    "headline",
    "limits",
    "measured",
    "moved",
    "ordinal",
    "p_value",
    "share",
    "shown",
    "source",
    "statistic",
]

SIGN: Final[dict[DriftVerdict, str]] = {
    "stable": "✓",
    "drifted": "≠",
    "broken": "✕",
    "insufficient_data": "?",
}
WORD: Final[dict[DriftVerdict, str]] = {
    "stable": "stable",
    "drifted": "drifted",
    "broken": "broken",
    "insufficient_data": "insufficient data",
}
SEVERITY: Final[dict[Severity, str]] = {"none": "", "low": "●○○", "medium": "●●○", "high": "●●●"}
CHECK: Final[dict[Check, str]] = {
    "schema": "Schema",
    "missing": "Missing values",
    "range": "Range",
    "units": "Units",
    "location": "Location",
    "distribution": "Distribution",
    "conditional": "Given other columns",
    "cardinality": "Number of categories",
    "freshness": "Freshness",
    "volume": "Number of rows",
    "power": "Too little data",
    "none": "None",
}
_AGAINST: Final[dict[Against, str]] = {
    "pinned": "the pinned profile",
    "rolling": "the batches before it",
    "weekday": "the same weekdays before it",
    "last_good": "the last good batch",
}
_STATISTIC = {"ks": "effect (Kolmogorov–Smirnov)", "chi2": "effect (chi-square)"}  # noqa: RUF001
# what nobody sees, or what turns the letters after it round: controls, bidi marks and overrides,
# zero-width spaces, tags, halves of a pair
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_VALUE = re.compile(r"^(q\d+|mean|median|minimum|maximum|smallest|largest)\b")
_NAME_LETTERS = 80
_SENTENCE_LETTERS = 600
_THOUSAND = 1000
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}


def shown(text: str, letters: int = _NAME_LETTERS) -> str:
    """Untrusted text on one line: hidden and direction-changing characters by their number, cut.

    Args:
        text: A name or a category, as the data has it.
        letters: Its longest form; beyond it the middle is left out, as names often differ last.
    """
    cut = text if len(text) <= letters * 4 else f"{text[: letters * 2]}…{text[-letters * 2 :]}"
    line = re.sub(r"[ \t\r\n\f\v]+", " ", cut)
    safe = _UNSEEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", line)
    if len(safe) <= letters:
        return safe
    tail = letters // 3
    return f"{safe[: letters - tail - 1]}…{safe[-tail:]}"


def share(value: float) -> str:
    """A share as a percentage with one decimal."""
    if 0 < value < 0.0005:  # noqa: PLR2004  where 0.1% would round to nothing
        return "<0.1%"
    return f"{value:.1%}"


def p_value(value: float | None) -> str:
    """A p-value with two digits, nothing where there is none."""
    if value is None:
        return ""
    return "<1e-9" if value < 1e-9 else f"{value:.2g}"  # noqa: PLR2004  smaller says no more


def moved(reference: float, current: float) -> str:
    """What became of a bin's share, without the bin's name."""
    if not reference:
        return f"is new: {share(current)} of values"
    if not current:
        return f"is gone: it was {share(reference)} of values"
    verb = "rose" if current > reference else "fell"
    points = f"{(current - reference) * 100:+.1f}".replace("-", "\u2212")
    return f"{verb} from {share(reference)} to {share(current)} ({points}\u00a0points)"


def measured(finding: Finding, value: float, family: str) -> str:
    """A finding's value or limit in its own unit."""
    if "share" in finding.statistic:
        return share(value)
    if _VALUE.match(finding.statistic) and "ratio" not in finding.statistic:
        return written(family, value)
    return f"{value:,.0f}" if abs(value) >= _THOUSAND else f"{value:.3g}"


def statistic(finding: Finding) -> str:
    """What a finding measured, empty where that is no number: a column that is gone."""
    if finding.check == "schema":
        return ""
    quantile = re.fullmatch(r"q(\d+)", finding.statistic)
    if quantile:
        return "median" if quantile[1] == "50" else f"{quantile[1]}% quantile"
    return _STATISTIC.get(finding.statistic, shown(finding.statistic))


def source(finding: Finding, decision: Decision) -> str:
    """Where a finding's limit comes from."""
    if finding.source == "rule":
        return "a declared rule"
    if finding.source == "level":
        return f"the level q = {decision.q:g}"
    batches = decision.history_batches
    return f"its own history ({batches} batches)" if batches else "its own history"


def ordinal(place: int) -> str:
    """1st, 2nd, 3rd, 4th."""
    teen = place % 100 // 10 == 1
    return f"{place}{'th' if teen else _ENDINGS.get(place % 10, 'th')}"


def headline(decision: Decision) -> str:
    """The verdict in one sentence, in which no name is so long that it hides the rest."""
    sentence = decision.sentence
    for column in decision.columns:
        if len(column.name) > _NAME_LETTERS:
            sentence = sentence.replace(column.name, shown(column.name))
    return shown(sentence, _SENTENCE_LETTERS)


def compared(decision: Decision) -> str:
    """What the batch was held against."""
    title = shown(decision.reference_title)
    return title or _AGAINST[decision.against]


def limits(decision: Decision) -> str:
    """Where the limits come from, and which fixed ones hold besides."""
    fixed = f"effect floor {decision.effect_floor:g}, level {decision.q:g}"
    if not decision.calibrated:
        return f"not calibrated yet; {fixed}"
    return f"calibrated on {decision.history_batches} past batches; {fixed}"
