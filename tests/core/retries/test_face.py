"""The room's public face."""

from __future__ import annotations

from backbeat import retries


def test_all_names_are_there_and_sorted() -> None:
    """Each name of `__all__` loads, and nothing else is promised."""
    assert retries.__all__ == sorted(
        retries.__all__, key=lambda name: (not name[0].isupper(), name)
    )
    assert all(getattr(retries, name) for name in retries.__all__)
    assert set(retries.__all__) == set(retries._HOMES)
