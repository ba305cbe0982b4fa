"""Frame 0."""

from __future__ import annotations

import struct

import pytest

from awm_crank.errors import LayoutError
from awm_crank.wire.start import start_players


def test_start_position() -> None:
    """JOIN's position: x -30 and +30, facing each other, on ground, 4 stocks, shield 60, 2 jumps, action 14."""
    layout = struct.Struct("<iiHHhhhhhHBBBBHBB")
    players = start_players(2, 20)
    assert layout.unpack(players[:32]) == (-7680, 0, 0, 15360, 0, 0, 0, 0, 0, 0, 0, 4, 1, 1, 14, 2, 2)
    assert layout.unpack(players[32:]) == (7680, 0, 0, 15360, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 14, 2, 20)


def test_character_out_of_range() -> None:
    """A character that the accounts cannot hold raises a typed error."""
    with pytest.raises(LayoutError, match="character"):
        start_players(2, 33)
