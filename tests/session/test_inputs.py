"""The inputs that a frame is computed from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.errors import LayoutError
from awm_crank.session.inputs import Known, choose
from awm_crank.wire import ids
from awm_crank.wire.accounts import InputBuffer

ONE, TWO = bytes([1] * 8), bytes([2] * 8)


def test_decode() -> None:
    """The account gives the coming frame's number, both inputs, and which of them are ready."""
    data = InputBuffer(
        9, ONE, TWO, True, False, ids.ZERO_KEY, bytes(8), bytes(8), True, True, ids.WORLD, ids.WORLD
    ).encode()
    assert Known.decode(data) == Known(9, ONE + TWO, 1, 0)


def test_decode_short() -> None:
    """Data that is too short raises a typed error."""
    with pytest.raises(LayoutError):
        Known.decode(bytes(20))


@pytest.mark.parametrize(
    ("ready1", "ready2", "policy", "expected"),
    [
        (1, 1, "wait", (ONE + TWO, b"\0\0")),
        (1, 1, "hold", (ONE + TWO, b"\0\0")),
        (1, 0, "wait", None),
        (0, 0, "wait", None),
        (1, 0, "hold", (ONE + TWO, b"\0\1")),
        (0, 1, "hold", (ONE + TWO, b"\1\0")),
        (1, 0, "neutral", (ONE + bytes(8), b"\0\2")),
        (0, 0, "neutral", (bytes(16), b"\2\2")),
    ],
)
def test_choose(ready1: int, ready2: int, policy: str, expected: tuple[bytes, bytes] | None) -> None:
    """A ready input is fresh. A late one is held, replaced by neutral, or waited for, as configured."""
    assert choose(Known(1, ONE + TWO, ready1, ready2), policy) == expected  # type: ignore[arg-type]


orders = st.builds(Known, st.integers(0, 3), st.just(bytes(16)), st.integers(0, 1), st.integers(0, 1))


@given(orders, orders)
def test_newer_is_an_order(one: Known, two: Known) -> None:
    """Of two states of the buffer, at most one is newer than the other, and no state is newer than itself."""
    assert not (one.newer_than(two) and two.newer_than(one))
    assert not one.newer_than(one)
