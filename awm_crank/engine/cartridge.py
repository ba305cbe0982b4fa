"""The cartridge: one model's integer weights and formats as one file (docs/cartridge.md)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import astuple, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from awm_crank.engine import bounds, layout
from awm_crank.engine.layout import Formats, LayerFormats, Shape
from awm_crank.errors import CartridgeError

Array = NDArray[np.integer]
_DTYPES: dict[str, np.dtype[Any]] = {"i8": np.dtype("i1"), "i16": np.dtype("<i2"), "i32": np.dtype("<i4")}


def _bad(what: str, expected: object, found: object, hint: str = "fetch or quantize it again") -> CartridgeError:
    return CartridgeError(f"cartridge: {what}", expected=expected, found=found, hint=hint)


class Cartridge:
    """A parsed cartridge whose every bound is proven; made by `parse` or `build`.

    Attributes:
        data: the file's bytes.
        sha256: SHA-256 of the file, 32 bytes; what the manifest's cartridge_hash holds.
        name, version: the author's.
        shape, formats: sizes, fraction bits and shifts.
        arrays: tensor name to integer array (read-only views); a matrix is `name.w`, `name.m`, `name.b`.
        luts: the 1,024 table bytes.
        total_params, total_weight_bytes: as the manifest wants them.
    """

    num_continuous = 13
    num_action_states = layout.CLASSES["action"]
    num_binary = 3
    format_version = layout.FORMAT_VERSION

    def __init__(self, data: bytes, *, _token: object = None) -> None:
        if _token is not _PARSE:
            raise TypeError("use Cartridge.parse or Cartridge.build")
        self.data = data
        self.sha256 = hashlib.sha256(data).digest()
        (self.name, self.version, self.shape, self.formats, self.luts, self.total_params, self.total_weight_bytes) = (
            _parse_header(data)
        )
        self.arrays = _parse_tensors(data, self.shape)
        bounds.check(self.shape, self.formats, self.arrays)

    @classmethod
    def parse(cls, data: bytes | bytearray | memoryview, *, sha256: bytes | None = None) -> Cartridge:
        """Read a cartridge file.

        Args:
            data: the whole file (the shards' bytes, concatenated).
            sha256: the hash that it must have, if it is known (a manifest's cartridge_hash, a pin).

        Raises:
            CartridgeError: truncated, another hash, unsupported version, bad shape, or a bound that does not hold.
        """
        data = bytes(data)
        if sha256 is not None:
            found = hashlib.sha256(data).digest()
            if found != sha256:
                raise _bad("SHA-256 of the file", sha256.hex(), found.hex())
        return cls(data, _token=_PARSE)

    @classmethod
    def build(
        cls,
        *,
        name: str,
        version: int,
        shape: Shape,
        formats: Formats,
        luts: bytes,
        arrays: Mapping[str, Array],
        total_params: int,
    ) -> Cartridge:
        """Write a cartridge from its parts, and parse it back. Raises CartridgeError where `parse` would refuse it."""
        bounds.check_shape(shape)
        bounds.check_scales(formats)
        specs = layout.tensors(shape)
        places, file_size = layout.offsets(specs)
        out = bytearray(file_size)
        for i, (spec, offset) in enumerate(zip(specs, places, strict=True)):
            at = layout.HEADER_SIZE + 8 * i
            out[at : at + 8] = offset.to_bytes(4, "little") + spec.size.to_bytes(4, "little")
            parts = (
                [(spec.name, offset, spec.kind, spec.shape)] if spec.kind != "matrix" else _matrix_parts(spec, offset)
            )
            for part, begin, kind, dims in parts:
                if math.prod(dims) == 0:
                    continue
                array = np.asarray(arrays[part])
                if array.shape != dims:
                    raise _bad(f"tensor {part} shape", dims, array.shape)
                raw = array.astype(_DTYPES[kind])
                if not np.array_equal(raw, array):
                    raise _bad(f"tensor {part} values", f"within {kind}", (int(array.min()), int(array.max())))
                out[begin : begin + raw.nbytes] = raw.tobytes()
        encoded = name.encode()
        if len(encoded) > 32:
            raise _bad("name", "at most 32 bytes of UTF-8", len(encoded))
        f = formats
        pad = [0] * (layout.MAX_LAYERS - shape.num_layers)
        blocks = b"".join(layout.LAYER.pack(*astuple(lf)[:13], b"", lf.eps_gate, b"") for lf in f.layers)
        out[: layout.HEADER_SIZE] = layout.HEADER.pack(
            layout.MAGIC, layout.FORMAT_VERSION, layout.HEADER_SIZE, file_size, bytes(32), encoded, version,
            shape.d_model, shape.d_inner, shape.d_state, shape.num_layers, shape.num_heads, shape.headdim,
            layout.D_CONV, shape.flags, shape.frame_dim,
            *[1 << lf.f_in for lf in f.layers], *pad, *[1 << lf.f_out for lf in f.layers], *pad,
            luts, cls.num_continuous, cls.num_action_states, cls.num_binary, shape.frame_dim, 0,
            total_params, sum(spec.size for spec in specs),
            f.f_frame, f.s_frame, f.f_ctrl, f.s_ctrl, f.f_res, f.f_final, f.f_final_w, f.s_frame_proj, f.s_ctrl_proj,
            f.s_heads, b"", f.eps_res, bytes(f.head_frac), len(specs), layout.HEADER_SIZE, b"", blocks, b"",
        )  # fmt: skip
        out[16:48] = hashlib.sha256(out[48:]).digest()
        return cls.parse(out)

    @property
    def state_size(self) -> int:
        """Bytes of one serialized recurrent state."""
        return self.shape.state_size

    @property
    def layer_input_scales(self) -> tuple[int, ...]:
        """16 x u16 for the manifest: 2^f_in of each layer."""
        return tuple(1 << lf.f_in for lf in self.formats.layers) + (0,) * (layout.MAX_LAYERS - self.shape.num_layers)

    @property
    def layer_output_scales(self) -> tuple[int, ...]:
        """16 x u16 for the manifest: 2^f_out of each layer."""
        return tuple(1 << lf.f_out for lf in self.formats.layers) + (0,) * (layout.MAX_LAYERS - self.shape.num_layers)

    @property
    def input_size(self) -> int:
        return self.shape.frame_dim

    def shards(self, max_size: int = layout.MAX_SHARD_SIZE) -> list[memoryview]:
        """The file in slices of `max_size` bytes, the last one shorter; their concatenation is the file.

        Raises CartridgeError when that makes more than four.
        """
        if not 1 <= max_size <= layout.MAX_SHARD_SIZE:
            raise _bad("shard size", f"1..{layout.MAX_SHARD_SIZE}", max_size, "choose another shard size")
        if len(self.data) > max_size * layout.MAX_SHARDS:
            need = -(-len(self.data) // layout.MAX_SHARDS)
            raise _bad(
                "shards", f"at most {layout.MAX_SHARDS}", -(-len(self.data) // max_size), f"a size of {need} or more"
            )
        view = memoryview(self.data)
        return [view[i : i + max_size] for i in range(0, len(view), max_size)]


_PARSE = object()
_LAYER_FIELDS = [f.name for f in fields(LayerFormats)]
_FORMAT_FIELDS = [f.name for f in fields(Formats)][:11]


def _matrix_parts(spec: layout.TensorSpec, offset: int) -> list[tuple[str, int, str, tuple[int, ...]]]:
    rows, k = spec.shape
    m = offset + layout.align(rows * k)
    return [
        (spec.name + ".w", offset, "i8", (rows, k)),
        (spec.name + ".m", m, "i32", (rows,)),
        (spec.name + ".b", m + 4 * rows, "i32", (rows,)),
    ]


def _parse_header(data: bytes) -> tuple[str, int, Shape, Formats, bytes, int, int]:
    if len(data) < layout.HEADER_SIZE:
        raise _bad("length", f"at least {layout.HEADER_SIZE} bytes", len(data))
    v = layout.HEADER.unpack_from(data)
    magic, format_version, header_size, file_size, digest, name_bytes, version = v[:7]
    d_model, d_inner, d_state, num_layers, num_heads, headdim, d_conv, flags, frame_dim = v[7:16]
    in_scales, out_scales, luts = v[16:32], v[32:48], v[48]
    num_continuous, num_actions, num_binary, input_size, zero0, params, weight_bytes = v[49:56]
    scalars, zero1, eps_res, head_frac, tensor_count, directory, zero2, blocks, zero3 = v[56:66], *v[66:]
    if magic != layout.MAGIC:
        raise _bad("magic at offset 0", layout.MAGIC, magic, "check that this is an .awm file")
    if format_version != layout.FORMAT_VERSION:
        raise _bad("format_version at offset 8", layout.FORMAT_VERSION, format_version, "use the release that wrote it")
    if header_size != layout.HEADER_SIZE:
        raise _bad("header_size at offset 10", layout.HEADER_SIZE, header_size)
    if file_size != len(data):
        raise _bad("file length", file_size, len(data))
    found = hashlib.sha256(memoryview(data)[48:]).digest()
    if found != digest:
        raise _bad("digest at offset 16", digest.hex(), found.hex())
    if d_conv != layout.D_CONV:
        raise _bad("d_conv at offset 92", layout.D_CONV, d_conv)
    if flags > 3:
        raise _bad("flags at offset 93", "0..3", flags)
    shape = Shape(d_model, d_inner, d_state, headdim, num_layers, bool(flags & 1), bool(flags & 2))
    bounds.check_shape(shape)
    layers = [layout.LAYER.unpack_from(blocks, layout.LAYER.size * i) for i in range(num_layers)]
    expected = {
        "num_heads": (shape.num_heads, num_heads),
        "frame_dim": (shape.frame_dim, frame_dim),
        "input_size": (shape.frame_dim, input_size),
        "num_continuous": (Cartridge.num_continuous, num_continuous),
        "num_action_states": (Cartridge.num_action_states, num_actions),
        "num_binary": (Cartridge.num_binary, num_binary),
        "directory_offset": (layout.HEADER_SIZE, directory),
        "tensor_count": (len(layout.tensors(shape)), tensor_count),
        "total_weight_bytes": (sum(spec.size for spec in layout.tensors(shape)), weight_bytes),
    }
    for field, (want, got) in expected.items():
        if want != got:
            raise _bad(field, want, got)
    rest = blocks[layout.LAYER.size * num_layers :]
    if any((zero0, *zero1, *zero2, *zero3, *rest)) or any(any(entry[13]) or any(entry[15]) for entry in layers):
        raise _bad("reserved bytes of the header", "zero", "other bytes")
    per_layer = tuple(LayerFormats(**dict(zip(_LAYER_FIELDS, (*e[:13], e[14]), strict=True))) for e in layers)
    values = dict(zip(_FORMAT_FIELDS, (*scalars, eps_res), strict=True))
    formats = Formats(**values, head_frac=tuple(head_frac), layers=per_layer)
    for field, scales, fracs in (
        ("layer_input_scales", in_scales, [lf.f_in for lf in formats.layers]),
        ("layer_output_scales", out_scales, [lf.f_out for lf in formats.layers]),
    ):
        want_scales = tuple(1 << f if 0 <= f <= 15 else -1 for f in fracs) + (0,) * (layout.MAX_LAYERS - num_layers)
        if scales != want_scales:
            raise _bad(field, want_scales, scales)
    bounds.check_luts(luts)
    try:
        name = name_bytes.rstrip(b"\0").decode()
    except UnicodeDecodeError as error:
        raise _bad("name at offset 48", "UTF-8", name_bytes) from error
    return name, version, shape, formats, luts, params, weight_bytes


def _parse_tensors(data: bytes, shape: Shape) -> dict[str, Array]:
    specs = layout.tensors(shape)
    places, file_size = layout.offsets(specs)
    if file_size != len(data):
        raise _bad("file length for its shape", file_size, len(data))
    arrays: dict[str, Array] = {}
    end = layout.HEADER_SIZE + 8 * len(specs)
    for i, (spec, offset) in enumerate(zip(specs, places, strict=True)):
        at = layout.HEADER_SIZE + 8 * i
        entry = (int.from_bytes(data[at : at + 4], "little"), int.from_bytes(data[at + 4 : at + 8], "little"))
        if entry != (offset, spec.size):
            raise _bad(f"directory entry {i} ({spec.name}) at offset {at}", (offset, spec.size), entry)
        if any(data[end:offset]):
            raise _bad(f"padding at offset {end}", "zero bytes", data[end:offset].hex())
        end = offset + spec.size
        if spec.kind == "matrix":
            rows, k = spec.shape
            gap = data[offset + rows * k : offset + layout.align(rows * k)]
            if any(gap):
                raise _bad(f"padding at offset {offset + rows * k}", "zero bytes", gap.hex())
            parts = _matrix_parts(spec, offset)
        else:
            parts = [(spec.name, offset, spec.kind, spec.shape)]
        for name, begin, kind, dims in parts:
            arrays[name] = np.frombuffer(data, _DTYPES[kind], math.prod(dims), begin).reshape(dims)
    return arrays
