"""Where every byte of a cartridge stands (docs/cartridge.md): shapes, header fields, tensors in order."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

MAGIC = b"AWMCART\0"
FORMAT_VERSION = 1
HEADER_SIZE = 2048
HEADER = struct.Struct("<8sHHI32s32sHHHHBBHBBH16H16H1024sBHBHHIIbBbBbbbBBB6sQ24sII8s640s144s")
LAYER = struct.Struct("<bbBbbbbBbbbbB3sQ16s")
MAX_LAYERS = 16
MAX_SHARDS = 4
MAX_SHARD_SIZE = 10 * 1024 * 1024
D_CONV = 4
CTRL_DIM = 26
PLAYER_FLOATS = 29
"""Floats of one player in the frame vector, state_age among them."""
PLAYER_CONTROLS = 13
LOW_BITS = 7
"""Bits of a frame-vector float behind those that a 15-bit activation holds (numerics.md 6.1)."""

CLASSES = {"action": 400, "jumps": 8, "l_cancel": 3, "hurtbox": 3, "ground": 32, "last_attack": 64}
"""The categorical heads of one player, in the order of their rows, and their classes."""
REGRESSION_ROWS = 24
BINARY_ROWS = 6
HEAD_ROWS = REGRESSION_ROWS + BINARY_ROWS + 2 * sum(CLASSES.values())

EMBEDDINGS = {
    "action_embed": (400, 32),
    "jumps_embed": (8, 4),
    "character_embed": (33, 8),
    "l_cancel_embed": (3, 2),
    "hurtbox_embed": (3, 2),
    "ground_embed": (32, 4),
    "last_attack_embed": (64, 8),
    "state_age_embed": (150, 8),
    "stage_embed": (33, 4),
}
"""Embedding tables in the cartridge's order, which is that of a player's columns, with stage behind both players."""


@dataclass(frozen=True)
class Shape:
    """The sizes of one model. All others follow from these."""

    d_model: int
    d_inner: int
    d_state: int
    headdim: int
    num_layers: int
    state_age_as_embed: bool = False
    row_gains: bool = False
    """Whether each row of the recurrent state has a gain of its own (numerics.md 6.3)."""

    @property
    def num_heads(self) -> int:
        return self.d_inner // self.headdim

    @property
    def conv_dim(self) -> int:
        """Channels of the convolution: x, B and C."""
        return self.d_inner + 2 * self.d_state

    @property
    def proj_rows(self) -> int:
        """Rows of in_proj: z, x, B, C, dt."""
        return 2 * self.d_inner + 2 * self.d_state + self.num_heads

    @property
    def player_floats(self) -> int:
        return PLAYER_FLOATS - self.state_age_as_embed

    @property
    def player_embeddings(self) -> list[str]:
        """Names of a player's embedding tables, in column order."""
        return [n for n in EMBEDDINGS if n != "stage_embed" and (n != "state_age_embed" or self.state_age_as_embed)]

    @property
    def frame_dim(self) -> int:
        columns = sum(EMBEDDINGS[n][1] for n in self.player_embeddings)
        return 2 * (self.player_floats + columns) + EMBEDDINGS["stage_embed"][1]

    @property
    def state_values(self) -> int:
        """int16 values of one session's recurrent state."""
        return self.num_layers * (self.d_inner * self.d_state + 3 * self.conv_dim)

    @property
    def state_size(self) -> int:
        """Bytes of one serialized state: high plane, low plane, step counter."""
        return 2 * self.state_values + 4

    @property
    def flags(self) -> int:
        """The header's: bit 0 state_age_as_embed, bit 1 row_gains."""
        return self.state_age_as_embed | self.row_gains << 1

    @property
    def read_shift(self) -> int:
        """The shift `e` that keeps the readout's sum within int32 (numerics.md 6.5)."""
        return max(0, (self.d_state - 1).bit_length() - 1)


@dataclass(frozen=True)
class LayerFormats:
    """Fraction bits (`f_*`) and shifts (`s_*`, `sh_b`) of one layer."""

    f_in: int
    f_in_w: int
    s_in: int
    f_z: int
    f_x: int
    f_conv_w: int
    f_c: int
    sh_b: int
    f_y: int
    f_d: int
    f_out: int
    f_out_w: int
    s_out: int
    eps_gate: int


@dataclass(frozen=True)
class Formats:
    """Fraction bits and shifts of the whole model."""

    f_frame: int
    s_frame: int
    f_ctrl: int
    s_ctrl: int
    f_res: int
    f_final: int
    f_final_w: int
    s_frame_proj: int
    s_ctrl_proj: int
    s_heads: int
    eps_res: int
    head_frac: tuple[int, ...]
    layers: tuple[LayerFormats, ...]


@dataclass(frozen=True)
class TensorSpec:
    """One entry of the directory. A `matrix` is int8 rows, padding to 64, int32 multipliers, int32 biases."""

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        if self.kind == "matrix":
            return align(self.shape[0] * self.shape[1]) + 8 * self.shape[0]
        return math.prod(self.shape) * {"i8": 1, "i16": 2, "i32": 4}[self.kind]


def align(offset: int) -> int:
    """The next multiple of 64."""
    return (offset + 63) & ~63


def tensors(shape: Shape) -> list[TensorSpec]:
    """All tensors of a cartridge of this shape, in the order of the directory."""
    d, i, h, c = shape.d_model, shape.d_inner, shape.num_heads, shape.conv_dim
    specs = [
        TensorSpec("feature_mul", "i32", (shape.player_floats,)),
        TensorSpec("ctrl_mul", "i32", (PLAYER_CONTROLS,)),
    ]
    for name, (rows, width) in EMBEDDINGS.items():
        used = name != "state_age_embed" or shape.state_age_as_embed
        specs.append(TensorSpec(name, "i16", (rows if used else 0, width)))
    specs += [
        TensorSpec("frame_proj", "matrix", (d, shape.frame_dim)),
        TensorSpec("final_norm", "i16", (d,)),
        TensorSpec("ctrl_proj", "matrix", (d, CTRL_DIM)),
        TensorSpec("heads", "matrix", (HEAD_ROWS, d)),
        TensorSpec("reserved", "i8", (0,)),
    ]
    for n in range(shape.num_layers):
        specs += [
            TensorSpec(f"layers.{n}.{name}", kind, dims)
            for name, kind, dims in (
                ("norm", "i16", (d,)),
                ("in_proj.w", "i8", (shape.proj_rows, d)),
                ("in_proj.m", "i32", (shape.proj_rows,)),
                ("conv_w", "i16", (c, D_CONV)),
                ("conv_b", "i32", (c,)),
                ("dt_bias", "i32", (h,)),
                ("alpha", "i32", (h,)),
                ("d", "i16", (h,)),
                ("hs", "i8", (h,)),
                ("gate_norm", "i16", (i,)),
                ("out_proj.w", "i8", (d, i)),
                ("out_proj.m", "i32", (d,)),
                ("row_gain", "i8", (i if shape.row_gains else 0,)),
                ("reserved", "i8", (0,)),
            )
        ]
    return specs


def offsets(specs: list[TensorSpec]) -> tuple[list[int], int]:
    """Offsets of the tensors in the file, and the file's size."""
    result = []
    end = HEADER_SIZE + 8 * len(specs)
    for spec in specs:
        begin = align(end)
        result.append(begin)
        end = begin + spec.size
    return result, end
