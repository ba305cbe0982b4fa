"""Writes small replays in Slippi's format, version 3.8, so that tests need no file of a real game.

A `.slp` file is one UBJSON object: `raw` holds the events (each a command byte and a payload of a fixed size), and
`metadata` may be empty.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

FIRST_FRAME = -123
_SIZES = {0x36: 420, 0x37: 63, 0x38: 76, 0x39: 2, 0x3A: 8, 0x3C: 8}
"""Bytes of each event's payload in version 3.8: start, pre-frame, post-frame, end, frame start, frame bookend."""


@dataclass
class Fighter:
    """The record of one player in one frame. Sticks are -1..1, the trigger is 0..1, speeds are units a frame."""

    x: float = 0.0
    y: float = 0.0
    stick: tuple[float, float] = (0.0, 0.0)
    c_stick: tuple[float, float] = (0.0, 0.0)
    trigger: float = 0.0
    buttons: int = 0
    character: int = 1
    action: int = 14
    facing: float = 1.0
    percent: float = 0.0
    shield: float = 60.0
    last_attack: int = 0
    combo: int = 0
    stocks: int = 4
    age: float = 1.0
    flags: bytes = bytes(5)
    misc: float = 0.0
    airborne: bool = False
    ground: int = 1
    jumps: int = 2
    l_cancel: int = 0
    hurtbox: int = 0
    speeds: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    """In Slippi's order: own x in the air, own y, knockback x, knockback y, own x on the ground."""
    hitlag: float = 0.0


@dataclass
class Frame:
    """One frame: its number, and each player by port."""

    number: int
    fighters: dict[int, Fighter] = field(default_factory=dict)


def replay(frames: Iterable[Frame], *, stage: int = 32, ports: tuple[int, ...] = (0, 2)) -> bytes:
    """The bytes of a `.slp` file."""
    events = bytes((0x35, 1 + 3 * len(_SIZES)))
    events += b"".join(struct.pack(">BH", command, size) for command, size in _SIZES.items())
    events += _event(0x36, _start(stage, ports))
    for frame in frames:
        events += _event(0x3A, struct.pack(">iI", frame.number, 7))
        events += b"".join(_event(0x37, _pre(frame.number, port, each)) for port, each in frame.fighters.items())
        events += b"".join(_event(0x38, _post(frame.number, port, each)) for port, each in frame.fighters.items())
        events += _event(0x3C, struct.pack(">ii", frame.number, frame.number))
    events += _event(0x39, bytes((2, 255)))
    return b"{U\x03raw[$U#l" + struct.pack(">i", len(events)) + events + b"U\x08metadata{}}"


def _event(command: int, payload: bytes) -> bytes:
    assert len(payload) == _SIZES[command], (hex(command), len(payload))
    return bytes((command,)) + payload


def _start(stage: int, ports: tuple[int, ...]) -> bytes:
    info = bytearray(312)
    struct.pack_into(">HI", info, 0x0E, stage, 480)
    struct.pack_into(">f", info, 0x30, 1.0)
    for port in range(4):
        at = 0x60 + 0x24 * port
        info[at : at + 3] = bytes((2, 0 if port in ports else 3, 4))
        struct.pack_into(">fff", info, at + 0x18, 1.0, 1.0, 1.0)
    return bytes((3, 8, 0, 0)) + bytes(info) + struct.pack(">I", 7) + bytes(32 + 64 + 4)


def _pre(number: int, port: int, each: Fighter) -> bytes:
    return struct.pack(
        ">iBBIHfff4ffIHffbf", number, port, 0, 7, each.action, each.x, each.y, each.facing, *each.stick, *each.c_stick,
        each.trigger, each.buttons, each.buttons, each.trigger, 0.0, 0, each.percent,
    )  # fmt: skip


def _post(number: int, port: int, each: Fighter) -> bytes:
    return struct.pack(
        ">iBBBHfffffBBBBf5sfBHBBB5ff", number, port, 0, each.character, each.action, each.x, each.y, each.facing,
        each.percent, each.shield, each.last_attack, each.combo, 0, each.stocks, each.age, each.flags, each.misc,
        each.airborne, each.ground, each.jumps, each.l_cancel, each.hurtbox, *each.speeds, each.hitlag,
    )  # fmt: skip
