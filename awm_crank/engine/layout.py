"""The layout of a cartridge (docs/cartridge.md): shapes, header fields, and the tensors in order."""

from __future__ import annotations

import math
from dataclasses import dataclass

from awm_crank.engine import encoding
from awm_crank.engine.encoding import PLAIN, Encoding
from awm_crank.wire import contract
from awm_crank.wire.layouts import Layout

HEADER = Layout(contract.STRUCTS["CartridgeHeader"])
LAYER = Layout(contract.STRUCTS["LayerBlock"])
ENTRY = Layout(contract.STRUCTS["TensorEntry"])


def constant(field: str) -> int:
    """The one value that this field of the header may have."""
    limits = contract.STRUCTS["CartridgeHeader"](field).range
    assert limits and limits[0] == limits[1], field
    return limits[0]


MAGIC = b"AWMCART\0"
FORMAT_VERSION = constant("format_version")
HEADER_SIZE = HEADER.size
D_CONV = constant("d_conv")
MAX_LAYERS = contract.MAX_LAYERS
MAX_SHARDS = contract.MAX_SHARDS
MAX_SHARD_SIZE = contract.MAX_ACCOUNT_BYTES
CTRL_DIM = contract.CTRL_DIM
PLAYER_FLOATS = contract.PLAYER_FLOATS
"""Floats of one player in the frame vector of a world without flags, state_age among them."""
PLAYER_CONTROLS = contract.PLAYER_CONTROLS
LOW_BITS = 7
"""Bits of a frame-vector float below those that a 15-bit activation holds (numerics.md 6.1)."""

CLASSES = contract.CLASSES
"""The categorical heads of one player, in the order of their rows, and their classes."""
REGRESSION_ROWS = contract.REGRESSION_ROWS
BINARY_ROWS = contract.BINARY_ROWS
HEAD_ROWS = encoding.BASE_ROWS + encoding.CLASS_ROWS
"""Rows of `heads` that every world has."""
EMBEDDINGS = encoding.EMBEDDINGS


@dataclass(frozen=True)
class Shape:
    """The sizes of one model, and its encoding. All other sizes follow from these."""

    d_model: int
    d_inner: int
    d_state: int
    headdim: int
    num_layers: int
    row_gains: bool = False
    """Whether each row of the recurrent state has a gain of its own (numerics.md 6.3)."""
    encoding: Encoding = PLAIN

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
    def state_age_as_embed(self) -> bool:
        return self.encoding.state_age_as_embed

    @property
    def player_floats(self) -> int:
        return self.encoding.player_floats

    @property
    def player_embeddings(self) -> list[str]:
        return self.encoding.player_embeddings

    @property
    def frame_dim(self) -> int:
        return self.encoding.frame_dim

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
        """The `flags` byte of the cartridge header: the encoding's flags, and the bit that says whether state rows have
        gains.
        """
        return self.encoding.flags | self.row_gains << contract.BITS["flags"].index("row_gains")

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
    """Fraction bits of the rows that predict numbers (`Encoding.regression_rows`): 24, or 26 with hitstun."""
    layers: tuple[LayerFormats, ...]


@dataclass(frozen=True)
class TensorSpec:
    """One entry of the tensor directory.

    A `matrix` is stored as int8 rows, padding to a multiple of 64 bytes, int32 multipliers, int32 biases.
    """

    name: str
    kind: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        if self.kind == "matrix":
            return align(self.shape[0] * self.shape[1]) + 8 * self.shape[0]
        return math.prod(self.shape) * {"i8": 1, "i16": 2, "i32": 4}[self.kind]


def align(offset: int) -> int:
    """Rounds up to a multiple of 64."""
    return -(-offset // contract.ALIGN) * contract.ALIGN


def tensors(shape: Shape) -> list[TensorSpec]:
    """All tensors of a cartridge of this shape, in the order of the directory."""
    sizes = {
        "D": shape.d_model, "V": shape.frame_dim, "I": shape.d_inner, "N": shape.d_state, "H": shape.num_heads,
        "C": shape.conv_dim, "R": shape.proj_rows, "F": shape.player_floats, "J": shape.encoding.player_controls,
        "K": shape.encoding.ctrl_dim, "W": shape.encoding.head_rows,
    }  # fmt: skip

    def spec(each: contract.Tensor, prefix: str = "") -> TensorSpec:
        dims = [sizes[part] if isinstance(part, str) else part for part in each.shape]
        if each.needs and not shape.flags >> contract.BITS["flags"].index(each.needs) & 1:
            dims[0] = 0
        return TensorSpec(prefix + each.name, each.type, tuple(dims))

    layers = [spec(each, f"layers.{n}.") for n in range(shape.num_layers) for each in contract.LAYER_TENSORS]
    return [*(spec(each) for each in contract.TENSORS), *layers]


def offsets(specs: list[TensorSpec]) -> tuple[list[int], int]:
    """Offsets of the tensors in the file, and the file's size."""
    result = []
    end = HEADER_SIZE + ENTRY.size * len(specs)
    for spec in specs:
        begin = align(end)
        result.append(begin)
        end = begin + spec.size
    return result, end
