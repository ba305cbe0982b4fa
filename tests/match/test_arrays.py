"""Arrays of a stranger's file are read bit for bit, or refused before they take memory."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.errors import CheckpointError
from awm_crank.match import arrays
from awm_crank.match.arrays import read_arrays

GOOD = {"a": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.array(7), "c": np.zeros((2, 0), np.uint8)}


def npz(values: dict[str, Any], compressed: bool = True) -> bytes:
    """A file of these arrays."""
    out = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(out, **values)
    return out.getvalue()


def member(shape: tuple[int, ...], body: bytes, descr: str = "<f4", size: int | None = None) -> bytes:
    """A file whose only array claims this shape, whatever follows."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": descr, "fortran_order": False, "shape": shape})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", head.getvalue() + body)
    data = bytearray(out.getvalue())
    if size is not None:
        # the size in the central directory, which readers use
        at = data.rindex(b"PK\x01\x02") + 24
        data[at : at + 4] = size.to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize("compressed", [True, False])
def test_good(compressed: bool) -> None:
    """Values, shapes and types are read back, in either order of axes."""
    found = read_arrays(npz({**GOOD, "f": np.asfortranarray(GOOD["a"])}, compressed))
    assert found.keys() == {*GOOD, "f"}
    for name, value in {**GOOD, "f": GOOD["a"]}.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize(
    "data",
    [
        npz({"a": np.zeros(arrays.MAX_BYTES // 4 + 1, np.float32)}),
        member((1 << 40,), b"\0" * 64),
        member((1 << 40,), b"\0" * 64, size=0xFFFFFFF0),
        member((1 << 20, 1 << 20, 1 << 20), b""),
        member((-1, -16), b"\0" * 64),
        npz({f"a{n}": np.zeros(1) for n in range(arrays.MAX_ARRAYS + 1)}),
    ],
    ids=["bomb", "shape", "size", "axes", "negative", "many"],
)
def test_too_large(data: bytes) -> None:
    """A small file that expands to a large array is refused without taking the memory."""
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=r"policy file \(\.npz\)"):
            read_arrays(data)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("value", [np.array([1, "x"], dtype=object), np.array(["text"]), np.zeros(1, "<c8")])
def test_other_types(value: Any) -> None:
    """Objects, text and complex numbers are refused as weights."""
    with pytest.raises(CheckpointError, match="an array of"):
        read_arrays(npz({"a": value}))


def test_unknown_compression() -> None:
    """A compression method that zipfile does not know is reported as the file's fault, not as NotImplementedError."""
    data = bytearray(npz(GOOD))
    for at in range(len(data) - 4):
        if data[at : at + 4] == b"PK\x01\x02":
            data[at + 10 : at + 12] = (99).to_bytes(2, "little")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_arrays(bytes(data))


@given(st.data())
def test_any_damage(data: st.DataObject) -> None:
    """A file with changed bytes is refused, or gives arrays."""
    raw = bytearray(npz(GOOD, data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert all(isinstance(each, np.ndarray) for each in read_arrays(bytes(raw)).values())
    except CheckpointError as error:
        assert "policy file" in str(error)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    """Bytes that are no archive are refused by name."""
    with pytest.raises(CheckpointError, match="policy file"):
        read_arrays(data)
