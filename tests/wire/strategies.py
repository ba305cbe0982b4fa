"""Hypothesis strategies for the wire room's values, with every field within its layout's range."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from solders.pubkey import Pubkey

from awm_crank.wire import accounts, layouts
from awm_crank.wire.layouts import Layout

KEYS = st.binary(min_size=32, max_size=32).map(Pubkey.from_bytes)
LIMITS = {"B": (0, 255), "b": (-128, 127), "H": (0, 65535), "h": (-(1 << 15), (1 << 15) - 1), "I": (0, (1 << 32) - 1),
          "i": (-(1 << 31), (1 << 31) - 1), "Q": (0, (1 << 64) - 1), "q": (-(1 << 63), (1 << 63) - 1)}  # fmt: skip


def exactly(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


def raw(layout: Layout) -> st.SearchStrategy[bytes]:
    """Bytes of a layout with every field in range."""

    def fill(blob: bytes) -> bytes:
        data = bytearray(layout.discriminator + blob)
        for name, low, high in layout.ranges():
            offset, size = layout.span(name)
            value = int.from_bytes(data[offset : offset + size], "little")
            data[offset : offset + size] = (low + value % (high - low + 1)).to_bytes(size, "little")
        return bytes(data)

    return exactly(layout.body.size).map(fill)


PLAYERS = st.tuples(raw(layouts.PLAYER_STATE), raw(layouts.PLAYER_STATE)).map(b"".join)


@st.composite
def session_data(draw: st.DrawFn) -> bytes:
    """SessionState data with both PlayerStates in range."""
    data = bytearray(draw(raw(layouts.SESSION_STATE)))
    offset, size = layouts.SESSION_STATE.span("players")
    data[offset : offset + size] = draw(PLAYERS)
    return bytes(data)


@st.composite
def frame_logs(draw: st.DrawFn) -> bytes:
    """FrameLog data with a ring of up to six records."""
    capacity = draw(st.integers(0, 6))
    values: list[Any] = layouts.FRAME_LOG.unpack(draw(raw(layouts.FRAME_LOG)))
    values[0] = draw(st.integers(0, max(0, capacity - 1)))
    values[4] = capacity
    return layouts.FRAME_LOG.pack(values) + draw(exactly(capacity * accounts.RECORD_SIZE + layouts.LOG_PAYMENTS.size))


@st.composite
def with_data(draw: st.DrawFn, layout: Layout, finalized: str) -> bytes:
    """WeightShard or Checkpoint data, followed by data_size bytes, or fewer where it is not finalized."""
    values = layout.unpack(draw(raw(layout)))
    tail = draw(st.binary(max_size=200))
    at = layout.names.index("data_size")
    values[at] = len(tail) + (0 if values[layout.names.index(finalized)] else draw(st.integers(0, 99)))
    return layout.pack(values) + tail
