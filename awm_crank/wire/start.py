"""Frame 0 of every match: the start position that JOIN sets (docs/formats.md, "Systems")."""

from __future__ import annotations

from .accounts import PlayerState
from .contract import START


def start_players(character1: int, character2: int) -> bytes:
    """Both PlayerStates at frame 0, 64 bytes. Raises LayoutError when a character is not in 0..32."""
    both = zip(START, (character1, character2), strict=True)
    return b"".join(PlayerState(**start, character=character).encode() for start, character in both)
