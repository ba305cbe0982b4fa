"""Naming the first byte that differs."""

from __future__ import annotations

import pytest

from awm_crank.match.difference import BLOCK, CHECKPOINT, RECORD, Difference, Fields
from awm_crank.wire.accounts import RECORD_SIZE


@pytest.mark.parametrize(("fields", "size"), [(RECORD, RECORD_SIZE), (BLOCK, 97), (CHECKPOINT, 136)])
def test_leaves_cover_every_byte_once(fields: Fields, size: int) -> None:
    """The leaves of a layout cover every byte, without gap or overlap."""
    at = 0
    for _, offset, width, _ in fields.leaves:
        assert offset == at
        at += width
    assert at == size


def test_first_of_several() -> None:
    """If several bytes differ, the error names the field of the first one, with the field's whole values."""
    expected, found = bytearray(RECORD_SIZE), bytearray(RECORD_SIZE)
    found[29], found[40], found[90] = 1, 1, 1
    assert RECORD.first(3, "record", bytes(expected), bytes(found)) == Difference(
        3, "record", "player1.y", 29, "0", "256"
    )


def test_byte_strings_are_hex() -> None:
    """A field of bytes is shown in hex."""
    found = RECORD.first(1, "record", bytes(RECORD_SIZE), bytes(RECORD_SIZE - 1) + b"\xff")
    assert found is not None
    assert (found.field, found.expected, found.found) == ("chain_hash", "00" * 8, "00" * 7 + "ff")


def test_behind_the_struct() -> None:
    """Bytes after a checkpoint's struct are reported as its state, with their offset."""
    found = CHECKPOINT.first(9, "checkpoint A", bytes(200), bytes(150) + b"\1" + bytes(49))
    assert found == Difference(9, "checkpoint A", "state", 150, "0x00", "0x01")


def test_lengths() -> None:
    """A different length is reported as a difference."""
    found = CHECKPOINT.first(9, "checkpoint A", bytes(200), bytes(199))
    assert found is not None
    assert (found.field, found.expected, found.found) == ("length", "200 bytes", "199 bytes")


def test_equal() -> None:
    """For equal bytes, `first` returns None."""
    assert BLOCK.first(1, "block", bytes(97), bytes(97)) is None
