"""Frame blocks on the model's side: what the backbone reads out of one, and how predictions become the next one.

Integers only (docs/numerics.md, sections 6.1, 7, 9); the block's bytes are docs/formats.md's. Every engine shares this.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from awm_crank.engine.layout import CLASSES, REGRESSION_ROWS
from awm_crank.errors import StateError

BLOCK_SIZE = 97
INPUTS_SIZE = 16
PLAYER = struct.Struct("<iiHHhhhhhHBBBBHBB")
FEEDBACK = struct.Struct("<8B")
CONTROLLER = struct.Struct("<bbbbBBBB")
STAGE_OFFSET = 96
PERCENT_MAX = 999 * 256
POSITION_LIMIT = 2**24

_PLAYER_FIELDS = (
    "x", "y", "percent", "shield_strength", "speed_air_x", "speed_y", "speed_ground_x", "speed_attack_x",
    "speed_attack_y", "state_age", "hitlag", "stocks", "facing", "on_ground", "action_state", "jumps_left", "character",
)  # fmt: skip
_FEEDBACK_FIELDS = (
    "percent_frac",
    "invulnerable",
    "combo_count",
    "l_cancel",
    "hurtbox",
    "ground",
    "last_attack",
    "reserved",
)
_LIMITS: dict[str, tuple[int, int]] = {
    "x": (-POSITION_LIMIT, POSITION_LIMIT),
    "y": (-POSITION_LIMIT, POSITION_LIMIT),
    "percent": (0, 999),
    "shield_strength": (0, 15360),
    "stocks": (0, 4),
    "facing": (0, 1),
    "on_ground": (0, 1),
    "action_state": (0, 399),
    "jumps_left": (0, 7),
    "character": (0, 32),
    "invulnerable": (0, 1),
    "l_cancel": (0, 2),
    "hurtbox": (0, 2),
    "ground": (0, 31),
    "last_attack": (0, 63),
    "reserved": (0, 0),
}


class Player(dict[str, int]):
    """One player's PlayerState and Feedback fields under the names of docs/formats.md."""


def start_block(stage: int, characters: tuple[int, int]) -> bytes:
    """Frame 0 of a session (docs/formats.md, JOIN): both players at their start position, neutral inputs."""
    players = [
        PLAYER.pack(x * 256, 0, 0, 15360, 0, 0, 0, 0, 0, 0, 0, 4, facing, 1, 14, 2, character)
        for x, facing, character in ((-30, 1, characters[0]), (30, 0, characters[1]))
    ]
    return b"".join((*players, bytes(16), bytes(INPUTS_SIZE), bytes((stage,))))


def unpack(block: bytes) -> tuple[Player, Player, int]:
    """Read and check a frame block: both players and the stage.

    Raises StateError naming the field that is out of range (numerics.md, section 9), or the length.
    """
    if len(block) != BLOCK_SIZE:
        raise StateError("frame block length", expected=BLOCK_SIZE, found=len(block), hint="see docs/formats.md")
    players = []
    for i in range(2):
        player = Player(zip(_PLAYER_FIELDS, PLAYER.unpack_from(block, 32 * i), strict=True))
        player.update(zip(_FEEDBACK_FIELDS, FEEDBACK.unpack_from(block, 64 + 8 * i), strict=True))
        for field, (low, high) in _LIMITS.items():
            if not low <= player[field] <= high:
                raise StateError(
                    f"frame block, player {i + 1}, {field}",
                    expected=f"{low}..{high}",
                    found=player[field],
                    hint="resync the session from chain",
                )
        players.append(player)
    stage = block[STAGE_OFFSET]
    if stage > 32:
        raise StateError("frame block, stage", expected="0..32", found=stage, hint="resync the session from chain")
    return players[0], players[1], stage


def controls(raw: bytes) -> list[int]:
    """The 13 raw controller integers of one ControllerInput (8 bytes): sticks + 128, shoulder, A B X Y Z L R D-up."""
    x, y, cx, cy, left, right, buttons, ext = CONTROLLER.unpack(raw)
    held = [buttons >> bit & 1 for bit in range(5)]
    return [x + 128, y + 128, cx + 128, cy + 128, max(left, right), *held, ext >> 2 & 1, ext >> 3 & 1, ext & 1]


def player_raws(player: Player, state_age_as_embed: bool) -> list[int]:
    """The 15 or 16 raw integers of one player that come before the controller's (numerics.md 6.1, 0..15)."""
    p = player
    age = [] if state_age_as_embed else [p["state_age"]]
    return [
        p["percent"] * 256 + p["percent_frac"], p["x"], p["y"], p["shield_strength"], p["speed_air_x"], p["speed_y"],
        p["speed_ground_x"], p["speed_attack_x"], p["speed_attack_y"], *age, p["hitlag"], p["stocks"], p["combo_count"],
        p["facing"], p["invulnerable"], p["on_ground"],
    ]  # fmt: skip


def embedding_rows(player: Player, state_age_as_embed: bool) -> list[int]:
    """The rows that one player takes from its embedding tables, in column order."""
    p = player
    rows = [
        p["action_state"],
        p["jumps_left"],
        p["character"],
        p["l_cancel"],
        p["hurtbox"],
        p["ground"],
        p["last_attack"],
    ]
    return [*rows, min(p["state_age"], 149)] if state_age_as_embed else rows


def _clamp(value: int, low: int, high: int) -> int:
    return low if value < low else high if value > high else value


def decode(
    block: bytes, outputs: Sequence[int], classes: Sequence[int], head_frac: Sequence[int], inputs: bytes
) -> bytes:
    """Turn predictions into the next frame's block (numerics.md, section 7).

    Args:
        block: 97 bytes, frame n.
        outputs: the first 30 head outputs: 24 regressions with `head_frac` fraction bits, 6 binary logits.
        classes: the argmax of each categorical head, p0's six, then p1's six, in the order of `CLASSES`.
        head_frac: 24 fraction bits.
        inputs: 16 bytes, what both players hold in frame n + 1.

    Raises StateError for a block or inputs that are none.
    """
    if len(inputs) != INPUTS_SIZE:
        raise StateError(
            "inputs length", expected=INPUTS_SIZE, found=len(inputs), hint="two ControllerInputs of 8 bytes"
        )
    first, second, stage = unpack(block)
    delta = [(int(outputs[i]) + (1 << head_frac[i] - 1)) >> head_frac[i] for i in range(REGRESSION_ROWS)]
    states, feedbacks = [], []
    for i, p in enumerate((first, second)):
        percent, x, y, shield = delta[4 * i : 4 * i + 4]
        speeds = delta[8 + 5 * i : 13 + 5 * i]
        hitlag, stocks, combo = delta[18 + 3 * i : 21 + 3 * i]
        facing, invulnerable, on_ground = (int(outputs[k] > 0) for k in range(24 + 3 * i, 27 + 3 * i))
        action, jumps, l_cancel, hurtbox, ground, last_attack = (int(c) for c in classes[6 * i : 6 * i + 6])
        total = _clamp(p["percent"] * 256 + p["percent_frac"] + percent, 0, PERCENT_MAX)
        states.append(
            PLAYER.pack(
                _clamp(p["x"] + x, -76800, 76800),
                _clamp(p["y"] + y, -51200, 76800),
                total >> 8,
                _clamp(p["shield_strength"] + shield, 0, 15360),
                *(_clamp(p[name] + d, -32768, 32767) for name, d in zip(_PLAYER_FIELDS[4:9], speeds, strict=True)),
                min(65535, p["state_age"] + 1) if action == p["action_state"] else 0,
                _clamp(hitlag, 0, 50),
                _clamp(stocks, 0, 4),
                facing,
                on_ground,
                action,
                jumps,
                p["character"],
            )
        )
        feedbacks.append(
            FEEDBACK.pack(total & 255, invulnerable, _clamp(combo, 0, 50), l_cancel, hurtbox, ground, last_attack, 0)
        )
    return b"".join((*states, *feedbacks, bytes(inputs), bytes((stage,))))


def categorical_rows() -> list[tuple[str, int, int]]:
    """(name, first row, end row) of the twelve categorical heads in the `heads` matrix, p0's first."""
    rows = []
    at = REGRESSION_ROWS + 6
    for player in ("p0", "p1"):
        for name, classes in CLASSES.items():
            rows.append((f"{player}_{name}", at, at + classes))
            at += classes
    return rows
