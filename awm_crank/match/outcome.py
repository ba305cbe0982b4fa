"""Who won a match, and how long it took."""

from __future__ import annotations

from typing import Any

from ..engine.position import out_of_stocks
from ..wire.accounts import FrameRecord, PlayerState
from .file import MatchFile

FRAMES_PER_SECOND = 60
PLAYER1 = "player 1"
PLAYER2 = "player 2"
DRAW = "draw"


def winner(players: bytes, frame: int, max_frames: int) -> str | None:
    """The winner of a match that is over: `player 1`, `player 2`, `draw`, or None if nobody has won.

    A player without stocks has lost. At the time limit, the player with more stocks wins; with equal stocks, the one
    with the lower percentage wins, as in Melee. A match that a player ended earlier has no winner.

    Args:
        players: both PlayerStates of the last frame, 64 bytes.
        frame: the last frame's number.
        max_frames: the time limit in frames; 0 for none.
    """
    if not out_of_stocks(players) and not 0 < max_frames <= frame:
        return None
    one, two = (PlayerState.decode(players[at : at + 32]) for at in (0, 32))
    first, second = (one.stocks, -one.percent), (two.stocks, -two.percent)
    if not one.stocks and not two.stocks:
        return DRAW
    return DRAW if first == second else PLAYER1 if first > second else PLAYER2


def summary(match: MatchFile) -> dict[str, Any]:
    """The figures that a command prints about a match it has written: `frames`, `duration_s`, `winner`,
    `chain_hash`.
    """
    meta = match.meta
    return {
        "frames": meta.frames,
        "duration_s": round(meta.frames / FRAMES_PER_SECOND, 3),
        "winner": winner(last_players(match), meta.frames, meta.max_frames),
        "chain_hash": meta.chain_hash,
    }


def last_players(match: MatchFile) -> bytes:
    """Both PlayerStates of a match's last frame, 64 bytes."""
    return FrameRecord.decode(match.records[-1]).players if match.records else match.start_players
