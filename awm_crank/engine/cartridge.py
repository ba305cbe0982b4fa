"""The cartridge: one model's integer weights and formats as one file (docs/cartridge.md)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from awm_crank.engine import bounds, layout
from awm_crank.engine.encoding import Encoding
from awm_crank.engine.layout import Formats, LayerFormats, Shape
from awm_crank.errors import CartridgeError
from awm_crank.wire import contract

Array = NDArray[np.integer]
_DTYPES: dict[str, np.dtype[Any]] = {"i8": np.dtype("i1"), "i16": np.dtype("<i2"), "i32": np.dtype("<i4")}


def _bad(what: str, expected: object, found: object, hint: str = "fetch or quantize it again") -> CartridgeError:
    return CartridgeError(f"cartridge: {what}", expected=expected, found=found, hint=hint)


class Cartridge:
    """A parsed cartridge whose every bound is proven; made by `parse` or `build`.

    Attributes:
        data: the file's bytes.
        sha256: SHA-256 of the file, 32 bytes, which is also the manifest's cartridge_hash.
        name, version: as the author chose them.
        shape, formats: sizes, fraction bits and shifts.
        arrays: tensor name to integer array (read-only views); a matrix is `name.w`, `name.m`, `name.b`.
        luts: the 1,024 table bytes.
        total_params, total_weight_bytes: the values that the manifest holds.
    """

    num_continuous = layout.constant("num_continuous")
    num_action_states = layout.constant("num_action_states")
    num_binary = layout.constant("num_binary")
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
            sha256: the hash that the file must have, if it is known (for example a manifest's cartridge_hash).

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
        """Writes a cartridge from its parts, and parses it. Raises CartridgeError in the cases in which `parse`
        does.
        """
        bounds.check_shape(shape)
        bounds.check_scales(formats)
        specs = layout.tensors(shape)
        places, file_size = layout.offsets(specs)
        out = bytearray(file_size)
        for i, (spec, offset) in enumerate(zip(specs, places, strict=True)):
            at = layout.HEADER_SIZE + layout.ENTRY.size * i
            out[at : at + layout.ENTRY.size] = layout.ENTRY.write(offset=offset, size=spec.size)
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
        blocks = b"".join(layout.LAYER.write(**asdict(each)) for each in formats.layers)
        scalars = {name: getattr(formats, name) for name in _FORMAT_FIELDS}
        out[: layout.HEADER_SIZE] = layout.HEADER.write(
            magic=layout.MAGIC, format_version=layout.FORMAT_VERSION, header_size=layout.HEADER_SIZE,
            file_size=file_size, name=encoded.ljust(32, b"\0"), version=version, d_model=shape.d_model,
            d_inner=shape.d_inner, d_state=shape.d_state, num_layers=shape.num_layers, num_heads=shape.num_heads,
            headdim=shape.headdim, d_conv=layout.D_CONV, flags=shape.flags, frame_dim=shape.frame_dim,
            layer_input_scales=_scales(each.f_in for each in formats.layers),
            layer_output_scales=_scales(each.f_out for each in formats.layers),
            luts=luts, num_continuous=cls.num_continuous, num_action_states=cls.num_action_states,
            num_binary=cls.num_binary, input_size=shape.frame_dim, extra_size=shape.encoding.extra_size,
            stick_range=shape.encoding.stick_range, total_params=total_params,
            total_weight_bytes=sum(spec.size for spec in specs), **scalars,
            head_frac=bytes(formats.head_frac[: layout.REGRESSION_ROWS]),
            hitstun_frac=bytes(formats.head_frac[layout.REGRESSION_ROWS :]).ljust(2, b"\0"),
            tensor_count=len(specs), directory_offset=layout.HEADER_SIZE,
            layers=blocks.ljust(layout.HEADER.span("layers").size, b"\0"),
        )  # fmt: skip
        seal(out)
        return cls.parse(out)

    @property
    def state_size(self) -> int:
        """Bytes of one serialized recurrent state."""
        return self.shape.state_size

    @property
    def extra_size(self) -> int:
        """Bytes of one player's extra feedback (0 for most worlds). A frame block ends with that of both players."""
        return self.shape.encoding.extra_size

    @property
    def stick_range(self) -> int:
        """What a stick's byte is at full tilt; 0 = the byte v means (v + 128) / 255 (`Encoding.stick_range`)."""
        return self.shape.encoding.stick_range

    @property
    def layer_input_scales(self) -> tuple[int, ...]:
        """The layers' 2^f_in as 16 u16 values, for the manifest."""
        return _scales(each.f_in for each in self.formats.layers)

    @property
    def layer_output_scales(self) -> tuple[int, ...]:
        """The layers' 2^f_out as 16 u16 values, for the manifest."""
        return _scales(each.f_out for each in self.formats.layers)

    @property
    def input_size(self) -> int:
        return self.shape.frame_dim

    def shards(self, max_size: int = layout.MAX_SHARD_SIZE) -> list[memoryview]:
        """Cuts the file into slices of `max_size` bytes; the last one may be shorter. Their concatenation is the file.

        Raises CartridgeError if that makes more than four slices.
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
_LAYER_FIELDS = [field.name for field in fields(LayerFormats)]
_FORMAT_FIELDS = [field.name for field in fields(Formats) if field.name not in ("head_frac", "layers")]


def seal(data: bytearray) -> None:
    """Makes the size and the digest in a cartridge's header fit the file, unless the file ends inside the header."""
    if len(data) >= layout.HEADER_SIZE:
        size, digest = layout.HEADER.span("file_size"), layout.HEADER.span("digest")
        data[size.offset : size.offset + size.size] = len(data).to_bytes(size.size, "little")
        end = digest.offset + digest.size
        data[digest.offset : end] = hashlib.sha256(memoryview(data)[end:]).digest()


def _scales(fracs: Iterable[int]) -> tuple[int, ...]:
    """2^f of each layer, zeros after the last one; 0 for a fraction that the header's u16 cannot hold."""
    scales = [1 << frac if 0 <= frac <= 15 else 0 for frac in fracs]
    return tuple(scales + [0] * (layout.MAX_LAYERS - len(scales)))


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
    h = layout.HEADER.read(data)
    if h["magic"] != layout.MAGIC:
        raise _bad("magic at offset 0", layout.MAGIC, h["magic"], "check that this is an .awm file")
    _check_constant(h, "format_version", "use the release that wrote it")
    _check_constant(h, "header_size")
    if h["file_size"] != len(data):
        raise _bad("file length", h["file_size"], len(data))
    digest = layout.HEADER.span("digest")
    found = hashlib.sha256(memoryview(data)[digest.offset + digest.size :]).digest()
    if found != h["digest"]:
        raise _bad(f"digest at offset {digest.offset}", h["digest"].hex(), found.hex())
    _check_constant(h, "d_conv")
    _check_range(h, "flags")
    _check_range(h, "stick_range")
    encoding = Encoding.of_flags(h["flags"], h["stick_range"])
    shape = Shape(h["d_model"], h["d_inner"], h["d_state"], h["headdim"], h["num_layers"], encoding=encoding)
    shape = replace(shape, row_gains=h["flags"] != shape.flags)
    bounds.check_shape(shape)
    for name in ("num_continuous", "num_action_states", "num_binary", "directory_offset"):
        _check_constant(h, name)
    specs = layout.tensors(shape)
    expected = {
        "num_heads": shape.num_heads, "frame_dim": shape.frame_dim, "input_size": shape.frame_dim,
        "extra_size": shape.encoding.extra_size, "tensor_count": len(specs),
        "total_weight_bytes": sum(spec.size for spec in specs),
    }  # fmt: skip
    for name, want in expected.items():
        if want != h[name]:
            raise _bad(name, want, h[name])
    size = layout.LAYER.size
    blocks = [layout.LAYER.read(h["layers"], size * n) for n in range(shape.num_layers)]
    unused = h["layers"][size * shape.num_layers :]
    if any(unused) or any(_reserved(each) for each in (h, *blocks)):
        raise _bad("reserved bytes of the header", "zero", "other bytes")
    layers = tuple(LayerFormats(**{name: block[name] for name in _LAYER_FIELDS}) for block in blocks)
    scalars = {name: h[name] for name in _FORMAT_FIELDS}
    if not encoding.hitstun and any(h["hitstun_frac"]):
        raise _bad("hitstun_frac", "zero without the flag hitstun", h["hitstun_frac"])
    head_frac = (*h["head_frac"], *(h["hitstun_frac"] if encoding.hitstun else ()))
    formats = Formats(**scalars, head_frac=head_frac, layers=layers)
    for field, fracs in (
        ("layer_input_scales", [each.f_in for each in layers]),
        ("layer_output_scales", [each.f_out for each in layers]),
    ):
        if h[field] != _scales(fracs) or not all(0 <= frac <= 15 for frac in fracs):
            raise _bad(field, f"2^f of each layer, f = {fracs}", h[field])
    bounds.check_luts(h["luts"])
    try:
        name = h["name"].rstrip(b"\0").decode()
    except UnicodeDecodeError as error:
        raise _bad(f"name at offset {layout.HEADER.offset('name')}", "UTF-8", h["name"]) from error
    return name, h["version"], shape, formats, h["luts"], h["total_params"], h["total_weight_bytes"]


def _check_constant(header: dict[str, Any], name: str, hint: str = "fetch or quantize it again") -> None:
    if header[name] != layout.constant(name):
        raise _bad(f"{name} at offset {layout.HEADER.offset(name)}", layout.constant(name), header[name], hint)


def _check_range(header: dict[str, Any], name: str) -> None:
    low, high = contract.STRUCTS["CartridgeHeader"](name).range or (0, 255)
    if not low <= header[name] <= high:
        raise _bad(f"{name} at offset {layout.HEADER.offset(name)}", f"{low}..{high}", header[name])


def _reserved(values: dict[str, Any]) -> bool:
    """Whether a reserved field holds anything other than zero."""
    return any(
        any(value) if isinstance(value, bytes) else value
        for name, value in values.items()
        if name.startswith("reserved")
    )


def _parse_tensors(data: bytes, shape: Shape) -> dict[str, Array]:
    specs = layout.tensors(shape)
    places, file_size = layout.offsets(specs)
    if file_size != len(data):
        raise _bad("file length for its shape", file_size, len(data))
    arrays: dict[str, Array] = {}
    end = layout.HEADER_SIZE + layout.ENTRY.size * len(specs)
    for i, (spec, offset) in enumerate(zip(specs, places, strict=True)):
        at = layout.HEADER_SIZE + layout.ENTRY.size * i
        entry = tuple(layout.ENTRY.read(data, at).values())
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
