"""A policy cartridge: PolicyMLP in 8-bit integers, and the step from the last K frames to a controller.

The format is in docs/cartridge.md ("Policy cartridge"), the arithmetic in docs/numerics.md ("Policies"). Everything is
integers, so the same frames, seed and world give the same controller on every machine.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CartridgeError
from ..wire import contract, layouts
from . import frame
from .encoding import AXES, EMBEDDINGS, PLAIN, Encoding
from .layout import align

Ints = NDArray[np.int64]

HEADER = layouts.Layout(contract.STRUCTS["PolicyHeader"])
MAGIC = b"AWMPOLI\0"
ANALOG, BUTTONS = 5, 8
F_OUT = 16
"""Fraction bits of the heads' outputs."""
S_IN = 16
"""The shift of the frame vector's multipliers."""
MAX_INPUTS = 1 << 16
"""K · frame_dim: with more columns a sum could leave 64 bits."""
MULTIPLIER_BITS = 22
_HIGH = 32767
_LIMITED = (
    "format_version", "header_size", "flags", "whole_frames", "sampled", "f_in", "f_hidden", "f_trunk", "s_hidden",
    "s_trunk", "s_heads", "context_len", "hidden", "trunk",
)  # fmt: skip
_ROW_GAINS = 1 << contract.BITS["flags"].index("row_gains")
_DRAW_BITS = 12
_NEUTRAL = bytes(layouts.CONTROLLER_INPUT.size)


@dataclass(frozen=True)
class Format:
    """The network's sizes and number formats, as a policy cartridge's header holds them."""

    flags: Encoding
    whole_frames: bool
    sampled: bool
    bias: int
    context_len: int
    hidden: int
    trunk: int
    f_in: int
    f_hidden: int
    f_trunk: int
    s_hidden: int
    s_trunk: int
    s_heads: int
    tables: Mapping[str, tuple[int, int]]
    """Rows and columns of each embedding table, those that are not there left out."""

    @property
    def frame_dim(self) -> int:
        """Columns of one frame's vector."""
        columns = sum(self.tables[name][1] for name in self.flags.player_embeddings)
        return 2 * (self.flags.player_floats + columns) + self.tables["stage_embed"][1]

    def arrays(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Every array in the order of the file: its type and shape."""
        out: dict[str, tuple[str, tuple[int, ...]]] = {"frame_mul": ("<i4", (len(self.flags.float_names),))}
        out |= {name: ("<i2", self.tables[name]) for name in EMBEDDINGS if name in self.tables}
        layers = {
            "hidden": (self.hidden, self.context_len * self.frame_dim), "trunk": (self.trunk, self.hidden),
            "heads": (ANALOG + BUTTONS, self.trunk),
        }  # fmt: skip
        for name, shape in layers.items():
            out |= {f"{name}.w": ("<i1", shape), f"{name}.mul": ("<i4", shape[:1]), f"{name}.b": ("<i4", shape[:1])}
        return out


class PolicyCartridge:
    """A parsed policy cartridge. `data` is the whole file, `sha256` its hash, `arrays` its numbers as int64."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sha256 = hashlib.sha256(data).digest()
        header = _header(data)
        self.name = header["name"].rstrip(b"\0").decode()
        self.version: int = header["version"]
        self.total_params: int = header["total_params"]
        self.format = _format(header)
        self.arrays: dict[str, Ints] = {}
        at = HEADER.size
        for name, (kind, shape) in self.format.arrays().items():
            at = align(at)
            size = int(np.prod(shape)) * int(kind[2])
            if at + size > len(data):
                raise _bad(f"array {name}", f"{size} bytes at offset {at}", f"a file of {len(data)}")
            self.arrays[name] = np.frombuffer(data, kind, int(np.prod(shape)), at).reshape(shape).astype(np.int64)
            at += size
        if at != len(data):
            raise _bad("file length for its shape", at, len(data))
        for name in ("hidden", "trunk", "heads"):
            mul = self.arrays[f"{name}.mul"]
            if mul.min() < 0 or mul.max() > 1 << MULTIPLIER_BITS:
                raise _bad(f"{name}.mul", f"0..2^{MULTIPLIER_BITS}", f"{mul.min()}..{mul.max()}")

    @classmethod
    def parse(cls, data: bytes) -> PolicyCartridge:
        """Reads and checks a file. Raises CartridgeError when it is damaged, or no policy cartridge."""
        return cls(bytes(data))

    @classmethod
    def build(
        cls, form: Format, arrays: Mapping[str, NDArray[np.integer]], *, name: str, version: int, total_params: int
    ) -> PolicyCartridge:
        """Writes a policy cartridge from its parts, and parses it back. Raises CartridgeError where `parse` would."""
        encoded = name.encode()
        if len(encoded) > 32:
            raise _bad("name", "at most 32 bytes of UTF-8", len(encoded))
        body = bytearray(HEADER.size)
        for part, (kind, shape) in form.arrays().items():
            body.extend(bytes(align(len(body)) - len(body)))
            raw = np.asarray(arrays[part]).astype(kind)
            if raw.shape != shape or not np.array_equal(raw, arrays[part]):
                raise _bad(f"array {part}", f"{shape} within {kind}", np.shape(arrays[part]))
            body += raw.tobytes()
        sizes = [form.tables.get(table, (0, 0)) for table in EMBEDDINGS]
        numbers = {
            key: getattr(form, key)
            for key in ("bias", "context_len", "hidden", "trunk", "f_in", "f_hidden", "f_trunk", "s_hidden", "s_trunk",
                        "s_heads")
        }  # fmt: skip
        body[: HEADER.size] = HEADER.write(
            magic=MAGIC, format_version=1, header_size=HEADER.size, file_size=len(body), name=encoded.ljust(32, b"\0"),
            version=version, flags=form.flags.flags, whole_frames=int(form.whole_frames), sampled=int(form.sampled),
            total_params=total_params, table_rows=struct.pack("<9H", *(rows for rows, _ in sizes)),
            table_widths=bytes(width for _, width in sizes), **numbers,
        )  # fmt: skip
        digest = HEADER.span("digest")
        end = digest.offset + digest.size
        body[digest.offset : end] = hashlib.sha256(memoryview(body)[end:]).digest()
        return cls.parse(bytes(body))

    def frame_vector(self, block: bytes, player: int, world: Encoding = PLAIN) -> Ints:
        """The `frame_dim` integers of one frame, as `player` (0 or 1) sees it, with `f_in` fraction bits.

        Args:
            block: the frame's block, of the world's size.
            world: the encoding of the world that the match is played in: what the block holds and what a stick means.

        Raises:
            StateError: a field is out of range, or the block has another size.
        """
        form = self.format
        first, second, at = frame.unpack(block, world)
        fighters = [(first, frame.block_inputs(block, 0)), (second, frame.block_inputs(block, 1))]
        if player == 1:
            fighters.reverse()
        parts: list[Ints] = []
        rows: list[Ints] = []
        for fighter, held in fighters:
            known, controls = seen(fighter, held, form.whole_frames)
            raws = np.array(frame.player_raws(known, form.flags), np.int64) * self.arrays["frame_mul"]
            parts.append(np.clip((raws + (1 << S_IN - 1)) >> S_IN, -_HIGH - 1, _HIGH))
            parts.append(self._controls(controls, world.stick_range))
            indices = frame.embedding_rows(known, form.flags)
            rows += [self._row(name, index) for name, index in zip(form.flags.player_embeddings, indices, strict=True)]
        return np.concatenate([*parts, *rows, self._row("stage_embed", at)])

    def outputs(self, context: Ints) -> Ints:
        """The heads' outputs of K frame vectors (K, frame_dim), oldest first: 5 analog, 8 buttons, `F_OUT` bits."""
        form, a = self.format, self.arrays
        hidden = np.clip(_layer(a, "hidden", context.ravel(), form.s_hidden), 0, _HIGH)
        trunk = np.clip(_layer(a, "trunk", hidden, form.s_trunk), 0, _HIGH)
        return _layer(a, "heads", trunk, form.s_heads)

    def _controls(self, held: bytes, stick_range: int) -> Ints:
        raws, one = frame.controls(held, stick_range), 1 << self.format.f_in
        axes = [
            (2 * raw * one + span) // (2 * span)
            for raw, span in zip(raws[:AXES], frame.spans(stick_range), strict=True)
        ]
        return np.array([min(each, _HIGH) for each in (*axes, *(raw * one for raw in raws[AXES:]))], np.int64)

    def _row(self, table: str, index: int) -> Ints:
        values = self.arrays[table]
        found: Ints = values[min(index, len(values) - 1)]
        return found


def seen(fighter: frame.Player, held: bytes, whole: bool) -> tuple[frame.Player, bytes]:
    """What a policy sees of one fighter: everything, or with `whole` false its PlayerState alone. Projectiles that the
    world's frames do not hold count as none.
    """
    known = dict.fromkeys(frame.PROJECTILES, 0) | fighter
    if whole:
        return frame.Player(known), held
    return frame.Player(known | dict.fromkeys((*layouts.FEEDBACK.names, "state_flags", "hitstun"), 0)), _NEUTRAL


def analog_byte(output: int) -> int:
    """An analog head's output as a byte: 255 · sigmoid(output / 2^16), to the nearest."""
    return int(np.searchsorted(_analog_steps(), output, side="right"))


def is_pressed(output: int, bias: int, draw: int | None) -> bool:
    """Whether a button is pressed.

    Args:
        output: the button head's, 16 fraction bits.
        bias: the number that is added to it.
        draw: 64 random bits, of which the upper 12 count; None presses above 0.
    """
    if draw is None:
        return output + bias > 0
    return output + bias > int(_draw_steps()[draw >> (64 - _DRAW_BITS)])


@cache
def _analog_steps() -> Ints:
    """The outputs from which on the byte is 1, 2, …, 255."""
    return np.array([_logit(Decimal(2 * step - 1) / 510) for step in range(1, 256)], np.int64)


@cache
def _draw_steps() -> Ints:
    """For each draw the output above which a button is pressed."""
    count = 1 << _DRAW_BITS
    return np.array([_logit(Decimal(2 * draw + 1) / (2 * count)) for draw in range(count)], np.int64)


def _logit(chance: Decimal) -> int:
    # Decimal's logarithm is rounded correctly, so the table is the same on every machine
    return int(((chance / (1 - chance)).ln() * (1 << F_OUT)).to_integral_value())


def _layer(arrays: Mapping[str, Ints], name: str, inputs: Ints, shift: int) -> Ints:
    sums = arrays[f"{name}.w"] @ inputs
    scaled: Ints = ((sums * arrays[f"{name}.mul"] + (1 << shift - 1)) >> shift) + arrays[f"{name}.b"]
    return scaled


def _bad(what: str, expected: object, found: object) -> CartridgeError:
    return CartridgeError(f"policy cartridge: {what}", expected=expected, found=found, hint="quantize it again")


def _header(data: bytes) -> dict[str, Any]:
    if len(data) < HEADER.size:
        raise _bad("length", f"at least {HEADER.size} bytes", len(data))
    h = HEADER.read(data)
    if h["magic"] != MAGIC:
        raise _bad("magic at offset 0", MAGIC, h["magic"])
    if h["file_size"] != len(data):
        raise _bad("file length", h["file_size"], len(data))
    digest = HEADER.span("digest")
    found = hashlib.sha256(memoryview(data)[digest.offset + digest.size :]).digest()
    if h["digest"] != found:
        raise _bad(f"digest at offset {digest.offset}", h["digest"].hex(), found.hex())
    for name in _LIMITED:
        limits = contract.STRUCTS["PolicyHeader"](name).range
        assert limits, name
        if not limits[0] <= h[name] <= limits[1]:
            raise _bad(f"{name} at offset {HEADER.offset(name)}", f"{limits[0]}..{limits[1]}", h[name])
    if any(h["reserved2"]) or h["reserved"] or h["flags"] & _ROW_GAINS:
        raise _bad("reserved bytes of the header", "zero", "other bytes")
    try:
        h["name"].rstrip(b"\0").decode()
    except UnicodeDecodeError:
        raise _bad("name", "UTF-8", h["name"]) from None
    return h


def _format(h: Mapping[str, Any]) -> Format:
    flags = replace(Encoding.of_flags(h["flags"]), press_events=False, ctrl_threshold_features=False)
    present = {*flags.player_embeddings, "stage_embed"}
    tables = {}
    for table, rows, width in zip(EMBEDDINGS, struct.unpack("<9H", h["table_rows"]), h["table_widths"], strict=True):
        if (rows > 0 and width > 0) != (table in present) or rows > EMBEDDINGS[table][0] or width > 64:
            raise _bad(
                f"table {table}", f"at most {EMBEDDINGS[table][0]} rows of 64, if its flag is set", (rows, width)
            )
        if table in present:
            tables[table] = (rows, width)
    numbers = {
        key: h[key]
        for key in ("bias", "context_len", "hidden", "trunk", "f_in", "f_hidden", "f_trunk", "s_hidden", "s_trunk",
                    "s_heads")
    }  # fmt: skip
    form = Format(flags, bool(h["whole_frames"]), bool(h["sampled"]), tables=tables, **numbers)
    if form.context_len * form.frame_dim > MAX_INPUTS:
        raise _bad("inputs", f"at most {MAX_INPUTS}", form.context_len * form.frame_dim)
    return form
