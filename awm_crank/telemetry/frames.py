"""Converts a landed frame for observers: to compact bytes, to JSON, and to events (a hit, a KO) between two frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ..session.commands import Landed
from ..wire import frame_records, layouts
from ..wire.structs import Fighter

BLOCK_SIZE = layouts.FRAME_BLOCK.size
COMPACT_SIZE = 4 + BLOCK_SIZE + 8
_PLAYER_SIZE = layouts.PLAYER_STATE.size
_INPUT_SIZE = layouts.CONTROLLER_INPUT.size
_PERCENT = layouts.PLAYER_STATE.span("percent")
_STOCKS = layouts.PLAYER_STATE.span("stocks")


def compact(frame: Landed) -> bytes:
    """109 bytes: frame u32 @0, frame block (97 bytes) @4, the chain hash's first 8 bytes @101 (docs/formats.md).

    Extra feedback is left out.
    """
    return frame.frame.to_bytes(4, "little") + frame.block[:BLOCK_SIZE] + frame.chain_hash[:8]


def readable(frame: Landed) -> bytes:
    """A JSON object: frame, stage, players (PlayerState's field names, in game units), and inputs in hex."""
    block = frame.block
    inputs = frame_records.block_inputs(block)
    value = {
        "frame": frame.frame,
        "on_time": frame.on_time,
        "stage": block[layouts.FRAME_BLOCK.offset("stage")],
        "players": [_player(block, n) for n in (0, 1)],
        "inputs": [inputs[:_INPUT_SIZE].hex(), inputs[_INPUT_SIZE:].hex()],
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
    state = block[number * _PLAYER_SIZE : (number + 1) * _PLAYER_SIZE]
    return msgspec.structs.asdict(Fighter.of(layouts.PLAYER_STATE.unpack(state)))
