"""Pieces: any k give the cartridge, and no byte of a piece can be another."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awm_crank.errors import CartridgeError
from awm_crank.wire.pieces import LEAF, SHEET_SIZE, Reader, Sheet, join, of_piece, split

DATA = Random(5).randbytes(3 * 2 * LEAF + 777)
SHEET, FILES = split(DATA, 3, 2)


def content(index: int, file: bytes, step: int = 1 << 20) -> bytes:
    """The proven content of a piece's file that arrives in parts of `step` bytes."""
    reader = Reader(SHEET, index)
    for at in range(0, len(file), step):
        reader.feed(file[at : at + step])
    return reader.finish()


def test_any_three_of_five() -> None:
    """Each choice of three pieces gives every byte, and each file has the size that the sheet says."""
    assert {len(file) for file in FILES} == {SHEET.file_size}
    proven = {index: content(index, file) for index, file in enumerate(FILES)}
    for chosen in combinations(range(5), 3):
        assert join(SHEET, {index: proven[index] for index in chosen}) == DATA
    with pytest.raises(CartridgeError, match="expected 3, found 2"):
        join(SHEET, {0: proven[0], 4: proven[4]})


@pytest.mark.parametrize("step", [1, 1000, LEAF, LEAF + 1])
def test_parts_of_any_size(step: int) -> None:
    """How the bytes are cut on the way makes no difference."""
    sheet, files = split(DATA[:5000], 1, 1)
    for index, file in enumerate(files):
        reader = Reader(sheet, index)
        for at in range(0, len(file), step):
            reader.feed(file[at : at + step])
        assert reader.done
        assert reader.finish() == DATA[:5000]


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, SHEET.file_size - 1), flip=st.integers(1, 255), index=st.integers(0, 4))
def test_any_changed_byte_is_caught(at: int, flip: int, index: int) -> None:
    """A change of any byte is caught, in the head at once, in the content at its leaf; leaves before it are proven."""
    file = bytearray(FILES[index])
    file[at] ^= flip
    reader = Reader(SHEET, index)
    with pytest.raises(CartridgeError, match=f"piece {index}"):
        reader.feed(bytes(file))
    assert len(reader.content) == max(0, at - SHEET.head_size) // LEAF * LEAF


@settings(max_examples=40, deadline=None)
@given(size=st.integers(0, SHEET.file_size - 1))
def test_cut(size: int) -> None:
    """A file that ends early is refused as a piece."""
    with pytest.raises(CartridgeError, match=f"found {size}"):
        content(1, FILES[1][:size])


def test_longer_and_swapped() -> None:
    """Bytes behind the end, another piece of the same cartridge, and a piece of another one are caught."""
    with pytest.raises(CartridgeError, match="found more"):
        content(1, FILES[1] + b"x")
    with pytest.raises(CartridgeError, match="head"):
        content(1, FILES[2])
    with pytest.raises(CartridgeError, match="head"):
        content(1, split(DATA[1:], 3, 2)[1][1])


def test_pieces_that_do_not_belong_together() -> None:
    """If the publisher's own parity is wrong, the cartridge's hash says so."""
    with pytest.raises(CartridgeError, match="publisher's pieces are wrong"):
        join(SHEET, {0: content(0, FILES[0]), 1: content(1, FILES[1]), 3: bytes(SHEET.piece_size)})


def test_sheet() -> None:
    """The sheet keeps its fields in its bytes, and a piece's file begins with the same."""
    assert Sheet.decode(SHEET.encode(), "sheet") == SHEET
    assert of_piece(FILES[3], "piece") == (SHEET, 3)
    # the root binds every other field
    assert split(DATA, 2, 3)[0].root != SHEET.root


@given(raw=st.binary(max_size=2 * SHEET_SIZE) | st.binary(max_size=80).map(lambda rest: SHEET.encode()[:8] + rest))
def test_any_bytes_are_a_sheet_or_refused(raw: bytes) -> None:
    """Any bytes give a sheet that gives the same bytes, or a typed error."""
    try:
        assert Sheet.decode(raw, "sheet").encode() == raw
    except CartridgeError as error:
        assert "sheet" in str(error)


@pytest.mark.parametrize(("data", "parity", "size"), [(0, 2, 100), (60, 5, 100), (3, 1, 2)])
def test_impossible_numbers(data: int, parity: int, size: int) -> None:
    """No data piece, too many pieces, or a piece without a byte are refused."""
    with pytest.raises(CartridgeError, match=r"pieces|size"):
        split(bytes(size), data, parity)


def test_no_parity() -> None:
    """Without parity, all pieces are needed."""
    sheet, files = split(DATA, 2, 0)
    found = {}
    for index, file in enumerate(files):
        reader = Reader(sheet, index)
        reader.feed(file)
        found[index] = reader.finish()
    assert join(sheet, found) == DATA
