"""Typed accounts: round trips, refusals, and derived values."""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from wire import strategies

from awm_crank.errors import AccountError, AwmError, LayoutError
from awm_crank.wire import accounts, ids, layouts
from awm_crank.wire.accounts import (
    RECORD_SIZE,
    Checkpoint,
    ControllerInput,
    Feedback,
    FrameLog,
    FrameRecord,
    HiddenState,
    InputBuffer,
    ModelManifest,
    PlayerState,
    SessionState,
    WeightShard,
)

VALID: dict[Any, st.SearchStrategy[bytes]] = {
    SessionState: strategies.session_data(),
    HiddenState: strategies.raw(layouts.HIDDEN_STATE),
    InputBuffer: strategies.raw(layouts.INPUT_BUFFER),
    FrameLog: strategies.frame_logs(),
    ModelManifest: strategies.raw(layouts.MODEL_MANIFEST),
    WeightShard: strategies.with_data(layouts.WEIGHT_SHARD, "finalized"),
    Checkpoint: strategies.with_data(layouts.CHECKPOINT, "finalized"),
}
BLOCKS = (PlayerState, ControllerInput, Feedback, FrameRecord)
ADDRESS = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")


@pytest.mark.parametrize("kind", VALID, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_round_trip(kind: Any, data: st.DataObject) -> None:
    """Valid data decodes, encodes to the same bytes, and decodes to an equal value."""
    raw = data.draw(VALID[kind])
    account = kind.decode(raw, owner=kind.LAYOUT.owner, address=ADDRESS)
    assert account.encode() == raw
    assert kind.decode(account.encode()) == account
    assert kind.decode(memoryview(raw)) == account
    assert account.body() == raw[8:]


@pytest.mark.parametrize("kind", BLOCKS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_block_round_trip(kind: Any, data: st.DataObject) -> None:
    """A valid block decodes and encodes to the same bytes, and any other length is refused."""
    raw = data.draw(strategies.raw(kind.LAYOUT))
    assert kind.decode(raw).encode() == raw
    for wrong in (raw[:-1], raw + b"\0"):
        with pytest.raises(LayoutError, match=kind.__name__):
            kind.decode(wrong)


@pytest.mark.parametrize("kind", [*VALID, *BLOCKS], ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_decoders_are_total(kind: Any, data: st.DataObject) -> None:
    """Any bytes, even after the right discriminator, decode or raise a typed error."""
    layout = kind.LAYOUT
    exact = st.binary(min_size=layout.body.size, max_size=layout.body.size + 300)
    raw = data.draw(st.binary() | exact | exact.map(lambda body: layout.discriminator + body))
    try:
        value = kind.decode(raw)
    except AwmError:
        return
    assert value.encode() == raw


@pytest.mark.parametrize("kind", VALID, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_wrong_accounts_are_refused(kind: Any, data: st.DataObject) -> None:
    """Short data, another owner and another discriminator are refused, and the error names kind and address."""
    raw = data.draw(VALID[kind])
    name = kind.__name__
    trailer = getattr(kind, "TRAILER", None)
    least = kind.LAYOUT.size + (trailer.size if trailer else 0)
    with pytest.raises(LayoutError, match=f"{name} {ADDRESS}: length"):
        kind.decode(raw[: least - 1], address=ADDRESS)
    with pytest.raises(AccountError, match=f"{name} {ADDRESS}: owner"):
        kind.decode(raw, owner=ids.WORLD, address=ADDRESS)
    with pytest.raises(AccountError, match=f"{name} {ADDRESS}: discriminator"):
        kind.decode(b"12345678" + raw[8:], address=ADDRESS)


@pytest.mark.parametrize(
    "kind", [SessionState, HiddenState, InputBuffer, ModelManifest], ids=lambda kind: kind.__name__
)
@given(data=st.data())
def test_long_accounts_are_refused(kind: Any, data: st.DataObject) -> None:
    """One byte more than the struct is refused where nothing may follow it."""
    with pytest.raises(LayoutError, match="length"):
        kind.decode(data.draw(VALID[kind]) + b"\0")


def out_of_range() -> list[tuple[Any, str, int]]:
    found = []
    for kind in [*VALID, *BLOCKS]:
        for name, _, high in kind.LAYOUT.ranges():
            found.append((kind, name, high + 1))
    return found


@pytest.mark.parametrize(
    ("kind", "field", "value"), out_of_range(), ids=lambda each: getattr(each, "__name__", str(each))
)
def test_out_of_range_values_are_refused(kind: Any, field: str, value: int) -> None:
    """The first value above a field's range is refused with the field's name, and the highest valid one is accepted."""
    layout = kind.LAYOUT
    offset, size = layout.span(field)
    data = bytearray(layout.discriminator.ljust(layout.size, b"\0"))
    data[offset : offset + size] = (value - 1).to_bytes(size, "little")
    kind.decode(bytes(data))
    data[offset : offset + size] = value.to_bytes(size, "little")
    with pytest.raises(LayoutError, match=rf"{field} at {offset}; expected 0\.\.{value - 1}, found {value}"):
        kind.decode(bytes(data))


def test_ranges_are_the_described_ones() -> None:
    """PlayerState's limits are those of docs/formats.md."""
    assert {name: high for name, _, high in layouts.PLAYER_STATE.ranges()} == {
        "percent": 999,
        "shield_strength": 15360,
        "stocks": 4,
        "facing": 1,
        "on_ground": 1,
        "action_state": 399,
        "jumps_left": 7,
        "character": 32,
    }


@pytest.mark.parametrize("player", [0, 1])
@pytest.mark.parametrize(("field", "_", "high"), layouts.PLAYER_STATE.ranges())
def test_session_players_are_checked(player: int, field: str, _: int, high: int) -> None:
    """A PlayerState out of range inside SessionState is refused, naming player and field."""
    data = bytearray(layouts.SESSION_STATE.discriminator.ljust(336, b"\0"))
    offset, size = layouts.PLAYER_STATE.span(field)
    at = 82 + 32 * player + offset
    data[at : at + size] = high.to_bytes(size, "little")
    SessionState.decode(bytes(data))
    data[at : at + size] = (high + 1).to_bytes(size, "little")
    with pytest.raises(LayoutError, match=f"PlayerState {player + 1} of .*: {field} at"):
        SessionState.decode(bytes(data))


@given(strategies.session_data(), strategies.raw(layouts.INPUT_BUFFER))
def test_peeks_agree_with_decode(session: bytes, inputs: bytes) -> None:
    """The quick readers return what the full decoders return."""
    full = SessionState.decode(session)
    assert accounts.peek_session(session) == (full.status, full.frame)
    buffer = InputBuffer.decode(inputs)
    assert accounts.peek_inputs(inputs) == (buffer.frame, buffer.inputs, buffer.p1_ready, buffer.p2_ready)


def test_peeks_refuse_short_data() -> None:
    """The quick readers raise LayoutError where the data ends."""
    with pytest.raises(LayoutError, match="SessionState; expected at least 13 bytes, found 12"):
        accounts.peek_session(bytes(12))
    with pytest.raises(LayoutError, match="InputBuffer; expected at least 30 bytes, found 29"):
        accounts.peek_inputs(bytes(29))


def log_with(frames: range, total: int, capacity: int) -> FrameLog:
    """A frame log whose ring holds these frames' numbers."""
    ring = bytearray(capacity * RECORD_SIZE)
    for frame in frames:
        struct.pack_into("<I", ring, (frame - 1) % capacity * RECORD_SIZE, frame)
    key = ids.WORLD
    return FrameLog(total % capacity, total, key, key, capacity, key, bytes(ring), bytes(72))


@given(st.integers(1, 9), st.integers(0, 40))
def test_ring_holds_the_last_frames(capacity: int, total: int) -> None:
    """The ring returns the records of the last `capacity` frames, and refuses all others."""
    held = range(max(1, total - capacity + 1), total + 1)
    log = log_with(held, total, capacity)
    assert list(log.holds()) == list(held)
    for frame in held:
        assert log.record(frame)[:4] == struct.pack("<I", frame)
    for frame in (0, total - capacity, total + 1):
        with pytest.raises(LayoutError, match=f"record of frame {frame}"):
            log.record(frame)


def test_ring_with_a_wrong_record_is_refused() -> None:
    """A record that has another frame's number is refused."""
    log = log_with(range(1, 4), 4, 4)
    with pytest.raises(LayoutError, match="index 3 of frame log; expected frame 4, found frame 0"):
        log.record(4)


def test_missing_ring_holds_nothing() -> None:
    """A log without a ring holds no frames, whatever its count says."""
    log = FrameLog(3, 7, ids.WORLD, ids.WORLD, 0, ids.WORLD, b"", bytes(72))
    assert not log.holds()
    with pytest.raises(LayoutError, match="no frames"):
        log.record(7)


def test_tails_must_fit() -> None:
    """A ring, shard or state of another size than its struct says is refused."""
    log = log_with(range(0), 0, 2).encode()
    with pytest.raises(LayoutError, match=r"expected 192 \(capacity 2\), found 191"):
        FrameLog.decode(log[:-1])
    index = FrameLog(2, 0, ids.WORLD, ids.WORLD, 2, ids.WORLD, bytes(192), bytes(72)).encode()
    with pytest.raises(LayoutError, match="write_index; expected below capacity 2, found 2"):
        FrameLog.decode(index)
    shard = WeightShard(
        0, 3, ids.WORLD, True, bytes(32), ids.WORLD, bytes(32), 1, bytes(256), ids.WORLD, b"abc"
    ).encode()
    assert WeightShard.decode(shard).data == b"abc"
    for wrong in (shard[:-1], shard + b"d"):
        with pytest.raises(LayoutError, match="data_size 3"):
            WeightShard.decode(wrong)


def test_growing_accounts_decode() -> None:
    """A shard or checkpoint that is not finalized may be shorter than its data_size."""
    shard = WeightShard(0, 9, ids.WORLD, False, bytes(32), ids.WORLD, bytes(32), 0, bytes(256), ids.WORLD, b"abc")
    assert WeightShard.decode(shard.encode()) == shard


def test_heads_decode_without_their_tails() -> None:
    """Data that was fetched up to the struct's end decodes with an empty tail."""
    shard = WeightShard(0, 9, ids.WORLD, True, bytes(32), ids.WORLD, bytes(32), 1, bytes(256), ids.WORLD, b"123456789")
    head = WeightShard.decode_head(shard.encode()[:432])
    assert (head.data_size, head.finalized, head.data) == (9, True, b"")
    with pytest.raises(LayoutError, match="length"):
        WeightShard.decode_head(shard.encode()[:431])


def test_checkpoint_hash_covers_frame_to_end() -> None:
    """A checkpoint's data_hash covers its account from the field `frame` to the end."""
    checkpoint = Checkpoint(
        ids.WORLD,
        1,
        False,
        0,
        5,
        bytes(32),
        ids.WORLD,
        7,
        bytes(16),
        bytes(64),
        bytes(16),
        bytes(range(32)),
        0,
        b"state",
    )
    assert checkpoint.hashed == checkpoint.encode()[112:]
    assert len(checkpoint.hashed) == 248 - 112 + 5
    assert sha256(checkpoint.hashed).digest() != sha256(checkpoint.encode()).digest()


def test_record_parts() -> None:
    """A record's inputs, sources and players each hold player 0's part first, and then player 1's."""
    record = FrameRecord(1, b"a" * 8, b"b" * 8, 0, 2, 32, 0, b"c" * 32, b"d" * 32, bytes(8))
    assert record.inputs == b"a" * 8 + b"b" * 8
    assert record.sources == b"\0\2"
    assert record.players == b"c" * 32 + b"d" * 32


def test_manifest_title() -> None:
    """A manifest's name is text without its padding, and can always be printed."""
    data = bytearray(layouts.MODEL_MANIFEST.discriminator.ljust(1460, b"\0"))
    data[8:13] = b"demo\xff"
    assert ModelManifest.decode(bytes(data)).title == "demo\N{REPLACEMENT CHARACTER}"


def test_encode_refuses_what_does_not_fit() -> None:
    """A value that its field cannot hold is refused when it is encoded."""
    with pytest.raises(LayoutError, match="percent"):
        PlayerState(percent=1000).encode()
    with pytest.raises(LayoutError, match="PlayerState"):
        PlayerState(x=1 << 31).encode()
    with pytest.raises(LayoutError, match="ControllerInput"):
        ControllerInput(stick_x=128).encode()
