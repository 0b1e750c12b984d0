from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from backbeat.drift import (
    ColumnDrift,
    Decision,
    Profile,
    build_profile,
    decide,
    report_html,
    report_markdown,
)
from backbeat.drift.verdict import BandPoint, DriftVerdict, Finding, MovedBin, SegmentDrift

HOSTILE = "<script>alert('x')</script>\"&|`"
REVERSED = "cost\u202eegnahc\u2066\u200b"
LONG = "a_very_long_name_" * 500
Sides = tuple[Decision, Profile, Profile]
VOID = {"meta", "line", "rect", "path", "circle", "polyline", "br"}


class Page(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.within: dict[str, list[str]] = {}
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        for tag in self.open:
            self.within.setdefault(tag, []).append(data)

    def values(self, attribute: str) -> list[str]:
        return [found[attribute] or "" for _, found in self.elements if attribute in found]


@pytest.fixture(scope="module")
def sides() -> Sides:
    rng = np.random.default_rng(30)

    def table(size: int, *, moved: int) -> dict[str, Any]:
        return {
            "distance": rng.lognormal(6 + 0.6 * moved, 0.7, size),
            "hour": rng.integers(5, 24, size),
            "flag": rng.random(size) < 0.2 + 0.3 * moved,
            "ids": rng.integers(10**8, 10**9, size).astype(str),
            "carrier": rng.choice(["UA", HOSTILE if moved else "B6", "DL"], size),
            HOSTILE: rng.normal(moved, 1, size),
            REVERSED: rng.choice([REVERSED, "b"], size, p=[0.5 + 0.4 * moved, 0.5 - 0.4 * moved]),
            LONG: rng.normal(moved, 1, size),
            "wind": pa.array(rng.normal(size=size), mask=rng.random(size) < 0.02 + 0.4 * moved),
            "price": np.where(rng.random(size) < 0.5, 1.0, 2.0) * (1_000 if moved else 1),
        }

    reference = build_profile(ds.dataset(pa.table({**table(5_000, moved=0), "gone": [1] * 5_000})))
    current = build_profile(ds.dataset(pa.table(table(900, moved=1))), edges_from=reference)
    return decide(reference, current), reference, current


@pytest.fixture(scope="module")
def told(sides: Sides) -> Sides:
    """The same with a past, segments, a muted column and one that waits."""
    decision, reference, current = sides
    past = [0.02, None, None, 0.031, 0.027] * 8
    history = tuple(
        BandPoint(
            partition=f"{HOSTILE} {at}",
            value=value,
            verdict="drifted" if value == 0.031 else "stable",
        )
        for at, value in enumerate(past)
    )
    waits = Finding(
        check="distribution",
        statistic="ks",
        value=0.3,
        threshold=0.04,
        source="history",
        sentence="its ks is 0.3, where 0.04 is ordinary",
    )
    changes: dict[str, dict[str, Any]] = {
        "flag": {"muted_until": "2026-07-01"},
        "hour": {"verdict": "stable", "fired": "none", "findings": (waits,)},
        "wind": {"severity": "high"},
    }
    columns = tuple(
        column.model_copy(update={"history": history, "band": 0.04, **changes.get(column.name, {})})
        for column in decision.columns
    )
    segments = (
        SegmentDrift(
            segment=f"origin={HOSTILE}", verdict="drifted", rows=70, columns=("distance",)
        ),
        SegmentDrift(segment="origin=JFK", verdict="stable", rows=1_200),
    )
    decision = decision.model_copy(
        update={
            "columns": columns,
            "segments": segments,
            "calibrated": True,
            "history_batches": 40,
            "severity": "high",
            "partition": f"2026-06-18 {HOSTILE}",
            "reference_title": f"flights 7 {HOSTILE}",
            "findings": (waits.model_copy(update={"check": "volume", "statistic": "rows"}),),
        }
    )
    return decision, reference, current


@pytest.fixture(scope="module", params=["sides", "told"])
def page(request: pytest.FixtureRequest) -> str:
    return report_html(
        *request.getfixturevalue(request.param), title=f"Flights {HOSTILE}", subtitle=HOSTILE
    )


@pytest.fixture(scope="module")
def full(told: Sides) -> Page:
    return Page(report_html(*told, title="Flights"))


def test_untrusted_names_stay_text(page: str) -> None:
    """Column names, categories, partitions and titles from the data never become markup."""
    seen = Page(page)
    assert "script" not in seen.tags
    assert not seen.open
    assert not [name for _, found in seen.elements for name in found if name.startswith("on")]
    assert seen.text.count(HOSTILE) >= 4
    assert "<script" not in page


def test_no_name_turns_or_hides_the_text_around_it(page: str) -> None:
    """Bidi controls and zero-width characters are shown by number, and very long names are cut."""
    assert not re.search("[\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069]", page)
    assert "cost[U+202E]egnahc" in page
    assert LONG not in page
    assert max(len(text) for text in Page(page).within["th"]) <= 80


def test_the_page_needs_nothing_else(page: str) -> None:
    """One file: no outside address, no script, nothing to load, and a policy that forbids it."""
    seen = Page(page)
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(seen.tags)
    assert not seen.values("src")
    assert not seen.values("xlink:href")
    assert all(address.startswith("#") for address in seen.values("href"))
    assert "://" not in page
    assert "@import" not in page
    assert "url(" not in page
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    assert policy in seen.values("content")


def test_the_verdict_stands_first_in_a_sentence(told: Sides, full: Page) -> None:
    """Verdict, severity and what was compared come before all columns and drawings."""
    header = " ".join(full.within["header"])
    assert "Broken" in header
    assert "high severity" in header
    assert f"Look at {told[0].alarms[0]} first" in header
    for said in ("2026-06-18", "900 rows", "flights 7", "5,000 rows", "on 40 past batches"):
        assert said in header
    assert full.tags.index("header") < full.tags.index("main") < full.tags.index("svg")


def test_every_heading_is_in_order_and_every_landmark_there(page: str) -> None:
    """One first heading, none skipped; header, navigation, main and footer, and a way past them."""
    seen = Page(page)
    levels = [int(tag[1]) for tag in seen.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    landmarks = Counter(tag for tag in seen.tags if tag in {"header", "nav", "main", "footer"})
    assert landmarks == {"header": 1, "nav": 1, "main": 1, "footer": 1}
    assert next(found for tag, found in seen.elements if tag == "a")["href"] == "#main"
    assert ("html", {"lang": "en"}) in seen.elements


def test_ids_are_unique_and_everything_that_is_referred_to_exists(page: str) -> None:
    """Links, labels and descriptions point at ids that exist once."""
    seen = Page(page)
    ids = seen.values("id")
    assert len(ids) == len(set(ids))
    referred = [address[1:] for address in seen.values("href")]
    referred += seen.values("aria-labelledby") + seen.values("aria-describedby")
    assert set(referred) <= set(ids)


def test_every_drawing_says_its_numbers(page: str) -> None:
    """Each drawing is an image with a title, and its numbers stand in a text."""
    drawings = re.findall(r"<svg .*?</svg>", page, flags=re.DOTALL)
    assert drawings
    for svg in drawings:
        assert 'role="img"' in svg
        spoken = re.search(r"<desc[^>]*>(.+?)</desc>", svg) or re.search(r"<title>(.+?)</t", svg)
        assert spoken
        assert re.search(r"\d", spoken[1])


def test_tables_can_be_read_aloud(page: str) -> None:
    """Header cells say what they are of; a table that scrolls can be reached by the keyboard."""
    seen = Page(page)
    assert all(found.get("scope") in ("row", "col") for tag, found in seen.elements if tag == "th")
    regions = [found for _, found in seen.elements if found.get("role") == "region"]
    assert regions
    assert all(found["tabindex"] == "0" and found["aria-label"] for found in regions)


def test_dark_mode_phones_and_paper_are_served(page: str) -> None:
    """The page follows the dark setting, scales to a phone, shows the focus and prints."""
    for needed in ("prefers-color-scheme: dark", "width=device-width", ":focus-visible", "print"):
        assert needed in page


def test_text_can_be_told_from_what_it_stands_on(page: str) -> None:
    """Every colour of text has a contrast of 4.5 to 1 or more, in light and in dark."""
    modes = re.findall(r":root \{(.*?)\}", page, flags=re.DOTALL)
    light, dark, paper = (dict(re.findall(r"--([\w-]+): (#\w+)", mode)) for mode in modes)
    pairs = [(text, on) for text in ("ink", "soft") for on in ("page", "card")]
    pairs += [(name, f"{name}-back") for name in ("stable", "drifted", "broken", "unsure")]
    pairs += [("ink", f"{name}-back") for name in ("stable", "drifted", "broken", "unsure")]
    for colors in (light, dark, paper):
        for text, on in pairs:
            assert _contrast(colors[text], colors[on]) >= 4.5, (text, on)
        assert _contrast(colors["cur"], colors["card"]) >= 3
        assert _contrast(colors["cur"], colors["ref"]) >= 2


def test_columns_are_grouped_by_what_to_do(told: Sides, full: Page) -> None:
    """Alarms, what waits, what is muted and what is unsure have a heading each, in that order."""
    headings = [text for text in full.within["h2"] if text.strip()]
    assert headings == [
        "The batch as a whole",
        "What needs a look",
        "Moved, but no alarm",
        "Muted",
        "Too little data to tell",
        "Segments",
        "All columns",
    ]
    text = " ".join(full.text)
    muted = text[text.rindex("Muted") : text.rindex("Too little data to tell")]
    assert "muted until 2026-07-01" in muted
    assert "flag" in muted


def test_the_table_lists_all_columns(told: Sides, full: Page) -> None:
    """Every column has a row with its limit, whatever its verdict."""
    rows = [text.strip() for text in full.within["th"]]
    for column in told[0].columns:
        if len(column.name) < 80 and column.name != REVERSED:
            assert column.name in rows


def test_a_gap_in_the_history_is_a_gap_in_the_line(told: Sides) -> None:
    """Batches that could not be measured break the line and are counted in the text."""
    html = report_html(*told, title="Flights")
    line = re.search(r'<svg[^>]*aria-labelledby="c1ht".*?</svg>', html, flags=re.DOTALL)
    assert line
    # eight gaps of two batches: the line is cut into nine stretches, the first a single point
    assert line[0].count('class="past"') == 8
    assert line[0].count('class="lone"') == 1
    assert line[0].count('class="now"') == 1
    assert line[0].count('class="alarm"') == 8
    assert 'class="band"' in line[0]
    assert "16 not measured; 8 raised an alarm; ordinary up to 0.040" in line[0]


def test_a_finding_shows_its_limit_and_where_that_comes_from() -> None:
    """Value and limit are written in the column's unit, with the source of the limit in words."""
    times = [8 * 3600 + 60 * at for at in range(100)]
    profile = build_profile(ds.dataset(pa.table({"departs": pa.array(times, pa.time32("s"))})))
    found = Finding(
        check="location",
        statistic="q50",
        value=50_000.0,
        threshold=47_400.0,
        source="history",
        sentence="its q50 is 5e+04",
    )
    column = _column("departs", "time", "drifted").model_copy(update={"findings": (found,)})
    decision = _decision("drifted", column).model_copy(update={"history_batches": 31})
    text = " ".join(Page(report_html(decision, profile, profile, title="Times")).text)
    assert "median 13:53, limit 13:10, from its own history (31 batches)" in text
    assert "5e+04" not in text


@pytest.mark.parametrize(
    ("verdict", "heading"),
    [
        ("broken", "What needs a look"),
        ("drifted", "What needs a look"),
        ("insufficient_data", "Too little data to tell"),
        ("stable", "All columns"),
    ],
)
def test_each_verdict_has_its_page(verdict: DriftVerdict, heading: str) -> None:
    """Word, sign and first section follow the verdict, with or without a history."""
    profile = build_profile(ds.dataset(pa.table({"x": np.arange(200.0)})))
    decision = _decision(verdict, _column("x", "number", verdict))
    html = report_html(decision, profile, profile, title="One column")
    seen = Page(html)
    assert next(text for text in seen.within["h2"] if text.strip()) == heading
    assert f'class="verdict {verdict}"' in html
    assert verdict.replace("_", " ") in " ".join(seen.within["header"]).lower()
    assert "not calibrated yet" in " ".join(seen.within["header"])
    # a stable column is drawn in the open, as there is nothing else to see
    assert seen.tags.count("svg") == 1
    assert ("details", {"open": None}) in seen.elements or verdict != "stable"


def test_two_hundred_columns_stay_readable_and_small() -> None:
    """With every column drifted, most cards are folded and the file is below a megabyte."""
    rng = np.random.default_rng(2)
    names = [f"feature_{at:03d}_of_the_last_month" for at in range(200)]

    def table(moved: float) -> pa.Table:
        return pa.table({name: rng.lognormal(3 + moved, 1, 500) for name in names})

    reference = build_profile(ds.dataset(table(0)))
    current = build_profile(ds.dataset(table(1)), edges_from=reference)
    decision = decide(reference, current)
    history = tuple(
        BandPoint(partition=f"2026-{at:03d}", value=float(value), verdict="stable")
        for at, value in enumerate(rng.random(60) / 20)
    )
    decision = decision.model_copy(
        update={
            "columns": tuple(
                column.model_copy(update={"history": history, "band": 0.05})
                for column in decision.columns
            )
        }
    )
    html = report_html(decision, reference, current, title="Wide")
    assert len(html.encode()) < 1_000_000
    seen = Page(html)
    assert seen.tags.count("article") == 200
    assert html.index("<details>") < html.index('id="c9"')
    assert "192 more columns" in html
    assert len(seen.values("id")) == len(set(seen.values("id")))


def test_ten_thousand_batches_of_history_make_no_large_page(told: Sides) -> None:
    """Only the last batches of a long history are drawn."""
    decision, reference, current = told
    long = tuple(BandPoint(partition=str(at), value=0.01) for at in range(10_000))
    columns = tuple(c.model_copy(update={"history": long}) for c in decision.columns)
    decision = decision.model_copy(update={"columns": columns})
    assert len(report_html(decision, reference, current, title="Long")) < 150_000


def test_a_column_that_nobody_could_measure_lately_has_a_page() -> None:
    """A history that ends in gaps, and a batch without an effect, are drawn as far as they go."""
    profile = build_profile(ds.dataset(pa.table({"x": np.arange(200.0)})))
    gaps = [BandPoint(partition=str(at), value=None) for at in range(60)]
    history = (BandPoint(partition="first", value=0.0), *gaps)
    column = _column("x", "number", "stable").model_copy(
        update={"history": history, "effect": None}
    )
    html = report_html(_decision("stable", column), profile, profile, title="Gaps")
    assert "nothing in 30 past batches, now not measured" in html
    assert "·" * 14 in report_markdown(_decision("stable", column))


def test_drawn_shares_add_up_to_the_profile(sides: Sides) -> None:
    """The drawing's bins are unions of the profile's: their shares sum to one on both sides."""
    from backbeat.drift._bins import category_bins, equal_share_bins, equal_width_bins

    _, reference, current = sides
    old, new = reference.columns, current.columns
    for cut in (equal_share_bins, equal_width_bins):
        for name in ("distance", "hour", "flag", HOSTILE, "wind", "price"):
            bins = cut(old[name], new[name])
            assert len(bins) <= 23
            assert sum(piece.reference for piece in bins) == pytest.approx(1)
            assert sum(piece.current for piece in bins) == pytest.approx(1)
    bins = category_bins(old["carrier"], new["carrier"])
    assert sum(piece.current for piece in bins) == pytest.approx(1)


def test_markdown_is_short_and_escaped(told: Sides) -> None:
    """The text for the Dagster UI ranks the columns and lets no name break its table."""
    text = report_markdown(told[0])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(told[0].columns)
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 9 for row in rows)
    assert "<script" not in text
    assert "broken, high severity" in text.splitlines()[0]
    assert "\u202e" not in text
    assert len(text) < 8_000


def test_markdown_draws_the_history_as_text(told: Sides) -> None:
    """The last batches are block characters, with a dot where nothing was measured."""
    text = report_markdown(told[0])
    assert re.search(r"\| [▁-█·]{13}█ \|", text)
    assert "··" in text
    assert "calibrated on 40 past batches" in text


def test_an_empty_batch_has_a_report() -> None:
    """A batch without rows is reported, not an error."""
    reference = build_profile(ds.dataset(pa.table({"x": [1.0, 2.0], "c": ["a", "b"]})))
    nothing = pa.table({"x": pa.array([], pa.float64()), "c": pa.array([], pa.string())})
    current = build_profile(ds.dataset(nothing), edges_from=reference)
    decision = decide(reference, current)
    assert "The batch is empty" in report_html(decision, reference, current, title="Nothing")
    assert "insufficient data" in report_markdown(decision)


def _column(name: str, family: str, verdict: DriftVerdict) -> ColumnDrift:
    return ColumnDrift(
        name=name,
        family=family,
        verdict=verdict,
        fired="distribution",
        reason="its values moved",
        effect=0.2,
        moved=(MovedBin(label="a", low=None, high=None, category="a", reference=0.1, current=0.3),),
    )


def _decision(verdict: DriftVerdict, *columns: ColumnDrift) -> Decision:
    return Decision(
        verdict=verdict,
        q=0.05,
        effect_floor=0.05,
        smallest_effect=0.05,
        power=0.8,
        reference_rows=100,
        current_rows=100,
        columns=columns,
    )


def _contrast(one: str, two: str) -> float:
    """Contrast ratio of two colours (WCAG 2.2)."""
    light, dark = sorted((_luminance(one), _luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    digits = color[1:] if len(color) == 7 else "".join(digit * 2 for digit in color[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
