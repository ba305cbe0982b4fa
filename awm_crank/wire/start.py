"""The position that JOIN sets, and so frame 0 of every match (docs/formats.md, "Systems")."""

from __future__ import annotations

from .accounts import PlayerState

_X = 30 * 256
_SHIELD = 60 * 256
_WAIT = 14


def start_players(character1: int, character2: int) -> bytes:
    """Both PlayerStates (64 bytes) at frame 0. Raises LayoutError when a character is out of 0..32."""
    return b"".join(
        PlayerState(
            x=x, shield_strength=_SHIELD, stocks=4, facing=facing, on_ground=1, action_state=_WAIT,
            jumps_left=2, character=character,
        ).encode()
        for x, facing, character in ((-_X, 1, character1), (_X, 0, character2))
    )  # fmt: skip
