"""What observers are shown of a frame."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from telemetry.observed import landed

from awm_crank.telemetry.frames import COMPACT_SIZE, compact, moments, readable
from awm_crank.wire.accounts import PlayerState


def block(one: PlayerState, two: PlayerState) -> bytes:
    """A frame block with recognizable feedback, inputs and stage."""
    return one.encode() + two.encode() + bytes(range(16)) + bytes(range(100, 116)) + bytes([32])


def test_compact() -> None:
    """The compact form has frame number, block and the hash's head at the documented offsets."""
    shown = landed(0x01020304, block(PlayerState(x=1), PlayerState()), bytes(range(32)), True, 5)
    data = compact(shown)
    assert len(data) == COMPACT_SIZE == 109
    assert data[:4] == bytes([4, 3, 2, 1])
    assert data[4:101] == shown.block
    assert data[101:] == bytes(range(8))


def test_readable() -> None:
    """The readable form is one JSON object with players in game units and by name, and inputs as hex."""
    shown = landed(9, block(PlayerState(x=-640, percent=42, stocks=3), PlayerState(y=128)), bytes(32), False, 5)
    value = json.loads(readable(shown))
    assert (value["frame"], value["on_time"], value["stage"]) == (9, False, 32)
    one, two = value["players"]
    assert (one["x"], one["percent"], one["stocks"], two["y"]) == (-2.5, 42, 3, 0.5)
    assert value["inputs"] == [bytes(range(100, 108)).hex(), bytes(range(108, 116)).hex()]
    assert value["chain_hash"] == "00" * 32


@given(
    st.tuples(st.integers(0, 999), st.integers(0, 4)), st.tuples(st.integers(0, 999), st.integers(0, 4)),
    st.sampled_from([0, 1]),
)  # fmt: skip
def test_moments(was: tuple[int, int], now: tuple[int, int], player: int) -> None:
    """A lost stock is a KO, and more percent without one is a hit; an unchanged player has no event."""
    still = PlayerState(percent=50, stocks=2)

    def of(values: tuple[int, int]) -> bytes:
        moving = PlayerState(percent=values[0], stocks=values[1])
        return block(moving, still) if player == 0 else block(still, moving)

    found = list(moments(of(was), of(now)))
    if now[1] < was[1]:
        assert found == [("ko", {"player": player + 1, "stocks": now[1]})]
    elif now[0] > was[0]:
        assert found == [("hit", {"player": player + 1, "percent": now[0], "damage": now[0] - was[0]})]
    else:
        assert found == []
