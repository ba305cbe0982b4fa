"""Who won a match."""

from __future__ import annotations

import pytest

from awm_crank.match import outcome
from awm_crank.wire import layouts
from awm_crank.wire.start import start_players


def players(one: tuple[int, int], two: tuple[int, int]) -> bytes:
    """Both PlayerStates with these stocks and percentages."""
    state = bytearray(start_players(1, 2))
    for at, (stocks, percent) in ((0, one), (32, two)):
        state[at + layouts.PLAYER_STATE.offset("stocks")] = stocks
        begin = at + layouts.PLAYER_STATE.offset("percent")
        state[begin : begin + 2] = percent.to_bytes(2, "little")
    return bytes(state)


@pytest.mark.parametrize(
    ("one", "two", "frame", "max_frames", "winner"),
    [
        ((4, 0), (4, 0), 100, 0, None),
        ((4, 0), (0, 50), 100, 0, "player 1"),
        ((0, 0), (1, 150), 100, 600, "player 2"),
        ((0, 0), (0, 0), 100, 600, "draw"),
        ((2, 0), (1, 0), 100, 600, None),
        ((2, 90), (1, 0), 600, 600, "player 1"),
        ((2, 90), (2, 30), 600, 600, "player 2"),
        ((2, 30), (2, 30), 600, 600, "draw"),
    ],
)
def test_winner(one: tuple[int, int], two: tuple[int, int], frame: int, max_frames: int, winner: str | None) -> None:
    """A player without stocks loses. At the time limit stocks decide, then percentages.

    An unfinished match has no winner.
    """
    assert outcome.winner(players(one, two), frame, max_frames) == winner
