"""How observers see a landed frame: as compact bytes, as JSON, and as events (a hit, a KO) between two frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ..session.commands import Landed
from ..wire import layouts
from ..wire.accounts import PlayerState

BLOCK_SIZE = layouts.FRAME_BLOCK.size
COMPACT_SIZE = 4 + BLOCK_SIZE + 8
_PLAYER_SIZE = layouts.PLAYER_STATE.size
_PERCENT = layouts.PLAYER_STATE.span("percent")
_STOCKS = layouts.PLAYER_STATE.span("stocks")
_FIXED = {"x", "y", "shield_strength", "speed_air_x", "speed_y", "speed_ground_x", "speed_attack_x", "speed_attack_y"}
"""The fields that count in 1/256 of a game unit."""


def compact(frame: Landed) -> bytes:
    """109 bytes: frame u32 @0, frame block (97 bytes) @4, the chain hash's first 8 bytes @101 (docs/formats.md)."""
    return frame.frame.to_bytes(4, "little") + frame.block + frame.chain_hash[:8]


def readable(frame: Landed) -> bytes:
    """A JSON object: frame, stage, players (PlayerState's field names, in game units), and inputs in hex."""
    block = frame.block
    value = {
        "frame": frame.frame,
        "on_time": frame.on_time,
        "stage": block[96],
        "players": [_player(block, n) for n in (0, 1)],
        "inputs": [block[80:88].hex(), block[88:96].hex()],
        "chain_hash": frame.chain_hash.hex(),
    }
    return msgspec.json.encode(value)


def moments(before: bytes, after: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each hit and KO between two consecutive frame blocks, as its name and its fields.

    `hit`: player, percent, damage. `ko`: player, stocks. Players are 1 and 2.
    """
    for number in (0, 1):
        base = number * _PLAYER_SIZE
        stocks_before, stocks = _read(before, base, _STOCKS), _read(after, base, _STOCKS)
        percent_before, percent = _read(before, base, _PERCENT), _read(after, base, _PERCENT)
        if stocks < stocks_before:
            yield "ko", {"player": number + 1, "stocks": stocks}
        elif percent > percent_before:
            yield "hit", {"player": number + 1, "percent": percent, "damage": percent - percent_before}


def _read(block: bytes, base: int, span: layouts.Span) -> int:
    return int.from_bytes(block[base + span.offset : base + span.offset + span.size], "little")


def _player(block: bytes, number: int) -> dict[str, Any]:
    fields = msgspec.structs.asdict(PlayerState.decode(block[number * _PLAYER_SIZE : (number + 1) * _PLAYER_SIZE]))
    return {name: value / 256 if name in _FIXED else value for name, value in fields.items()}
