"""A quality result as one HTML page that needs nothing from anywhere else."""

from __future__ import annotations

from html import escape

from backbeat.quality.result import ExpectationResult, QualityResult

__all__ = ["report_html"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --paper: #fff; --line: #d8dde5; --dim: #566072;
  --pass: #176639; --fail: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --paper: #14181f; --line: #343c49;
  --dim: #9aa5b6; --pass: #6fd69a; --fail: #ff9a92; } }
body { margin: 0 auto; max-width: 64rem; padding: 1.5rem 1rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; }
table { width: 100%; border-collapse: collapse; margin-top: 1rem; }
th, td { text-align: left; vertical-align: top; padding: .5rem; border-top: 1px solid var(--line); }
th { color: var(--dim); font-weight: 600; }
th, td:nth-child(3) { overflow-wrap: break-word; }
code, .dim { color: var(--dim); font-size: .85rem; }
.pass { color: var(--pass); font-weight: 700; }
.fail { color: var(--fail); font-weight: 700; }
@media (max-width: 40rem) {
  thead { display: none; }
  tr, td { display: block; }
  tr { border-top: 1px solid var(--line); padding: .5rem 0; }
  td { border: 0; padding: .1rem 0; }
}
"""


def report_html(result: QualityResult, title: str) -> str:
    """Write a result as a self-contained page, failures first; dark where the reader's system is.

    Args:
        result: The result.
        title: The page's title and heading, plain text.

    Returns:
        HTML without scripts or outside addresses; everything from the data is escaped.
    """
    ordered = (*result.failures, *(item for item in result.results if item.success))
    rows = "\n".join(map(_row, ordered))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p><span class="{_word(result.success)}">{_word(result.success)}</span> {escape(result.summary)}</p>
<table>
<thead><tr><th>Result</th><th>Expectation</th><th>Column</th><th>Found</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</body>
</html>
"""


def _row(item: ExpectationResult) -> str:
    word = _word(item.success)
    return (
        f'<tr><td><span class="{word}">{word}</span> <span class="dim">{item.severity}</span></td>'
        f"<td>{escape(item.description)}<br><code>{escape(item.type)}</code></td>"
        f"<td>{escape(item.column or '')}</td><td>{escape(item.detail)}</td></tr>"
    )


def _word(success: bool) -> str:
    return "pass" if success else "fail"
