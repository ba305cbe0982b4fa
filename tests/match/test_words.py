"""Values as people read them."""

from __future__ import annotations

import pytest

from awm_crank.match import words


@pytest.mark.parametrize(
    ("lamports", "text"),
    [
        (0, "0 SOL"), (1, "0.000000001 SOL"), (7_100_000_000, "7.1 SOL"), (1_000_000_000, "1 SOL"),
        (12_345_000_000_000, "12,345 SOL"), (-1_500_000_000, "-1.5 SOL"),
    ],
)  # fmt: skip
def test_sol(lamports: int, text: str) -> None:
    """SOL is exact to the lamport, without trailing zeros."""
    assert words.sol(lamports) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "-"), (1_795_811_687, "2026-11-27 20:34:47 UTC"), (-1, "1969-12-31 23:59:59 UTC"),
        (2**62, "4,611,686,018,427,387,904 s after 1970"),
    ],
)  # fmt: skip
def test_date(seconds: int, text: str) -> None:
    """A time is shown as a date in UTC, or as a number if no calendar has it."""
    assert words.date(seconds) == text


@pytest.mark.parametrize(
    ("frames", "text"), [(0, "0.0 s"), (90, "1.5 s"), (3750, "1 min 2.5 s"), (28800, "8 min 0.0 s")]
)
def test_duration(frames: int, text: str) -> None:
    """Sixty frames are a second."""
    assert words.duration(frames) == text
