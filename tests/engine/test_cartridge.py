"""Cartridge files: round trip, shards, and every refusal."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awm_crank.engine import layout, tables
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.layout import Shape
from awm_crank.engine.seeded import SHAPES, cartridge
from awm_crank.errors import CartridgeError

TINY = cartridge(SHAPES["tiny"], 1, "tiny")


def sealed(data: bytes | bytearray) -> bytes:
    """The same bytes with a digest that fits them, as a forger would send."""
    out = bytearray(data)
    out[16:48] = hashlib.sha256(out[48:]).digest()
    return bytes(out)


def patched(offset: int, value: bytes) -> bytes:
    """The tiny cartridge with other bytes at an offset, and a digest that fits."""
    out = bytearray(TINY.data)
    out[offset : offset + len(value)] = value
    return sealed(out)


def tensor_offset(name: str) -> int:
    """The offset of a tensor in the tiny cartridge."""
    specs = layout.tensors(TINY.shape)
    places, _ = layout.offsets(specs)
    return places[[spec.name for spec in specs].index(name)]


def test_parse_gives_back_what_build_was_given() -> None:
    """Every array, format and name survives the file."""
    again = Cartridge.parse(TINY.data, sha256=TINY.sha256)
    assert again.name == "tiny"
    assert again.version == 1
    assert again.shape == TINY.shape
    assert again.formats == TINY.formats
    assert again.arrays.keys() == TINY.arrays.keys()
    assert all(np.array_equal(again.arrays[n], TINY.arrays[n]) for n in TINY.arrays)


def test_manifest_fields() -> None:
    """The fields for a manifest are available: scales for 16 layers, tables and sizes."""
    assert TINY.layer_input_scales == (2048, 2048) + (0,) * 14
    assert TINY.layer_output_scales == (1024, 1024) + (0,) * 14
    assert TINY.luts == tables.build()
    assert TINY.input_size == 182
    assert TINY.total_weight_bytes == sum(spec.size for spec in layout.tensors(TINY.shape))
    assert (TINY.num_continuous, TINY.num_action_states, TINY.num_binary) == (13, 400, 3)


@given(st.integers(1, layout.MAX_SHARD_SIZE))
def test_shards_concatenate_to_the_file(size: int) -> None:
    """The shards' concatenation is the file, and a shard size that needs more than four shards is refused."""
    if size * 4 < len(TINY.data):
        with pytest.raises(CartridgeError, match="shards"):
            TINY.shards(size)
    else:
        shards = TINY.shards(size)
        assert len(shards) <= 4
        assert all(len(shard) == size for shard in shards[:-1])
        assert b"".join(shards) == TINY.data


@pytest.mark.parametrize("size", [0, -1, layout.MAX_SHARD_SIZE + 1])
def test_shard_size_out_of_range_is_refused(size: int) -> None:
    """A shard size that no account can hold is refused."""
    with pytest.raises(CartridgeError, match="shard size"):
        TINY.shards(size)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "length"),
        (TINY.data[:100], "length"),
        (TINY.data[:-1], "file length"),
        (TINY.data + b"\0", "file length"),
        (patched(0, b"NOTACART"), "magic"),
        (patched(8, b"\2\0"), "format_version"),
        (patched(10, b"\1"), "header_size"),
        (TINY.data[:60] + b"!" + TINY.data[61:], "digest"),
        (patched(48, b"\xff"), "name"),
        (patched(82, b"\0\0"), "d_model"),
        (patched(84, b"\x41\0"), "headdim"),
        (patched(86, b"\x07\0"), "d_state"),
        (patched(88, b"\0"), "num_layers"),
        (patched(88, b"\x11"), "num_layers"),
        (patched(89, b"\x05"), "num_heads"),
        (patched(90, b"\0\0"), "headdim"),
        (patched(92, b"\x03"), "d_conv"),
        (patched(93, b"\x80"), "flags"),
        (patched(93, b"\x08"), "frame_dim"),
        (patched(94, b"\1"), "frame_dim"),
        (patched(96, b"\1"), "layer_input_scales"),
        (patched(128, b"\1"), "layer_output_scales"),
        (patched(161, b"\x77"), "function tables"),
        (patched(1188, b"\1"), "input_size"),
        (patched(1190, b"\1"), "extra_size"),
        (patched(1191, b"\x80"), "stick_range"),
        (patched(1210, b"\1"), "hitstun_frac"),
        (patched(1212, b"\1"), "reserved"),
        (patched(1196, b"\1"), "total_weight_bytes"),
        (patched(1201, b"\x1f"), "s_frame"),
        (patched(1224, b"\0"), "head_frac"),
        (patched(1248, b"\x03"), "tensor_count"),
        (patched(1252, b"\1"), "directory_offset"),
        (patched(1264 + 13, b"\1"), "reserved"),
        (patched(1264 + 80, b"\1"), "reserved"),
        (patched(2047, b"\1"), "reserved"),
        (patched(2048, b"\1"), "directory entry 0"),
        (patched(tensor_offset("ctrl_mul") - 1, b"\1"), "padding"),
    ],
)
def test_bad_bytes_are_refused_by_name(data: bytes, message: str) -> None:
    """Each refusal (truncated, wrong hash, version, shape or tables) names the field."""
    with pytest.raises(CartridgeError, match=message):
        Cartridge.parse(data)


def test_another_hash_than_the_pinned_one_is_refused() -> None:
    """A valid cartridge that is not the one asked for is refused."""
    with pytest.raises(CartridgeError, match="SHA-256 of the file"):
        Cartridge.parse(TINY.data, sha256=bytes(32))


def _i32(value: int) -> bytes:
    return value.to_bytes(4, "little", signed=True)


@pytest.mark.parametrize(
    ("tensor", "at", "value", "message"),
    [
        ("layers.0.in_proj.w", 5, b"\x80", "in_proj weight"),
        ("layers.1.in_proj.m", 0, _i32(-1), "in_proj multiplier"),
        ("layers.0.in_proj.m", 8, _i32(2**31 - 1), "in_proj row 2 output bound"),
        ("layers.1.out_proj.m", 4, _i32(2**31 - 1), "out_proj row 1 output bound"),
        ("layers.0.conv_b", 0, _i32(2**31 - 1), "conv channel 0"),
        ("layers.0.dt_bias", 0, _i32(2**26 + 1), "dt_bias"),
        ("layers.0.alpha", 0, _i32(0), "alpha"),
        ("layers.0.hs", 1, b"\x7f", "hs.1. input shift"),
        ("action_embed", 2, (16384).to_bytes(2, "little"), "action_embed"),
    ],
)
def test_tensor_values_out_of_bounds_are_refused(tensor: str, at: int, value: bytes, message: str) -> None:
    """A value that could overflow a step is refused before the first step, with its tensor's name."""
    with pytest.raises(CartridgeError, match=message):
        Cartridge.parse(patched(tensor_offset(tensor) + at, value))


def test_accumulator_overflow_is_refused() -> None:
    """Rows whose accumulator could pass 2^31 are refused, such as 1,400 full weights."""
    shape = Shape(1400, 64, 8, 16, 1)
    source = cartridge(shape, 1)
    arrays = {name: array.copy() for name, array in source.arrays.items()}
    arrays["layers.0.in_proj.w"][7] = 127
    with pytest.raises(CartridgeError, match=r"in_proj row 7 accumulator bound"):
        _rebuild(source, arrays)


@pytest.mark.parametrize(
    "change",
    [
        lambda f: replace(f, s_frame_proj=26),
        lambda f: replace(f, f_final=45),
        lambda f: replace(f, layers=(replace(f.layers[0], f_c=4), f.layers[1])),
        lambda f: replace(f, layers=(replace(f.layers[0], f_z=16), f.layers[1])),
        lambda f: replace(f, layers=(replace(f.layers[0], sh_b=11), f.layers[1])),
        lambda f: replace(f, layers=(replace(f.layers[0], f_in=16), f.layers[1])),
        lambda f: replace(f, layers=(replace(f.layers[0], f_y=40), f.layers[1])),
        lambda f: replace(f, layers=(replace(f.layers[0], eps_gate=2**60), f.layers[1])),
    ],
)
def test_formats_out_of_bounds_are_refused(change: Callable[[layout.Formats], layout.Formats]) -> None:
    """Fraction bits and shifts outside section 10's ranges are refused."""
    with pytest.raises(CartridgeError):
        _rebuild(TINY, dict(TINY.arrays), formats=change(TINY.formats))


def test_build_refuses_values_and_shapes_that_do_not_fit() -> None:
    """A tensor of another shape, or with values beyond its type, is refused by name."""
    with pytest.raises(CartridgeError, match="tensor final_norm shape"):
        _rebuild(TINY, {**TINY.arrays, "final_norm": np.zeros(3, np.int64)})
    with pytest.raises(CartridgeError, match=r"tensor layers\.0\.d values"):
        _rebuild(TINY, {**TINY.arrays, "layers.0.d": np.full(TINY.shape.num_heads, 40000)})
    with pytest.raises(CartridgeError, match="name"):
        _rebuild(TINY, dict(TINY.arrays), name="x" * 33)


def _rebuild(
    source: Cartridge, arrays: dict[str, Any], *, formats: layout.Formats | None = None, name: str = "x"
) -> Cartridge:
    return Cartridge.build(
        name=name,
        version=1,
        shape=source.shape,
        formats=formats or source.formats,
        luts=source.luts,
        arrays=arrays,
        total_params=source.total_params,
    )


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_cartridges_raise_only_cartridge_errors(data: st.DataObject) -> None:
    """Whatever bytes are changed, with a fitting digest or not, parsing gives a cartridge or a CartridgeError."""
    out = bytearray(TINY.data)
    for _ in range(data.draw(st.integers(1, 6))):
        high = data.draw(st.sampled_from([2600, len(out)]))
        out[data.draw(st.integers(0, high - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(out), len(out), 2048, 5000]))
    candidate = sealed(out[:cut]) if data.draw(st.booleans()) and cut >= 48 else bytes(out[:cut])
    try:
        Cartridge.parse(candidate)
    except CartridgeError as error:
        assert str(error)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=3000))
def test_noise_is_refused(data: bytes) -> None:
    """Random bytes always raise CartridgeError."""
    with pytest.raises(CartridgeError):
        Cartridge.parse(data)


def test_only_parse_and_build_make_cartridges() -> None:
    """The constructor is closed, so every cartridge has been proven by the loader."""
    with pytest.raises(TypeError):
        Cartridge(TINY.data)
