"""run-inference: compare-and-set, the chain hash, the ring, KO and max_frames, and its cost."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import pytest
from svm.rig import COMPONENTS, NEUTRAL, Chain, Error, Session, players

from awm_crank.wire import ids, layouts, programs
from awm_crank.wire.accounts import RECORD_SIZE, LogPayments

CHAIN_HASH = layouts.FRAME_RECORD.offset("chain_hash")
A = bytes([80, 0, 0, 0, 0, 0, 1, 0])


def test_frame_writes_everything(session: Session) -> None:
    """One frame writes state, chain hash, header, log record and buffer as the format says."""
    session.submit(session.player1, A)
    genesis = session.chain_hash()
    after = players(p0_character=1, p1_character=2, p0_x=-7000, p1_percent=12, p1_speed_y=-5, p0_state_age=3)
    feedback = bytes([255, 1, 50, 2, 2, 31, 63, 0]) + bytes(8)
    session.step(players=after, feedback=feedback)
    state, hidden, log = (session.data(p) for p in (ids.SESSION_STATE, ids.HIDDEN_STATE, ids.FRAME_LOG))
    assert (session.frame(), session.status(), state[82:146]) == (1, 2, after)
    block = struct.pack("<I", 1) + A + NEUTRAL + b"\0\1" + after + feedback
    digest = hashlib.sha256(genesis + block).digest()
    assert hidden[17:21] == b"\1\0\0\0"
    assert hidden[90:138] == digest + feedback
    assert log[8:14] == b"\1\0\1\0\0\0"
    assert log[112:208] == struct.pack("<I", 1) + A + NEUTRAL + b"\0\1" + b"\x20\0" + after + digest[:8]
    assert log[112 + RECORD_SIZE : -72] == bytes(255 * RECORD_SIZE)


def test_held_and_neutral(session: Session) -> None:
    """A missing input is replaced by the buffer's last one (held) or by zeros (neutral)."""
    session.submit(session.player1, A)
    session.step()
    session.step(inputs=A + NEUTRAL, sources=b"\1\2")
    session.step(inputs=NEUTRAL * 2, sources=b"\2\1")
    assert session.data(ids.FRAME_LOG)[112 + 2 * RECORD_SIZE + 4 :][:18] == NEUTRAL * 2 + b"\2\1"


@pytest.mark.parametrize(
    ("inputs", "sources"),
    [
        (NEUTRAL + NEUTRAL, b"\0\1"), (A + NEUTRAL, b"\1\1"), (A + NEUTRAL, b"\0\0"), (A + A, b"\0\1"),
        (A + A, b"\0\2"), (NEUTRAL * 2, b"\2\1"), (A + NEUTRAL, b"\0\3"), (A + NEUTRAL, b"\3\1"),
    ],
)  # fmt: skip
def test_other_inputs_than_the_buffers(session: Session, inputs: bytes, sources: bytes) -> None:
    """When only player 1 is ready, every other statement about the two inputs is refused."""
    session.submit(session.player1, A)
    ix = session.inference(inputs=inputs, sources=sources)
    session.chain.refused(Error.InputMismatch, ix, signers=[session.writer])


def test_compare_and_set(session: Session) -> None:
    """A frame lands once, in its turn, from the writer, and with the epoch that was claimed last."""
    chain = session.chain
    for frame in (0, 2, 2**32 - 1):
        chain.refused(Error.FrameMismatch, session.inference(frame=frame), signers=[session.writer])
    session.step()
    chain.refused(Error.FrameMismatch, session.inference(frame=1), signers=[session.writer])
    stale = session.inference()
    session.claim()
    chain.refused(Error.EpochMismatch, stale, signers=[session.writer])
    chain.refused(Error.EpochMismatch, programs.claim(session.w, session.entity, 1), signers=[session.writer])
    session.step()
    second = session.inference(signer=session.player1)
    chain.refused(Error.WriterMismatch, second, signers=[session.player1])
    claim = programs.claim(session.p1, session.entity, session.epoch)
    chain.refused(Error.WriterMismatch, claim, signers=[session.player1])


def test_no_writer_no_frame(chain: Chain) -> None:
    """A session whose CREATE named no writer takes no frame until a writer is bound, and only one can be bound."""
    s = Session.new(chain, writer=False)
    bind = programs.bind_writer(s.w, s.entity)
    chain.ok(s.lifecycle(1, s.player2, character=2), signers=[s.player2])
    chain.refused(Error.WriterMismatch, s.inference(), signers=[s.writer])
    chain.ok(bind, signers=[s.writer])
    chain.refused(Error.WriterAlreadyBound, programs.bind_writer(s.p2, s.entity), signers=[s.player2])
    s.grow_ring(256)
    s.pin()
    s.step()
    fresh = Session.new(chain, 1, create=False)
    chain.refused(Error.NotActive, programs.bind_writer(fresh.w, fresh.entity), signers=[fresh.writer])


BAD = [
    {"p0_percent": 1000}, {"p1_shield_strength": 15_361}, {"p0_stocks": 5}, {"p1_facing": 2}, {"p0_on_ground": 2},
    {"p1_action_state": 400}, {"p0_jumps_left": 8}, {"p0_character": 3}, {"p1_character": 1},
]  # fmt: skip


@pytest.mark.parametrize("fields", BAD, ids=str)
def test_state_out_of_range(session: Session, fields: dict[str, int]) -> None:
    """A PlayerState with a field out of range, or with another character, is refused."""
    after = players(**({"p0_character": 1, "p1_character": 2} | fields))
    session.chain.refused(Error.InvalidPlayerState, session.inference(players=after), signers=[session.writer])


@pytest.mark.parametrize(("index", "value"), [(1, 2), (2, 51), (3, 3), (4, 3), (5, 32), (6, 64), (7, 1)])
@pytest.mark.parametrize("player", [0, 1])
def test_feedback_out_of_range(session: Session, player: int, index: int, value: int) -> None:
    """A feedback field out of range is refused."""
    feedback = bytearray(16)
    feedback[8 * player + index] = value
    ix = session.inference(feedback=bytes(feedback))
    session.chain.refused(Error.InvalidPlayerState, ix, signers=[session.writer])


@pytest.mark.parametrize("loser", [0, 1])
def test_ko_ends_the_session(session: Session, loser: int) -> None:
    """A frame that leaves a player without stocks ends the session in the same transaction."""
    fields: dict[str, Any] = {f"p{loser}_stocks": 0}
    session.step(players=players(p0_character=1, p1_character=2, **fields))
    assert (session.frame(), session.status()) == (1, 3)
    session.chain.refused(Error.NotActive, session.inference(), signers=[session.writer])


def test_max_frames_ends_the_session(chain: Chain) -> None:
    """Frame max_frames is the last one."""
    s = Session.active(chain, max_frames=3)
    for expected in (2, 2, 3):
        s.step()
        assert s.status() == expected
    chain.refused(Error.NotActive, s.inference(), signers=[s.writer])


def test_ring(chain: Chain) -> None:
    """Frames need a ring. It holds the last `capacity` records, wraps only past a checkpoint, and is full otherwise."""
    s = Session.active(chain, capacity=0)
    chain.refused(Error.RingMissing, s.inference(), signers=[s.writer])
    s.grow_ring(256)
    s.create_checkpoint(0, 100)
    for _ in range(255):
        s.step()
    log = s.data(ids.FRAME_LOG)
    assert len(log) == 184 + 256 * RECORD_SIZE
    s.step()
    chain.refused(Error.RingFull, s.inference(), signers=[s.writer])
    s.checkpoint(0, bytes(100))
    s.step()
    log = s.data(ids.FRAME_LOG)
    frames = [struct.unpack_from("<I", log, 112 + RECORD_SIZE * i)[0] for i in range(256)]
    assert frames == [257, *range(2, 257)]
    assert struct.unpack_from("<HI", log, 8) == (1, 257)
    for i, frame in enumerate(frames):
        assert (
            log[112 + RECORD_SIZE * i + CHAIN_HASH : 112 + RECORD_SIZE * i + CHAIN_HASH + 8]
            == s.chain_hashes[frame - 1][:8]
        )


def test_ring_growth_refusals(chain: Chain) -> None:
    """Only the writer grows the ring, before frame 1, to at least 256 records, and once.

    Until then no frame is accepted.
    """
    s = Session.active(chain, capacity=0)
    chain.refused(Error.OutOfRange, programs.ring_grow(s.w, s.entity, 255), signers=[s.writer])
    chain.refused(Error.WriterMismatch, programs.ring_grow(s.p1, s.entity, 256), signers=[s.player1])
    chain.ok(programs.ring_grow(s.w, s.entity, 300), signers=[s.writer])
    chain.refused(Error.RingMissing, s.inference(), signers=[s.writer])
    for _ in range(2):
        chain.ok(programs.ring_grow(s.w, s.entity, 300), signers=[s.writer])
    assert int.from_bytes(s.data(ids.FRAME_LOG)[78:80], "little") == 300
    chain.refused(Error.AlreadyCreated, programs.ring_grow(s.w, s.entity, 300), signers=[s.writer])


def test_rent_needs_money(chain: Chain) -> None:
    """A writer that cannot pay the ring's rent gets an error that says so."""
    s = Session.new(chain, writer=False)
    poor = chain.key(77, 10_000)
    chain.ok(programs.bind_writer(poor.pubkey(), s.entity), signers=[poor])
    for ix in (
        programs.ring_grow(poor.pubkey(), s.entity, 256),
        programs.checkpoint_create(poor.pubkey(), s.entity, 0, 1000),
    ):
        chain.refused(Error.InsufficientFunds, ix, signers=[poor])
    chain.svm.airdrop(poor.pubkey(), 10**9)
    metas = ix.accounts
    metas[2] = type(metas[2])(s.at(ids.FRAME_LOG), False, False)
    grow = programs.ring_grow(poor.pubkey(), s.entity, 256)
    chain.refused(Error.InvalidAccount, type(grow)(grow.program_id, grow.data, metas), signers=[poor])


def test_wrong_bytes(session: Session) -> None:
    """run-inference refuses JSON, any other length, and any other version of its arguments."""
    for args in (b"{}", b"", b"\1" + bytes(105), b"\2" + bytes(106), b"\1" + bytes(107)):
        ix = session.apply(ids.RUN_INFERENCE, session.writer, COMPONENTS, args)
        session.chain.refused(Error.InvalidArguments, ix, signers=[session.writer])


def test_compute_units(session: Session) -> None:
    """Several applies fit a transaction's default limit, because each costs far less than 200,000 units."""
    spent = {"input": session.submit(session.player1, A), "frame": session.step()}
    spent["end"] = session.chain.ok(session.lifecycle(2, session.player1), signers=[session.player1])
    units = {name: meta.compute_units_consumed() for name, meta in spent.items()}
    assert max(units.values()) < 15_000, units


def test_payments_follow_the_ring(chain: Chain) -> None:
    """The ring begins at byte 112. Who paid stays in the last 72 bytes while the ring grows, and when it goes."""
    s = Session.active(chain, capacity=0)
    payer = LogPayments.decode(s.data(ids.FRAME_LOG)[112:])
    assert payer == LogPayments(s.p1, ids.ZERO_KEY, 0)
    for length in (184 + 10_240, 184 + 20_480, 184 + 300 * RECORD_SIZE):
        chain.ok(programs.ring_grow(s.w, s.entity, 300), signers=[s.writer])
        log = s.data(ids.FRAME_LOG)
        assert len(log) == length
        assert log[112:-72] == bytes(length - 184)
        paid = LogPayments.decode(log[-72:])
        assert (paid.payer, paid.ring_payer) == (s.p1, s.w)
        assert paid.ring_lamports == (length - 184) * 6960
    s.step()
    assert struct.unpack_from("<I", s.data(ids.FRAME_LOG), 112) == (1,)
    assert LogPayments.decode(s.data(ids.FRAME_LOG)[-72:]) == paid
    s.settle()
    chain.ok(programs.ring_shrink(s.p1, s.entity, s.w), signers=[s.player1])
    assert LogPayments.decode(s.data(ids.FRAME_LOG)[112:]) == payer
