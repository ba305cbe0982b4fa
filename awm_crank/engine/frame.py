"""Frame blocks on the model's side: what the backbone reads out of one, and how predictions become the next one.

Integers only (docs/numerics.md, sections 6.1, 7, 9); the block's bytes are docs/formats.md's. Every engine shares this.
"""

from __future__ import annotations

from collections.abc import Sequence

from awm_crank.engine.layout import BINARY_ROWS, CLASSES, EMBEDDINGS, REGRESSION_ROWS
from awm_crank.errors import StateError
from awm_crank.wire import layouts
from awm_crank.wire.contract import OUTPUTS, STRUCTS
from awm_crank.wire.start import start_players

BLOCK_SIZE = layouts.FRAME_BLOCK.size
PLAYER = layouts.PLAYER_STATE.body
FEEDBACK = layouts.FEEDBACK.body
CONTROLLER = layouts.CONTROLLER_INPUT.body
_PLAYERS, _FEEDBACK, _INPUTS, _STAGE = (
    layouts.FRAME_BLOCK.span(name) for name in ("players", "feedback", "inputs", "stage")
)
INPUTS_SIZE = _INPUTS.size
STAGE_OFFSET = _STAGE.offset

_FIELDS = (*STRUCTS["PlayerState"].fields, *STRUCTS["Feedback"].fields)
_SPEEDS = OUTPUTS["velocity"]
_LIMITS = {field.name: field.engine for field in _FIELDS if field.engine}
_CLAMPS = {field.name: field.clamp for field in _FIELDS if field.clamp}
_STAGES = STRUCTS["FrameBlock"]("stage").engine or (0, 255)
PERCENT_MAX = _CLAMPS["percent"][1] * 256
"""The highest percent, in the 1/256 that PlayerState.percent and Feedback.percent_frac hold together."""
_OLDEST = EMBEDDINGS["state_age_embed"][0] - 1


class Player(dict[str, int]):
    """One player's PlayerState and Feedback fields under the names of docs/formats.md."""


def start_block(stage: int, characters: tuple[int, int]) -> bytes:
    """Frame 0 of a session (docs/formats.md, JOIN): both players at their start position, neutral inputs."""
    neutral = bytes(INPUTS_SIZE)
    return layouts.FRAME_BLOCK.pack((start_players(*characters), bytes(_FEEDBACK.size), neutral, stage))


def unpack(block: bytes) -> tuple[Player, Player, int]:
    """Read and check a frame block: both players and the stage.

    Raises StateError naming the field that is out of range (numerics.md, section 9), or the length.
    """
    if len(block) != BLOCK_SIZE:
        raise StateError("frame block length", expected=BLOCK_SIZE, found=len(block), hint="see docs/formats.md")
    players = []
    for i in range(2):
        player = Player(zip(layouts.PLAYER_STATE.names, PLAYER.unpack_from(block, PLAYER.size * i), strict=True))
        feedback = FEEDBACK.unpack_from(block, _FEEDBACK.offset + FEEDBACK.size * i)
        player.update(zip(layouts.FEEDBACK.names, feedback, strict=True))
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
    low, high = _STAGES
    if not low <= stage <= high:
        raise StateError(
            "frame block, stage", expected=f"{low}..{high}", found=stage, hint="resync the session from chain"
        )
    return players[0], players[1], stage


def block_inputs(block: bytes, player: int | None = None) -> bytes:
    """The inputs that led to a block: one player's 8 bytes, or both players' 16."""
    size = CONTROLLER.size
    if player is None:
        return block[_INPUTS.offset : _INPUTS.offset + _INPUTS.size]
    return block[_INPUTS.offset + size * player : _INPUTS.offset + size * (player + 1)]


def block_stocks(block: bytes) -> tuple[int, int]:
    """Both players' stocks in a block."""
    at = layouts.PLAYER_STATE.offset("stocks")
    return block[at], block[PLAYER.size + at]


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
    return [*rows, min(p["state_age"], _OLDEST)] if state_age_as_embed else rows


def _output_rows() -> dict[tuple[str, int], range]:
    """(group, player) to the rows of `heads` that are that player's."""
    rows, at = {}, 0
    for group, names in OUTPUTS.items():
        for player in (0, 1):
            rows[group, player] = range(at, at + len(names))
            at += len(names)
    return rows


_ROWS = _output_rows()


def _clamp(field: str, value: int) -> int:
    low, high = _CLAMPS[field]
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
        percent, x, y, shield = (delta[k] for k in _ROWS["continuous", i])
        speeds = [delta[k] for k in _ROWS["velocity", i]]
        hitlag, stocks, combo = (delta[k] for k in _ROWS["dynamics", i])
        facing, invulnerable, on_ground = (int(outputs[k] > 0) for k in _ROWS["binary", i])
        action, jumps, l_cancel, hurtbox, ground, last_attack = (int(c) for c in classes[6 * i : 6 * i + 6])
        total = min(max(p["percent"] * 256 + p["percent_frac"] + percent, 0), PERCENT_MAX)
        after = {
            "x": _clamp("x", p["x"] + x),
            "y": _clamp("y", p["y"] + y),
            "percent": total >> 8,
            "shield_strength": _clamp("shield_strength", p["shield_strength"] + shield),
            **{name: min(max(p[name] + d, -32768), 32767) for name, d in zip(_SPEEDS, speeds, strict=True)},
            "state_age": min(65535, p["state_age"] + 1) if action == p["action_state"] else 0,
            "hitlag": _clamp("hitlag", hitlag),
            "stocks": _clamp("stocks", stocks),
            "facing": facing,
            "on_ground": on_ground,
            "action_state": action,
            "jumps_left": jumps,
            "character": p["character"],
            "percent_frac": total & 255,
            "invulnerable": invulnerable,
            "combo_count": _clamp("combo_count", combo),
            "l_cancel": l_cancel,
            "hurtbox": hurtbox,
            "ground": ground,
            "last_attack": last_attack,
            "reserved": 0,
        }
        states.append(PLAYER.pack(*(after[name] for name in layouts.PLAYER_STATE.names)))
        feedbacks.append(FEEDBACK.pack(*(after[name] for name in layouts.FEEDBACK.names)))
    return b"".join((*states, *feedbacks, bytes(inputs), bytes((stage,))))


def categorical_rows() -> list[tuple[str, int, int]]:
    """(name, first row, end row) of the twelve categorical heads in the `heads` matrix, p0's first."""
    rows = []
    at = REGRESSION_ROWS + BINARY_ROWS
    for player in ("p0", "p1"):
        for name, classes in CLASSES.items():
            rows.append((f"{player}_{name}", at, at + classes))
            at += classes
    return rows
