"""How a result's values are shown to people."""

from __future__ import annotations

import pytest

from awm_crank.cli import shown


@pytest.mark.parametrize(
    ("name", "found", "label", "text"),
    [
        ("rent_lamports", 7_100_000_000, "rent", "7.1 SOL"),
        ("lamports", 5, "balance", "0.000000005 SOL"),
        ("created_at", 0, "created at", "-"),
        ("bytes_sent", 1234567, "bytes sent", "1,234,567"),
        ("winner", None, "winner", "-"),
        ("ready", True, "ready", "yes"),
        ("name", "a\x1b[0m", "name", "a\\x1b[0m"),
    ],
)
def test_value(name: str, found: object, label: str, text: str) -> None:
    """The end of a value's name decides its unit."""
    assert shown.value(name, found) == (label, text)
