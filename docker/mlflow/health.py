# ruff: noqa: INP001 - a program of an image, not a package
"""Ends with 0 where a page answers 200: what a slim image has for curl.

python health.py URL
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

__all__ = ["answers"]


def answers(url: str) -> bool:
    """Whether a GET of the page answers 200 within five seconds."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - a URL of this container
            return bool(answer.status == 200)  # noqa: PLR2004
    except (urllib.error.URLError, TimeoutError):
        return False


if __name__ == "__main__":
    sys.exit(0 if answers(sys.argv[1]) else 1)
