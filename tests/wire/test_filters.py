"""Filters select exactly the accounts that they should; the tests match them as an endpoint does."""

from __future__ import annotations

import base64

import pytest
from solders.pubkey import Pubkey

from awm_crank.wire import filters, layouts
from awm_crank.wire.accounts import ACTIVE, ENDED

ENTITY, OTHER = Pubkey(bytes([7] * 32)), Pubkey(bytes([8] * 32))


def passes(wanted: filters.Filters, data: bytes) -> bool:
    """Whether all filters let the data through."""
    for each in wanted:
        if "dataSize" in each:
            if len(data) != each["dataSize"]:
                return False
            continue
        compare = each["memcmp"]
        value = base64.b64decode(compare["bytes"])
        if data[compare["offset"] : compare["offset"] + len(value)] != value:
            return False
    return True


def account(layout: layouts.Layout, **fields: bytes) -> bytes:
    """An account of zeros except for these fields."""
    data = bytearray(layout.size)
    for name, value in fields.items():
        at = layout.offset(name)
        data[at : at + len(value)] = value
    return bytes(data)


def test_of_writer() -> None:
    """The filter selects hidden states of that writer, and nothing of another size or writer."""
    data = account(layouts.HIDDEN_STATE, writer=bytes(ENTITY))
    assert passes(filters.of_writer(ENTITY), data)
    assert not passes(filters.of_writer(OTHER), data)
    assert not passes(filters.of_writer(ENTITY), data + b"\0")


def test_ended() -> None:
    """The filter selects that entity's session, and only once it has ended."""
    data = account(layouts.SESSION_STATE, status=bytes([ENDED]), entity=bytes(ENTITY))
    assert passes(filters.ended(ENTITY), data)
    assert not passes(filters.ended(OTHER), data)
    running = account(layouts.SESSION_STATE, status=bytes([ACTIVE]), entity=bytes(ENTITY))
    assert not passes(filters.ended(ENTITY), running)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_both_inputs(first: int, second: int) -> None:
    """The filter selects that entity's input buffer, and only with both inputs."""
    data = account(
        layouts.INPUT_BUFFER, p1_ready=bytes([first]), p2_ready=bytes([second]), entity=bytes(ENTITY)
    )  # fmt: skip
    assert passes(filters.both_inputs(ENTITY), data) is bool(first and second)
    assert not passes(filters.both_inputs(OTHER), data)
