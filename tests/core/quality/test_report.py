from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

from backbeat.quality import Suite, check_table, report_html


class Page(HTMLParser):
    """What is on a page: its text, its tags and every address it refers to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_report_stands_alone(flights: Any, suite_of: Callable[..., Suite]) -> None:
    """The page refers to nothing outside, runs nothing, and fits phones and dark rooms."""
    html = report_html(
        check_table(flights, suite_of(("expect_column_to_exist", {"column": "delay"}))), "Flights"
    )

    page = Page(html)
    assert page.addresses == []
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert "url(" not in html
    assert "://" not in html
    assert 'name="viewport"' in html
    assert "prefers-color-scheme: dark" in html


def test_a_report_says_pass_and_fail_in_words(flights: Any, suite_of: Callable[..., Suite]) -> None:
    """Colour is never alone: each row has its word, failures first."""
    suite = suite_of(
        ("expect_column_to_exist", {"column": "delay"}),
        ("expect_column_values_to_be_between", {"column": "distance", "min_value": 0}),
    )

    text = Page(report_html(check_table(flights, suite), "Flights")).text

    table = text[text.index("Found") :]
    assert table.index("fail") < table.index("distance") < table.index("pass")
    assert "1 of 2 expectations failed on 4 rows" in text
    assert "Unexpected: 1 of 4 (25 %)." in text


def test_a_report_escapes_what_data_says(flights: Any, suite_of: Callable[..., Suite]) -> None:
    """A column named like a script is text on the page."""
    evil = "<script>alert('x')</script>"
    suite = suite_of(("expect_column_values_to_not_be_null", {"column": evil}))

    html = report_html(check_table(flights, suite), f"{evil} & more")

    assert "<script" not in html
    assert Page(html).text.count(evil) >= 4
