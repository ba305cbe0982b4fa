"""Values as people read them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.match import words


@given(st.text())
def test_nothing_controls_the_terminal(text: str) -> None:
    """No control, format or line-separating character is left, and printable ASCII stays as it is."""
    cleaned = words.clean(text)
    assert not {unicodedata.category(each) for each in cleaned} & {"Cc", "Cf", "Zl", "Zp", "Cs", "Co"}
    if text.isascii() and text.isprintable():
        assert cleaned == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[2J\x1b[31mred", "\\x1b[2J\\x1b[31mred"),
        ("two\nlines", "two\\nlines"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202edef", "abc\\u202edef"),
        ("\x07\x7f", "\\x07\\x7f"),
        ("Welt № 1 — 世界", "Welt № 1 — 世界"),
    ],
)
def test_what_is_escaped(text: str, cleaned: str) -> None:
    """Escape sequences, bells, text that reverses its direction; letters of all languages stay."""
    assert words.clean(text) == cleaned


def test_lines_may_be_kept() -> None:
    """Text of several lines keeps its line breaks where the caller says so."""
    assert words.clean("a\nb\x1b", keep="\n") == "a\nb\\x1b"


@pytest.mark.parametrize(
    ("lamports", "text"),
    [
        (0, "0 SOL"), (1, "0.000000001 SOL"), (7_100_000_000, "7.1 SOL"), (1_000_000_000, "1 SOL"),
        (12_345_000_000_000, "12,345 SOL"), (-1_500_000_000, "-1.5 SOL"),
    ],
)  # fmt: skip
def test_sol(lamports: int, text: str) -> None:
    """SOL is exact to the lamport, without zeros that say nothing."""
    assert words.sol(lamports) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "-"), (1_795_811_687, "2026-11-27 20:34:47 UTC"), (-1, "1969-12-31 23:59:59 UTC"),
        (2**62, "4,611,686,018,427,387,904 s after 1970"),
    ],
)  # fmt: skip
def test_date(seconds: int, text: str) -> None:
    """A time is a date in UTC; one that no calendar has is a number."""
    assert words.date(seconds) == text


@pytest.mark.parametrize(
    ("frames", "text"), [(0, "0.0 s"), (90, "1.5 s"), (3750, "1 min 2.5 s"), (28800, "8 min 0.0 s")]
)
def test_duration(frames: int, text: str) -> None:
    """Sixty frames are a second."""
    assert words.duration(frames) == text
