"""Extra feedback: a match of a world that feeds more back to itself than the 16 bytes of Feedback."""

from __future__ import annotations

import hashlib
import struct

import pytest
from solders.pubkey import Pubkey
from svm.rig import CARTRIDGE, MODEL, NEUTRAL, Chain, Error, Session, players

from awm_crank.wire import deposits, frame_records, ids, layouts, programs
from awm_crank.wire.accounts import RECORD_SIZE, Checkpoint, FrameLog, FrameRecord, HiddenState

SIZES = (1, 5, 6, 12)
STATE = bytes(range(256)) * 2


def extra(size: int, frame: int) -> bytes:
    """Both players' extra feedback of a frame: every byte is its own."""
    return hashlib.sha512(b"extra" + bytes((frame,))).digest()[: 2 * size]


def joined(chain: Chain, size: int) -> Session:
    """A session of a world with `size` bytes of extra feedback a player, before anything is prepared."""
    chain.publish(MODEL, CARTRIDGE, extra_size=size)
    s = Session.new(chain, create=False)
    chain.ok(s.lifecycle(0, s.player1, writer=s.w), signers=[s.player1])
    chain.ok(s.lifecycle(1, s.player2, character=2), signers=[s.player2])
    s.claim()
    return s


def active(chain: Chain, size: int, capacity: int = 256) -> Session:
    """A session whose frames can be written."""
    s = joined(chain, size)
    s.pin()
    for _ in range(-(-capacity * (RECORD_SIZE + 2 * size) // 10_240)):
        chain.ok(programs.ring_grow(s.w, s.entity, capacity), signers=[s.writer])
    return s


def step(s: Session, size: int) -> None:
    s.step(extra=extra(size, s.frame() + 1))


@pytest.mark.parametrize("size", SIZES)
def test_frames_carry_extra_feedback(chain: Chain, size: int) -> None:
    """A frame's extra feedback is hashed, and stands behind its record; no described field moves."""
    s = active(chain, size)
    hidden = HiddenState.decode(s.data(ids.HIDDEN_STATE))
    assert (hidden.extra_size, hidden.held, len(s.data(ids.HIDDEN_STATE))) == (size, 0, layouts.HIDDEN_STATE.size)
    assert len(s.data(ids.FRAME_LOG)) == layouts.FRAME_LOG_BYTES + 256 * (RECORD_SIZE + 2 * size)
    genesis = s.chain_hash()
    for _ in range(3):
        step(s, size)
    log = FrameLog.decode(s.data(ids.FRAME_LOG))
    assert (log.capacity, log.record_size) == (256, RECORD_SIZE + 2 * size)
    chain_hash = genesis
    for frame in (1, 2, 3):
        record = FrameRecord.decode(log.record(frame))
        assert (record.frame, record.extra) == (frame, extra(size, frame))
        after = players(p0_character=1, p1_character=2)
        chain_hash = frame_records.advance(
            chain_hash, frame, NEUTRAL * 2, b"\1\1", after, bytes(16), extra(size, frame)
        )
        assert record.chain_hash == chain_hash[:8]
    assert s.chain_hash() == chain_hash
    assert HiddenState.decode(s.data(ids.HIDDEN_STATE)).extra_size == size


def test_frames_of_another_length_are_refused(chain: Chain) -> None:
    """The manifest decides how much extra feedback a frame has; neither more nor less is accepted."""
    s = active(chain, 5)
    for wrong in (0, 1, 4, 6, 12):
        chain.refused(Error.InvalidArguments, s.inference(extra=extra(wrong, 1)), signers=[s.writer])
    plain = Session.active(Chain())
    plain.chain.refused(Error.InvalidArguments, plain.inference(extra=bytes(2)), signers=[plain.writer])


def test_a_ring_of_another_world_takes_no_frame(chain: Chain) -> None:
    """A ring that was made before the cartridge was pinned has shorter records, and no frame is written to it."""
    s = joined(chain, 6)
    s.grow_ring(256)
    s.pin()
    chain.refused(Error.RingMissing, s.inference(extra=extra(6, 1)), signers=[s.writer])


def test_a_manifest_cannot_ask_for_more(chain: Chain) -> None:
    """A manifest that claims 13 bytes of extra feedback for each player cannot be pinned."""
    s = joined(chain, 13)
    pin = programs.pin_cartridge(s.w, s.entity, MODEL)
    chain.refused(Error.OutOfRange, pin, signers=[s.writer])


def checkpoint(s: Session, side: int) -> Pubkey:
    """A checkpoint's account of full size."""
    chain = s.chain
    chain.ok(programs.checkpoint_create(s.w, s.entity, side, len(STATE)), signers=[s.writer])
    return programs.checkpoint_pda(s.entity, side)


def write(s: Session, side: int, more: bytes) -> bytes:
    """Begins and fills a checkpoint of the current frame; returns the hash to finalize with."""
    header = s.header()
    begin = programs.checkpoint_begin(s.w, s.entity, side, *header, more)
    s.chain.ok(begin, signers=[s.writer])
    s.chain.ok(programs.checkpoint_write(s.w, s.entity, side, 0, STATE), signers=[s.writer])
    frame, *rest = header
    return hashlib.sha256(frame.to_bytes(4, "little") + b"".join(rest) + bytes(4) + STATE + more).digest()


@pytest.mark.parametrize("size", SIZES)
def test_checkpoints_carry_extra_feedback(chain: Chain, size: int) -> None:
    """The extra feedback follows the state. The hash covers it, and the log's record has to agree with it."""
    s = active(chain, size)
    at = checkpoint(s, 0)
    assert len(chain.data(at)) == layouts.CHECKPOINT.size + len(STATE) + 2 * size
    step(s, size)
    wrong = bytes(2 * size)
    digest = write(s, 0, wrong)
    chain.refused(Error.CheckpointContradictsLog, s.finalize(0, digest), signers=[s.writer])
    short = programs.checkpoint_begin(s.w, s.entity, 0, *s.header(), wrong[:-1])
    chain.refused(Error.InvalidArguments, short, signers=[s.writer])
    past = programs.checkpoint_write(s.w, s.entity, 0, len(STATE), b"x")
    chain.refused(Error.OutOfRange, past, signers=[s.writer])
    right = extra(size, 1)
    digest = write(s, 0, right)
    step(s, size)  # the frame's record is compared even after the match went on
    chain.ok(s.finalize(0, digest), signers=[s.writer])
    found = Checkpoint.decode(chain.data(at))
    assert (found.recurrent, found.extra, found.data_hash) == (STATE, right, digest)
    assert hashlib.sha256(found.hashed).digest() == digest


def test_checkpoint_of_frame_0_has_no_extra_feedback(chain: Chain) -> None:
    """Frame 0's extra feedback is zero, and nothing else is accepted."""
    s = active(chain, 6)
    checkpoint(s, 0)
    digest = write(s, 0, b"\1" + bytes(11))
    chain.refused(Error.CheckpointContradictsLog, s.finalize(0, digest), signers=[s.writer])
    chain.ok(s.finalize(0, write(s, 0, bytes(12))), signers=[s.writer])


def test_checkpoint_made_before_the_pin_grows(chain: Chain) -> None:
    """A checkpoint that was made before the cartridge was pinned gets the missing bytes by checkpoint_grow."""
    s = joined(chain, 12)
    at = checkpoint(s, 0)
    assert len(chain.data(at)) == layouts.CHECKPOINT.size + len(STATE)
    s.pin()
    chain.ok(programs.checkpoint_grow(s.w, s.entity, 0), signers=[s.writer])
    assert len(chain.data(at)) == layouts.CHECKPOINT.size + len(STATE) + 24
    assert HiddenState.decode(s.data(ids.HIDDEN_STATE)).held == 1


@pytest.mark.parametrize("size", (0, *SIZES))
def test_every_lamport_comes_back(chain: Chain, size: int) -> None:
    """The deposit pays for checkpoints and ring with their extra feedback, and everything goes back to player 1."""
    s = joined(chain, size)
    s.pin()
    before = chain.lamports(s.p1)
    chain.ok(deposits.deposit(s.p1, s.entity, 10**9, 0), signers=[s.player1])
    writer = chain.lamports(s.w)
    for side in (0, 1):
        make = deposits.checkpoint_create_deposited(s.w, s.entity, side, len(STATE))
        chain.ok(make, signers=[s.writer])
        at = programs.checkpoint_pda(s.entity, side)
        assert chain.lamports(at) == (128 + len(chain.data(at))) * 6960
    chain.ok(deposits.ring_fund(s.w, s.entity, 256), signers=[s.writer])
    for _ in range(-(-256 * (RECORD_SIZE + 2 * size) // 10_240)):
        chain.ok(programs.ring_grow(s.w, s.entity, 256), signers=[s.writer])
    assert chain.lamports(s.w) == writer
    assert len(s.data(ids.FRAME_LOG)) == 184 + 256 * (RECORD_SIZE + 2 * size)
    assert chain.lamports(s.at(ids.FRAME_LOG)) == (128 + len(s.data(ids.FRAME_LOG))) * 6960
    step(s, size)
    assert struct.unpack_from("<I", s.data(ids.FRAME_LOG), 112) == (1,)
    s.settle()
    for ix in (
        programs.checkpoint_close(s.p1, s.entity, 0, s.p1),
        programs.checkpoint_close(s.p1, s.entity, 1, s.p1),
        deposits.deposit_close(s.p1, s.entity, s.p1, s.w),
        programs.ring_shrink(s.p1, s.entity, s.p1),
    ):
        chain.ok(ix, signers=[s.player1])
    hidden = HiddenState.decode(s.data(ids.HIDDEN_STATE))
    assert (hidden.extra_size, hidden.held) == (size, 0)
    rings = chain.lamports(s.at(ids.FRAME_LOG)) - (128 + 184) * 6960
    assert chain.lamports(s.p1) + rings == before
    chain.ok(programs.close_frame_log(s.p1, s.entity, s.p1), signers=[s.player1])
    chain.ok(programs.close_input_buffer(s.p1, s.entity, s.p1), signers=[s.player1])
    chain.ok(programs.close_hidden_state(s.p1, s.entity, s.p1), signers=[s.player1])
    chain.ok(programs.close_session_state(s.p1, s.entity, s.p1), signers=[s.player1])
    assert chain.lamports(s.w) == writer
