"""The chain hash, records and frame blocks, computed a second time from their definition."""

from __future__ import annotations

import struct
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from wire.strategies import KEYS, PLAYERS, exactly

from awm_crank.errors import LayoutError
from awm_crank.wire import frame_records, ids
from awm_crank.wire.accounts import FrameRecord, HiddenState, SessionState

U32 = st.integers(0, (1 << 32) - 1)
SOURCES = st.tuples(st.integers(0, 2), st.integers(0, 2)).map(bytes)


@given(KEYS, KEYS, st.integers(0, 255), st.integers(0, (1 << 64) - 1), U32, PLAYERS)
def test_genesis(session: Pubkey, model: Pubkey, stage: int, seed: int, max_frames: int, players: bytes) -> None:
    """Genesis hashes its tag, both keys, stage, seed, max_frames and the start players, in that order."""
    data = b"awm:genesis:v1" + bytes(session) + bytes(model) + struct.pack("<BQI", stage, seed, max_frames) + players
    assert frame_records.genesis(session, model, stage, seed, max_frames, players) == sha256(data).digest()


@given(exactly(32), U32, exactly(16), SOURCES, PLAYERS, exactly(16))
def test_advance(previous: bytes, frame: int, inputs: bytes, sources: bytes, players: bytes, feedback: bytes) -> None:
    """A frame's hash covers the previous hash and every part of the frame."""
    data = previous + struct.pack("<I", frame) + inputs + sources + players + feedback
    assert frame_records.advance(previous, frame, inputs, sources, players, feedback) == sha256(data).digest()


def test_every_part_moves_the_hash() -> None:
    """Changing one byte of any part gives another hash."""
    parts = [bytes(32), bytes(16), bytes(2), bytes(64), bytes(16)]

    def of(values: list[bytes], frame: int = 1) -> bytes:
        return frame_records.advance(values[0], frame, *values[1:])

    hashes = {of(parts), of(parts, 2)}
    for index, part in enumerate(parts):
        hashes.add(of([*parts[:index], b"\x01" + part[1:], *parts[index + 1 :]]))
    assert len(hashes) == 7


def test_wrong_sizes_are_refused() -> None:
    """A part of another size is refused, so that no two frames can share a hash by shifting bytes."""
    with pytest.raises(LayoutError, match="32, 15, 2, 64, 16"):
        frame_records.advance(bytes(32), 1, bytes(15), bytes(2), bytes(64), bytes(16))
    with pytest.raises(LayoutError, match="frame; expected a u32"):
        frame_records.advance(bytes(32), -1, bytes(16), bytes(2), bytes(64), bytes(16))
    with pytest.raises(LayoutError, match="seed; expected a u64"):
        frame_records.genesis(ids.WORLD, ids.WORLD, 32, 1 << 64, 0, bytes(64))
    with pytest.raises(LayoutError, match="players"):
        frame_records.final_state_sha256(1, bytes(63), b"", bytes(16))


def test_final_state() -> None:
    """The final hash covers frame, players, recurrent state and feedback, in that order, as hex."""
    expected = sha256(b"\x07\0\0\0" + b"p" * 64 + b"state" + b"f" * 16).hexdigest()
    assert frame_records.final_state_sha256(7, b"p" * 64, b"state", b"f" * 16) == expected


@given(U32, exactly(16), SOURCES, st.integers(0, 255), PLAYERS, exactly(32))
def test_record_round_trips(
    frame: int, inputs: bytes, sources: bytes, stage: int, players: bytes, chain_hash: bytes
) -> None:
    """A record decodes to the values that it was made from."""
    raw = frame_records.record(frame, inputs, sources, stage, players, chain_hash)
    record = FrameRecord.decode(raw)
    assert (record.frame, record.inputs, record.sources, record.stage) == (frame, inputs, sources, stage)
    assert (record.players, record.chain_hash) == (players, chain_hash[:8])
    assert raw[4:20] == inputs
    assert raw[24:88] == players


@pytest.mark.parametrize(
    "wrong", [(bytes(15), bytes(2), bytes(64)), (bytes(16), bytes(3), bytes(64)), (bytes(16), bytes(2), bytes(65))]
)
def test_record_refuses_wrong_sizes(wrong: tuple[bytes, bytes, bytes]) -> None:
    """A record's part of another size is refused."""
    with pytest.raises(LayoutError):
        frame_records.record(1, wrong[0], wrong[1], 32, wrong[2], bytes(8))


@given(PLAYERS, exactly(16), exactly(16), st.integers(0, 255))
def test_block(players: bytes, feedback: bytes, inputs: bytes, stage: int) -> None:
    """A frame block is 97 bytes, and its parts are read back from it."""
    block = frame_records.block(players, feedback, inputs, stage)
    assert block == players + feedback + inputs + bytes([stage])
    assert (
        frame_records.block_players(block),
        frame_records.block_feedback(block),
        frame_records.block_inputs(block),
    ) == (
        players,
        feedback,
        inputs,
    )


def test_block_of_session() -> None:
    """A session's block takes players and stage from one account and feedback from the other, of the same frame."""
    key = ids.WORLD
    session = SessionState(2, 9, 0, key, key, 32, b"p" * 64, key, 0, 0, 0, key, key, key, 0, 0, key)
    hidden = HiddenState(
        1, 1, 1, 1, 9, True, key, key, 0, bytes(32), b"f" * 16, 0, bytes(32), 0, key, bytes(32), 0, key
    )
    assert frame_records.block_of_session(session, hidden, b"i" * 16) == b"p" * 64 + b"f" * 16 + b"i" * 16 + b"\x20"
    later = SessionState(2, 10, 0, key, key, 32, b"p" * 64, key, 0, 0, 0, key, key, key, 0, 0, key)
    with pytest.raises(LayoutError, match="expected 10, as SessionState, found 9"):
        frame_records.block_of_session(later, hidden, bytes(16))


def test_chosen_inputs() -> None:
    """A ready player's input is fresh, and the other player's is held or neutral."""
    both = b"a" * 8 + b"b" * 8
    assert frame_records.chosen_inputs(both, (True, True), hold=True) == (both, b"\0\0")
    assert frame_records.chosen_inputs(both, (True, False), hold=True) == (both, b"\0\1")
    assert frame_records.chosen_inputs(both, (False, True), hold=False) == (bytes(8) + b"b" * 8, b"\2\0")
