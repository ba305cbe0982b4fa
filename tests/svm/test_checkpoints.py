"""Checkpoints on two sides are grown, written in chunks and finalized on chain,
and the last good one is never harmed.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest
from svm.rig import Chain, Error, Session

from awm_crank.wire import ids, programs

SIZE = 25_000
STATE = random.Random(1).randbytes(SIZE)


@pytest.fixture
def ready(session: Session) -> Session:
    """A session with three frames and both sides at full size."""
    for side in range(2):
        session.create_checkpoint(side, SIZE)
    for _ in range(3):
        session.step()
    return session


def header_fields(s: Session) -> tuple[bool, int, bytes, int]:
    """initialized, checkpoint frame, hash and side of the hidden-state header."""
    data = s.data(ids.HIDDEN_STATE)
    return bool(data[21]), int.from_bytes(data[138:142], "little"), data[142:174], data[174]


def test_slots_in_turn(ready: Session) -> None:
    """Slots A, B and A are finalized in turn. Header and account agree, and the bytes are the state."""
    frame = 3
    for side in (0, 1, 0):
        digest = ready.checkpoint(side, STATE[side:] + STATE[:side])
        account = ready.chain.data(programs.checkpoint_pda(ready.entity, side))
        assert len(account) == 248 + SIZE
        assert (account[40], account[41]) == (side, 1)
        assert account[48:80] == hashlib.sha256(account[112:]).digest() == digest
        assert account[248:] == STATE[side:] + STATE[:side]
        assert header_fields(ready) == (True, frame, digest, side)
        ready.step()
        frame += 1


def test_creation_and_growth(chain: Chain, session: Session) -> None:
    """Each instruction adds 10,240 bytes up to the full size and no further, and the header takes over the size."""
    s = session
    chain.ok(programs.checkpoint_create(s.w, s.entity, 1, SIZE), signers=[s.writer])
    key = programs.checkpoint_pda(s.entity, 1)
    for expected in (10_240, 20_480, 25_248, 25_248):
        assert len(chain.data(key)) == expected
        assert chain.lamports(key) == (128 + expected) * 6960
        chain.ok(programs.checkpoint_grow(s.w, s.entity, 1), signers=[s.writer])
    assert int.from_bytes(s.data(ids.HIDDEN_STATE)[13:17], "little") == SIZE
    chain.refused(Error.AlreadyCreated, programs.checkpoint_create(s.w, s.entity, 1, SIZE), signers=[s.writer])
    for side, size in ((2, SIZE), (0, 0), (0, 2_700_000)):
        ix = programs.checkpoint_create(s.w, s.entity, 0, size)
        data = bytes([*ix.data[:8], side, *ix.data[9:]])
        ix = type(ix)(ix.program_id, data, ix.accounts)
        chain.refused(Error.OutOfRange, ix, signers=[s.writer])
    chain.refused(Error.WriterMismatch, programs.checkpoint_create(s.p1, s.entity, 0, SIZE), signers=[s.player1])


def test_prefunded_address_is_no_obstacle(chain: Chain, session: Session) -> None:
    """Lamports that someone sent to the address before do not prevent the checkpoint's creation."""
    key = programs.checkpoint_pda(session.entity, 0)
    chain.svm.airdrop(key, 900_000)
    session.create_checkpoint(0, 5_000)
    assert chain.lamports(key) == (128 + 5_248) * 6960


def test_order_is_kept(ready: Session) -> None:
    """Writes before begin, after finalize or outside the state are refused, and so is a begin before the full size."""
    chain, s = ready.chain, ready
    early = programs.checkpoint_write(s.w, s.entity, 0, 0, b"x")
    chain.refused(Error.CheckpointIncomplete, early, signers=[s.writer])
    chain.refused(Error.CheckpointIncomplete, s.finalize(0, bytes(32)), signers=[s.writer])
    nothing = (*s.header()[:4], bytes(32))
    chain.refused(Error.InvalidArguments, s.begin(0, nothing), signers=[s.writer])
    digest = s.write_checkpoint(0, s.header(), STATE)
    for offset, data in ((SIZE, b"x"), (SIZE - 1, b"xy"), (2**32 - 1, b"x")):
        outside = programs.checkpoint_write(s.w, s.entity, 0, offset, data)
        chain.refused(Error.OutOfRange, outside, signers=[s.writer])
    chain.refused(Error.HashMismatch, s.finalize(0, bytes(32)), signers=[s.writer])
    chain.ok(s.finalize(0, digest), signers=[s.writer])
    chain.refused(Error.CheckpointFinalized, early, signers=[s.writer])
    chain.refused(Error.CheckpointFinalized, s.finalize(0, digest), signers=[s.writer])
    small = Session.active(chain, 1)
    chain.ok(programs.checkpoint_create(small.w, small.entity, 0, SIZE), signers=[small.writer])
    chain.refused(Error.CheckpointIncomplete, small.begin(0, small.header()), signers=[small.writer])


def test_active_slot_is_protected(ready: Session) -> None:
    """The account of the last good checkpoint cannot be overwritten, whatever happened to the other one."""
    ready.checkpoint(0, STATE)
    ready.chain.refused(Error.CheckpointActive, ready.begin(0, ready.header()), signers=[ready.writer])
    ready.write_checkpoint(1, ready.header(), STATE)
    ready.chain.refused(Error.CheckpointActive, ready.begin(0, ready.header()), signers=[ready.writer])
    assert header_fields(ready)[3] == 0


@pytest.mark.parametrize("field", [1, 2, 4])
def test_contradiction_with_the_log(ready: Session, field: int) -> None:
    """A header whose inputs, players or chain hash differ from the record's is refused, for earlier frames too."""
    header = ready.header()
    for steps in range(2):
        changed: list[Any] = list(header)
        changed[field] = bytes([changed[field][0] ^ 1]) + changed[field][1:]
        digest = ready.write_checkpoint(0, tuple(changed), STATE)
        ready.chain.refused(Error.CheckpointContradictsLog, ready.finalize(0, digest), signers=[ready.writer])
        if not steps:
            ready.step()
    digest = ready.write_checkpoint(0, header, STATE)
    ready.chain.ok(ready.finalize(0, digest), signers=[ready.writer])


def test_feedback_of_the_current_frame(ready: Session) -> None:
    """For the current frame, the header's feedback is compared as well."""
    frame, inputs, state, _, chain_hash = ready.header()
    digest = ready.write_checkpoint(0, (frame, inputs, state, b"\1" + bytes(15), chain_hash), STATE)
    ready.chain.refused(Error.CheckpointContradictsLog, ready.finalize(0, digest), signers=[ready.writer])


def test_frames_that_cannot_be(ready: Session) -> None:
    """A frame in the future, or before the last checkpoint, is refused."""
    old = ready.header()
    digest = ready.write_checkpoint(0, (4, *old[1:]), STATE)
    ready.chain.refused(Error.FrameMismatch, ready.finalize(0, digest), signers=[ready.writer])
    ready.step()
    ready.checkpoint(0, STATE)
    digest = ready.write_checkpoint(1, old, STATE)
    ready.chain.refused(Error.FrameMismatch, ready.finalize(1, digest), signers=[ready.writer])


def test_older_frame_without_its_records(ready: Session) -> None:
    """After the ring is given back, only a checkpoint of the last frame is
    accepted, because no other could be checked.
    """
    s, header = ready, ready.header()
    s.step()
    s.settle()
    s.chain.ok(programs.ring_shrink(s.w, s.entity, s.w), signers=[s.writer])
    digest = s.write_checkpoint(0, header, STATE)
    s.chain.refused(Error.FrameMismatch, s.finalize(0, digest), signers=[s.writer])


def test_only_the_writer(ready: Session) -> None:
    """Only the writer may take any step of a checkpoint, and only with its own session's checkpoint."""
    s, chain = ready, ready.chain
    other = Session.active(chain, 2)
    for ix in (
        programs.checkpoint_grow(s.p1, s.entity, 0),
        programs.checkpoint_begin(s.p1, s.entity, 0, *s.header()),
        programs.checkpoint_write(s.p1, s.entity, 0, 0, b"x"),
        programs.checkpoint_finalize(s.p1, s.entity, 0, bytes(32)),
    ):
        chain.refused(Error.WriterMismatch, ix, signers=[s.player1])
    foreign = programs.checkpoint_write(other.w, other.entity, 0, 0, b"x")
    metas = foreign.accounts
    metas[2] = type(metas[2])(programs.checkpoint_pda(s.entity, 0), False, True)
    chain.refused(Error.EntityMismatch, type(foreign)(foreign.program_id, foreign.data, metas), signers=[other.writer])


def test_one_size_once_initialized(ready: Session) -> None:
    """The state's size is fixed once a checkpoint is good; before that, the latest size counts."""
    chain = ready.chain
    s = Session.active(chain, 3)
    s.create_checkpoint(0, 500)
    s.create_checkpoint(1, 600)
    s.step()
    digest = s.write_checkpoint(0, s.header(), bytes(500))
    chain.refused(Error.CheckpointIncomplete, s.finalize(0, digest), signers=[s.writer])
    s.checkpoint(1, bytes(600))
    assert header_fields(s)[0]
