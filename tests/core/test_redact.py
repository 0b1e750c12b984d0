from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbeat.telemetry import redact

SECRETS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~", min_size=8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://bob:pw@db:5432/x", "postgresql://***@db:5432/x"),
        ("http://token@host/", "http://***@host/"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ("password=hunter2, next", "password=***, next"),
        ('{"api_key": "k-123", "n": 1}', '{"api_key": "***", "n": 1}'),
        ("AWS_SECRET_ACCESS_KEY=abc/def", "AWS_SECRET_ACCESS_KEY=***"),
        ("MLFLOW_TRACKING_TOKEN: xyz", "MLFLOW_TRACKING_TOKEN: ***"),
        ("no file bb1.0a1b.Zx-9_y there", "no file bb1.0a1b.*** there"),
    ],
)
def test_credentials_become_stars(text: str, expected: str) -> None:
    """URLs, headers and assignments lose what is secret and keep what helps."""
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "models:/flights@champion",
        "s3://bucket/key@v1",
        "12 tokens were counted",
        "file:///data/a@b.parquet",
        "mail ana@example.com",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """Model URIs, object names and plain words are left alone."""
    assert redact(text) == text


@given(SECRETS)
def test_no_password_survives_in_a_url(secret: str) -> None:
    """Whatever the password, the text shows none of it."""
    assert redact(f"cannot reach mysql://u:{secret}@h/d") == "cannot reach mysql://***@h/d"


@given(st.text())
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    """A text that went through the redaction is left as it is."""
    once = redact(text)
    assert redact(once) == once
