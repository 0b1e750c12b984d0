from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from backbeat.drift import Decision, Profile, build_profile, decide, report_html, report_markdown

HOSTILE = "<script>alert('x')</script>\"&|`"
Sides = tuple[Decision, Profile, Profile]
VOID = {"meta", "line", "rect", "polyline", "br"}


class Page(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


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
            "wind": pa.array(rng.normal(size=size), mask=rng.random(size) < 0.02 + 0.4 * moved),
            "price": np.where(rng.random(size) < 0.5, 1.0, 2.0) * (1_000 if moved else 1),
        }

    reference = build_profile(ds.dataset(pa.table({**table(5_000, moved=0), "gone": [1] * 5_000})))
    current = build_profile(ds.dataset(pa.table(table(900, moved=1))), edges_from=reference)
    return decide(reference, current), reference, current


@pytest.fixture(scope="module")
def page(sides: Sides) -> str:
    return report_html(*sides, title=f"Flights {HOSTILE}", subtitle=HOSTILE)


def test_untrusted_names_stay_text(page: str) -> None:
    """Column names, categories and titles from the data never become markup."""
    seen = Page(page)
    assert "script" not in seen.tags
    assert not seen.open
    assert not [each for each in seen.attributes if each[1].startswith("on")]
    assert seen.text.count(HOSTILE) >= 4
    assert "<script" not in page


def test_the_page_needs_nothing_else(page: str) -> None:
    """One file: no outside address, no script, nothing to load."""
    seen = Page(page)
    assert not {"script", "link", "img", "iframe", "object"} & set(seen.tags)
    assert not [each for each in seen.attributes if each[1] in ("src", "href", "xlink:href")]
    assert "://" not in page
    assert "@import" not in page
    assert "url(" not in page


def test_the_verdict_stands_first_in_a_sentence(page: str, sides: Sides) -> None:
    """The verdict and its sentence come before the table and the drawings."""
    text = " ".join(Page(page).text)
    assert text.index(sides[0].sentence) < text.index("Adjusted p")
    assert sides[0].verdict == "broken"


def test_every_column_that_moved_is_drawn_with_a_title(page: str, sides: Sides) -> None:
    """Each drawing has a role, a label and a title; columns without two sides have none."""
    decision = sides[0]
    noticed = [c for c in decision.columns if c.verdict != "stable" and c.fired != "schema"]
    svgs = re.findall(r"<svg .*?</svg>", page, flags=re.DOTALL)
    assert len(svgs) == len(noticed)
    for svg in svgs:
        assert 'role="img"' in svg
        assert "aria-label=" in svg
        assert "<title>" in svg


def test_dark_mode_phones_and_readers_are_served(page: str) -> None:
    """The page follows the dark setting, scales to a phone and labels its tables."""
    assert "prefers-color-scheme: dark" in page
    assert "width=device-width" in page
    assert page.count("<caption>") == page.count("<table")
    assert 'lang="en"' in page


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


def test_markdown_is_short_and_escaped(sides: Sides) -> None:
    """The text for the Dagster UI ranks the columns and lets no name break its table."""
    text = report_markdown(sides[0])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(sides[0].columns)
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 7 for row in rows)
    assert "<script" not in text
    assert "broken" in text.splitlines()[0]


def test_an_empty_batch_has_a_report() -> None:
    """A batch without rows is reported, not an error."""
    reference = build_profile(ds.dataset(pa.table({"x": [1.0, 2.0], "c": ["a", "b"]})))
    nothing = pa.table({"x": pa.array([], pa.float64()), "c": pa.array([], pa.string())})
    current = build_profile(ds.dataset(nothing), edges_from=reference)
    decision = decide(reference, current)
    assert "The batch is empty" in report_html(decision, reference, current, title="Nothing")
    assert "insufficient data" in report_markdown(decision)
