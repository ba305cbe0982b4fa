"""Converts Slippi replays to matches: a recorded game, in the integers of PlayerState, Feedback and ControllerInput.

A world that was trained on replays is calibrated, compared and shown on replays. Numbers become integers as everywhere
in this project: scaled, rounded to the nearest (ties to even) and limited to the field's range. A full tilt of a stick
is ±80, as on a GameCube controller, so a world trained on replays needs `quantize --stick-range 80`.

This module takes what peppi-py has parsed; it opens no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from solders.pubkey import Pubkey

from ..engine import frame as blocks
from ..engine.encoding import PLAIN, Encoding
from ..errors import ReplayError
from ..wire import bolt, contract, frame_records, ids
from ..wire.accounts import FRESH
from ..wire.contract import STRUCTS
from . import file
from .players import FULL_TILT

FIRST_FRAME = -123
"""Slippi's number of a game's first frame. Players can act from frame -39 on."""
_ENTITY_TAG = b"awm:replay:v1"
_BUTTONS = {
    "buttons": (0x100, 0x200, 0x400, 0x800, 0x10, 0x1000, 0x1, 0x2),
    "buttons_ext": (0x8, 0x4, 0x40, 0x20),
}
"""Slippi's bit of each button, in the order of the ControllerInput's bits (`contract.BITS`)."""
_SOURCES = bytes((FRESH, FRESH))
_SUBNORMAL, _LONGEST_HITSTUN = 1e-10, 200

Numbers = NDArray[Any]


@dataclass(frozen=True)
class Replay:
    """A game between two players, frame by frame.

    Attributes:
        blocks: one frame block for each frame, of the encoding's size. Each block holds the inputs that led to its
            frame.
        stage: the stage's number.
        notes: sentences that name the parts of this game that a frame block cannot hold.
    """

    blocks: tuple[bytes, ...]
    stage: int
    notes: tuple[str, ...] = ()

    def match_file(self, source: bytes) -> file.MatchFile:
        """The replay as a match file for viewers. No model computed the match, so `verify` refuses it.

        Args:
            source: the replay file's bytes, from which the match's keys are derived.
        """
        entity = Pubkey(sha256(_ENTITY_TAG + source).digest())
        session = bolt.component_pda(ids.SESSION_STATE, entity)
        start = frame_records.block_players(self.blocks[0])
        chain_hash = frame_records.genesis(session, ids.ZERO_KEY, self.stage, 0, 0, start)
        records = []
        for number, block in enumerate(self.blocks[1:], 1):
            players, feedback = frame_records.block_players(block), frame_records.block_feedback(block)
            inputs, extra = blocks.block_inputs(block), frame_records.block_extra(block)
            chain_hash = frame_records.advance(chain_hash, number, inputs, _SOURCES, players, feedback, extra)
            records.append(frame_records.record(number, inputs, _SOURCES, self.stage, players, chain_hash, extra))
        return file.build(
            session=session, entity=entity, player1=ids.ZERO_KEY, player2=ids.ZERO_KEY, model=ids.ZERO_KEY,
            cartridge_sha256=bytes(32), seed=0, stage=self.stage, max_frames=0, start_players=start, records=records,
            chain_hash=chain_hash,
        )  # fmt: skip


def convert(game: Any, *, encoding: Encoding = PLAIN, start: int = 0, count: int | None = None) -> Replay:
    """Turns a parsed game into frame blocks.

    Args:
        game: what `peppi_py.read_slippi` returned.
        encoding: the world's encoding, which says what extra feedback its frame blocks have.
        start: how many frames at the beginning are left out.
        count: how many frames follow; None takes all.

    Raises:
        ReplayError: the game has not exactly two players, it is too old to have what a block needs, or it has no frame
            in that range.
    """
    ports = game.frames.ports if game.frames is not None else ()
    if len(ports) != 2:
        raise ReplayError("players of the replay", expected=2, found=len(ports), hint="take a game of one against one")
    rows = _played(game.frames.id.to_numpy())[start : None if count is None else start + count]
    if not len(rows):
        raise ReplayError("frames of the replay", expected="at least one", found=0, hint="a smaller --start")
    stage = game.start.stage
    low, high = STRUCTS["FrameBlock"]("stage").engine or (0, 255)
    if not low <= stage <= high:
        raise ReplayError("stage of the replay", expected=f"{low}..{high}", found=stage)
    leaders = [port.leader for port in ports]
    # a damaged file's numbers may be beyond every range: each is cut to its field's, without NumPy's warning
    with np.errstate(over="ignore", invalid="ignore"):
        columns = [part(leader, rows) for part in (_state, _feedback, _input) for leader in leaders]
    made = [b"".join(parts) + bytes((stage,)) for parts in zip(*columns, strict=True)]
    if encoding.extra_size:
        extras = [_extra(leader, rows, encoding) for leader in leaders]
        made = [b"".join(parts) for parts in zip(made, *extras, strict=True)]
    notes = ["The second Ice Climber is left out."] if any(port.follower is not None for port in ports) else []
    if encoding.projectiles:
        notes.append("Projectiles are left at 0, as in a match: nothing predicts them.")
    return Replay(tuple(made), stage, tuple(notes))


def _played(numbers: Numbers) -> Numbers:
    """The rows of the frames that count, in order. A rollback records a frame again, and only the last recording
    counts.
    """
    last = {int(number): row for row, number in enumerate(numbers)}
    return np.array([last[number] for number in sorted(last)], np.int64)


def _column(data: Any, name: str, rows: Numbers) -> Numbers:
    found: Numbers = _known(data, name).to_numpy(zero_copy_only=False)[rows]
    return found


def _known(data: Any, name: str) -> Any:
    for part in name.split("."):
        data = getattr(data, part)
        if data is None:
            raise ReplayError(
                f"the replay does not record {name}", expected="a replay of Slippi 3.8 or newer",
                hint="record it with a current version of Slippi",
            )  # fmt: skip
    return data


def _packed(struct: str, columns: dict[str, Numbers]) -> list[bytes]:
    """Returns one record of a struct of docs/formats.md for each row. Each field is scaled, rounded and limited to its
    range.
    """
    fields = STRUCTS[struct].fields
    dtype = np.dtype([(field.name, f"<{field.type[0]}{field.size}") for field in fields])
    out = np.zeros(len(next(iter(columns.values()))), dtype)
    for field in fields:
        if field.name not in columns:
            continue
        limits = np.iinfo(dtype[field.name])
        low, high = field.range or field.engine or (limits.min, limits.max)
        # a value that is not a number counts as 0: the game did not record it
        values = np.nan_to_num(np.asarray(columns[field.name], np.float64)) * (field.scale or 1)
        out[field.name] = np.clip(np.rint(values), low, high)
    return [row.tobytes() for row in out]


def _state(leader: Any, rows: Numbers) -> list[bytes]:
    post = leader.post
    names = {
        "x": "position.x", "y": "position.y", "shield_strength": "shield", "speed_air_x": "velocities.self_x_air",
        "speed_y": "velocities.self_y", "speed_ground_x": "velocities.self_x_ground",
        "speed_attack_x": "velocities.knockback_x", "speed_attack_y": "velocities.knockback_y", "hitlag": "hitlag",
        "stocks": "stocks", "action_state": "state", "jumps_left": "jumps", "character": "character",
    }  # fmt: skip
    columns = {field: _column(post, name, rows) for field, name in names.items()}
    columns["percent"] = _percent(post, rows) >> 8
    columns["state_age"] = np.trunc(_column(post, "state_age", rows))
    columns["facing"] = _column(post, "direction", rows) > 0
    columns["on_ground"] = _column(post, "airborne", rows) == 0
    return _packed("PlayerState", columns)


def _percent(post: Any, rows: Numbers) -> Numbers:
    """Percent in 1/256."""
    whole = np.clip(np.nan_to_num(_column(post, "percent", rows).astype(np.float64)), 0, 999)
    return np.rint(whole * 256).astype(np.int64)


def _feedback(leader: Any, rows: Numbers) -> list[bytes]:
    post = leader.post
    names = {
        "combo_count": "combo_count", "l_cancel": "l_cancel", "hurtbox": "hurtbox_state", "ground": "ground",
        "last_attack": "last_attack_landed",
    }  # fmt: skip
    columns = {field: _column(post, name, rows) for field, name in names.items()}
    columns["percent_frac"] = _percent(post, rows) & 255
    columns["invulnerable"] = columns["hurtbox"] != 0
    return _packed("Feedback", columns)


def _input(leader: Any, rows: Numbers) -> list[bytes]:
    pre = leader.pre
    names = {"stick_x": "joystick.x", "stick_y": "joystick.y", "c_stick_x": "cstick.x", "c_stick_y": "cstick.y"}
    columns = {field: _column(pre, name, rows) * FULL_TILT for field, name in names.items()}
    # a model reads only the stronger trigger; which of the two it was is kept for spectators
    right = _column(pre, "triggers_physical.r", rows) > _column(pre, "triggers_physical.l", rows)
    shoulder = _column(pre, "triggers", rows) * 255
    columns |= {"trigger_l": np.where(right, 0, shoulder), "trigger_r": np.where(right, shoulder, 0)}
    held = _column(pre, "buttons", rows)
    for field, bits in _BUTTONS.items():
        assert len(bits) == len(contract.BITS[field])
        columns[field] = sum(((held & bit) != 0).astype(np.int64) << at for at, bit in enumerate(bits))
    return _packed("ControllerInput", columns)


def _extra(leader: Any, rows: Numbers, encoding: Encoding) -> list[bytes]:
    bits = np.stack([each.to_numpy()[rows] for each in _known(leader.post, "state_flags")], -1).astype(np.uint8)
    return [
        blocks.write_extra(
            {"state_flags": int.from_bytes(row.tobytes(), "little"), "hitstun": int(frames)}
            | dict.fromkeys(blocks.PROJECTILES, 0),
            encoding,
        )
        for row, frames in zip(bits, _hitstun(leader, rows), strict=True)
    ]


def _hitstun(leader: Any, rows: Numbers) -> Numbers:
    """The frames of hitstun that are left: the game's miscellaneous number, which some action states store as integer
    bits.
    """
    raw = _column(leader.post, "misc_as", rows).astype(np.float32)
    tiny = (np.abs(raw) < _SUBNORMAL) & (raw != 0)
    frames: Numbers = np.rint(np.clip(np.where(tiny, raw.view(np.uint32), raw), 0, _LONGEST_HITSTUN))
    return frames
