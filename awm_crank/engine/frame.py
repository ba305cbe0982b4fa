"""Frame blocks on the model's side: unpacks one for the backbone, and makes the next one from predictions.

Integers only (docs/numerics.md, sections 6.1, 7, 9); the block's bytes are docs/formats.md's. Every engine shares this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from awm_crank.engine.encoding import AXES, PLAIN, PROJECTILE_VALUES, STATE_FLAGS, THRESHOLD, Encoding
from awm_crank.engine.layout import BINARY_ROWS, CLASSES, EMBEDDINGS, REGRESSION_ROWS
from awm_crank.errors import StateError
from awm_crank.wire import layouts
from awm_crank.wire.contract import OUTPUTS, STRUCTS
from awm_crank.wire.start import start_players

BLOCK_SIZE = layouts.FRAME_BLOCK.size
"""Bytes of a frame block without extra feedback (`Encoding.block_size` counts it in)."""
PLAYER = layouts.PLAYER_STATE.body
FEEDBACK = layouts.FEEDBACK.body
CONTROLLER = layouts.CONTROLLER_INPUT.body
_PLAYERS, _FEEDBACK, _INPUTS, _STAGE = (
    layouts.FRAME_BLOCK.span(name) for name in ("players", "feedback", "inputs", "stage")
)
INPUTS_SIZE = _INPUTS.size
STAGE_OFFSET = _STAGE.offset

_FIELDS = (*STRUCTS["PlayerState"].fields, *STRUCTS["Feedback"].fields)
SPEEDS = OUTPUTS["velocity"]
_LIMITS = {field.name: field.engine for field in _FIELDS if field.engine}
_CLAMPS = {field.name: field.clamp for field in _FIELDS if field.clamp}
_STAGES = STRUCTS["FrameBlock"]("stage").engine or (0, 255)
PERCENT_MAX = _CLAMPS["percent"][1] * 256
"""The highest percent, in the 1/256 that PlayerState.percent and Feedback.percent_frac hold together."""
_OLDEST = EMBEDDINGS["state_age_embed"][0] - 1


HITSTUN_MAX = 255
PROJECTILES = tuple(f"projectile_{name}" for name in ("x", "y", "count"))
assert len(PROJECTILES) == PROJECTILE_VALUES


class Player(dict[str, int]):
    """One player's PlayerState and Feedback fields under the names of docs/formats.md, and its extra feedback:
    `state_flags` (bit i is flag i), `hitstun` (frames), `projectile_x`, `projectile_y`, `projectile_count` (× 256).
    """


def start_block(stage: int, characters: tuple[int, int], extra_size: int = 0) -> bytes:
    """Frame 0 of a session (docs/formats.md, JOIN): both players at their start position, neutral inputs.

    `extra_size` is the number of bytes of extra feedback for each player (all zero at frame 0).
    """
    neutral = bytes(INPUTS_SIZE)
    block = layouts.FRAME_BLOCK.pack((start_players(*characters), bytes(_FEEDBACK.size), neutral, stage))
    return block + bytes(2 * extra_size)


def _read_extra(data: bytes, encoding: Encoding) -> dict[str, int]:
    """One player's extra feedback, `encoding.extra_size` bytes."""
    out, at = {}, 0
    if encoding.state_flags:
        out["state_flags"] = int.from_bytes(data[: STATE_FLAGS // 8], "little")
        at = STATE_FLAGS // 8
    if encoding.hitstun:
        out["hitstun"] = data[at]
        at += 1
    if encoding.projectiles:
        for i, name in enumerate(PROJECTILES):
            out[name] = int.from_bytes(data[at + 2 * i : at + 2 * i + 2], "little", signed=True)
    return out


def write_extra(player: Mapping[str, int], encoding: Encoding) -> bytes:
    """One player's extra feedback (`encoding.extra_size` bytes) from the fields that `Player` names."""
    out = b""
    if encoding.state_flags:
        out += player["state_flags"].to_bytes(STATE_FLAGS // 8, "little")
    if encoding.hitstun:
        out += bytes((player["hitstun"],))
    if encoding.projectiles:
        out += b"".join(player[name].to_bytes(2, "little", signed=True) for name in PROJECTILES)
    return out


def unpack(block: bytes, encoding: Encoding = PLAIN) -> tuple[Player, Player, int]:
    """Reads and checks a frame block of `encoding.block_size` bytes. Returns both players and the stage.

    Raises StateError, which names the field that is out of range (numerics.md, section 9), or the wrong length.
    """
    if len(block) != encoding.block_size:
        raise StateError(
            "frame block length", expected=encoding.block_size, found=len(block),
            hint="hand in a block of this cartridge's own size (docs/formats.md)",
        )  # fmt: skip
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
        at = BLOCK_SIZE + encoding.extra_size * i
        player.update(_read_extra(block[at : at + encoding.extra_size], encoding))
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


def controls(raw: bytes, stick_range: int = 0) -> list[int]:
    """The 13 raw controller integers of one ControllerInput (8 bytes): four stick axes, shoulder, A B X Y Z L R D-up.

    A stick axis is 0..255 (v + 128). If the encoding has a `stick_range`, it is 0..2 · `stick_range` (v + range,
    clamped).
    """
    x, y, cx, cy, left, right, buttons, ext = CONTROLLER.unpack(raw)
    sticks = [x, y, cx, cy]
    if stick_range:
        sticks = [min(max(v, -stick_range), stick_range) + stick_range for v in sticks]
    else:
        sticks = [v + 128 for v in sticks]
    held = [buttons >> bit & 1 for bit in range(5)]
    return [*sticks, max(left, right), *held, ext >> 2 & 1, ext >> 3 & 1, ext & 1]


def spans(stick_range: int) -> list[int]:
    """The span of each of the five axes of `controls`: its value at full tilt."""
    return [2 * stick_range or 255] * (AXES - 1) + [255]


def conditions(before: bytes, inputs: bytes, encoding: Encoding) -> list[int]:
    """The raw integers of ctrl_proj's columns (numerics.md, section 7).

    Args:
        before: 16 bytes, what both players held in frame n.
        inputs: 16 bytes, what they hold in frame n + 1.
        encoding: the model's.
    """
    size, stick_range = CONTROLLER.size, encoding.stick_range
    now = [controls(inputs[size * i : size * (i + 1)], stick_range) for i in (0, 1)]
    out = [*now[0], *now[1]]
    if encoding.press_events:
        for i, each in enumerate(now):
            old = controls(before[size * i : size * (i + 1)])
            out += [int(new and not was) for new, was in zip(each[AXES:], old[AXES:], strict=True)]
    if encoding.ctrl_threshold_features:
        part, whole = THRESHOLD
        for each in now:
            out += [int(whole * v > part * span) for v, span in zip(each[:AXES], spans(stick_range), strict=True)]
    return out


def player_raws(player: Mapping[str, int], encoding: Encoding) -> list[int]:
    """The raw integers of one player's floats that come before the controller's (numerics.md 6.1)."""
    p = player
    age = [] if encoding.state_age_as_embed else [p["state_age"]]
    hitstun = [p["hitstun"]] if encoding.hitstun else []
    projectiles = [p[name] for name in PROJECTILES] if encoding.projectiles else []
    flags = [p["state_flags"] >> bit & 1 for bit in range(STATE_FLAGS)] if encoding.state_flags else []
    return [
        p["percent"] * 256 + p["percent_frac"], p["x"], p["y"], p["shield_strength"], p["speed_air_x"], p["speed_y"],
        p["speed_ground_x"], p["speed_attack_x"], p["speed_attack_y"], *age, p["hitlag"], p["stocks"], *hitstun,
        p["combo_count"], *projectiles, p["facing"], p["invulnerable"], p["on_ground"], *flags,
    ]  # fmt: skip


def embedding_rows(player: Mapping[str, int], encoding: Encoding) -> list[int]:
    """The rows that one player uses from its embedding tables, in column order."""
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
    return [*rows, min(p["state_age"], _OLDEST)] if encoding.state_age_as_embed else rows


def _output_rows() -> dict[tuple[str, int], range]:
    """Maps each (group, player) to that player's rows of `heads`."""
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
    block: bytes, outputs: Sequence[int], classes: Sequence[int], head_frac: Sequence[int], inputs: bytes,
    encoding: Encoding = PLAIN,
) -> bytes:  # fmt: skip
    """Turn predictions into the next frame's block (numerics.md, section 7).

    Args:
        block: frame n, `encoding.block_size` bytes.
        outputs: the outputs of heads other than categorical ones, in the order of `encoding.number_rows`: 24
            regressions with `head_frac` fraction bits, 6 binary logits, then hitstun's 2 regressions and the 80 state
            flags' logits.
        classes: the argmax of each categorical head, p0's six, then p1's six, in the order of `CLASSES`.
        head_frac: fraction bits of the regressions, 24 or 26 (`encoding.regression_rows`).
        inputs: 16 bytes, what both players hold in frame n + 1.
        encoding: the model's.

    Raises StateError if the block or the inputs are invalid.
    """
    if len(inputs) != INPUTS_SIZE:
        raise StateError(
            "inputs length", expected=INPUTS_SIZE, found=len(inputs), hint="two ControllerInputs of 8 bytes"
        )
    first, second, stage = unpack(block, encoding)
    delta = [(int(outputs[i]) + (1 << head_frac[i] - 1)) >> head_frac[i] for i in range(REGRESSION_ROWS)]
    states, feedbacks, extras = [], [], []
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
            **{name: min(max(p[name] + d, -32768), 32767) for name, d in zip(SPEEDS, speeds, strict=True)},
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
        extras.append(write_extra(p | _extra_after(outputs, head_frac, i, encoding), encoding))
    return b"".join((*states, *feedbacks, bytes(inputs), bytes((stage,)), *extras))


def _extra_after(outputs: Sequence[int], head_frac: Sequence[int], player: int, encoding: Encoding) -> dict[str, int]:
    """The predicted extra feedback of a player. Projectiles are not predicted, so they stay unchanged."""
    out, at = {}, REGRESSION_ROWS + BINARY_ROWS
    if encoding.hitstun:
        frac = head_frac[REGRESSION_ROWS + player]
        value = (int(outputs[at + player]) + (1 << frac - 1)) >> frac
        out["hitstun"] = min(max(value, 0), HITSTUN_MAX)
        at += 2
    if encoding.state_flags:
        at += STATE_FLAGS * player
        out["state_flags"] = sum(int(outputs[at + bit] > 0) << bit for bit in range(STATE_FLAGS))
    return out


def categorical_rows() -> list[tuple[str, int, int]]:
    """(name, first row, end row) of the twelve categorical heads in the `heads` matrix, p0's first."""
    rows = []
    at = REGRESSION_ROWS + BINARY_ROWS
    for player in ("p0", "p1"):
        for name, classes in CLASSES.items():
            rows.append((f"{player}_{name}", at, at + classes))
            at += classes
    return rows
