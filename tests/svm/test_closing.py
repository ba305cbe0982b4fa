"""Closing returns every lamport to the key that paid it, in an order that leaves nothing behind."""

from __future__ import annotations

import json

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.transaction_metadata import FailedTransactionMetadata
from svm.rig import CHALLENGE_S, COMPONENTS, Chain, Error, Session

from awm_crank.wire import bolt, ids, programs
from awm_crank.wire.accounts import RECORD_SIZE


def rent(size: int) -> int:
    """The rent-exempt minimum."""
    return (128 + size) * 6960


def test_all_rent_returns(chain: Chain) -> None:
    """After the whole life of a session, players and writer have as much as before."""
    s = Session.new(chain, create=False)
    sizes = {ids.SESSION_STATE: 336, ids.HIDDEN_STATE: 272, ids.INPUT_BUFFER: 144, ids.FRAME_LOG: 184}
    assert {p: chain.lamports(s.at(p)) for p in COMPONENTS} == {p: rent(size) for p, size in sizes.items()}
    player_paid = sum(rent(size) for size in sizes.values())
    before = chain.lamports(s.p1), chain.lamports(s.p2), chain.lamports(s.w)
    chain.ok(s.lifecycle(0, s.player1, writer=s.w), signers=[s.player1])
    chain.ok(s.lifecycle(1, s.player2, character=2), signers=[s.player2])
    s.grow_ring(256)
    s.claim()
    s.pin()
    for side in range(2):
        s.create_checkpoint(side, 30_000)
    s.step()
    s.checkpoint(0, bytes(30_000))
    chain.ok(s.lifecycle(2, s.player2), signers=[s.player2])
    chain.warp(CHALLENGE_S)
    assert before[2] - chain.lamports(s.w) == 2 * rent(30_248) + 256 * RECORD_SIZE * 6960
    for side, signer in ((0, s.writer), (1, s.player2)):
        ix = programs.checkpoint_close(signer.pubkey(), s.entity, side, s.w)
        chain.ok(ix, signers=[signer])
    chain.ok(programs.ring_shrink(s.p1, s.entity, s.w), signers=[s.player1])
    assert len(s.data(ids.FRAME_LOG)) == 184
    assert s.data(ids.FRAME_LOG)[78:80] == bytes(2)
    for close in (
        programs.close_hidden_state, programs.close_frame_log, programs.close_input_buffer, programs.close_session_state
    ):  # fmt: skip
        chain.ok(close(s.p1, s.entity), signers=[s.player1])
    assert chain.lamports(s.w) == before[2]
    assert chain.lamports(s.p2) == before[1]
    assert chain.lamports(s.p1) == before[0] + player_paid
    assert all(not s.data(p) and not chain.lamports(s.at(p)) for p in COMPONENTS)
    chain.ok(*(bolt.initialize_component(s.p1, s.entity, p)
               for p in COMPONENTS), signers=[s.player1])  # fmt: skip
    assert s.status() == 0


def test_nothing_closes_while_it_runs(session: Session) -> None:
    """No component, checkpoint or ring of a running match can be closed."""
    s, chain = session, session.chain
    s.create_checkpoint(0, 100)
    for ix in (
        programs.close_hidden_state(s.p1, s.entity),
        programs.close_frame_log(s.p1, s.entity),
        programs.close_input_buffer(s.p1, s.entity),
    ):
        chain.refused(Error.NotEnded, ix, signers=[s.player1])
    chain.refused(Error.NotEnded, programs.close_session_state(s.p1, s.entity), signers=[s.player1])
    for ix in (programs.checkpoint_close(s.w, s.entity, 0, s.w), programs.ring_shrink(s.w, s.entity, s.w)):
        chain.refused(Error.NotEnded, ix, signers=[s.writer])


def test_order_of_closing(session: Session) -> None:
    """The writer's accounts close before the players' components that name them, and session-state closes last."""
    s, chain = session, session.chain
    s.create_checkpoint(1, 100)
    s.settle()
    for ix in (
        programs.close_hidden_state(s.p1, s.entity),
        programs.close_frame_log(s.p1, s.entity),
        programs.close_session_state(s.p1, s.entity),
    ):
        chain.refused(Error.StillOpen, ix, signers=[s.player1])
    chain.ok(programs.checkpoint_close(s.p1, s.entity, 1, s.w), signers=[s.player1])
    chain.ok(programs.close_hidden_state(s.p1, s.entity), signers=[s.player1])
    chain.refused(Error.StillOpen, programs.close_frame_log(s.p1, s.entity), signers=[s.player1])
    chain.ok(programs.ring_shrink(s.w, s.entity, s.w), signers=[s.writer])
    chain.ok(programs.close_frame_log(s.p1, s.entity), signers=[s.player1])
    chain.refused(Error.StillOpen, programs.close_session_state(s.p1, s.entity), signers=[s.player1])


def everything(s: Session, signer: Keypair) -> list[Instruction]:
    """The instructions that close all accounts of a session, in an order that the programs accept. Any key may sign
    them.
    """
    key = signer.pubkey()
    return [
        programs.checkpoint_close(key, s.entity, 0, s.w),
        programs.ring_shrink(key, s.entity, s.w),
        programs.close_frame_log(key, s.entity, s.p1),
        programs.close_input_buffer(key, s.entity, s.p1),
        programs.close_hidden_state(key, s.entity, s.p1),
        programs.close_session_state(key, s.entity, s.p1),
    ]


def test_to_whom_it_belongs(session: Session) -> None:
    """Whoever closes a session, and whichever receiver they name, each lamport goes to the key that paid it."""
    s, chain = session, session.chain
    s.create_checkpoint(0, 100)
    s.settle()
    stranger = chain.key(66)
    for ix in (
        programs.checkpoint_close(stranger.pubkey(), s.entity, 0, stranger.pubkey()),
        programs.ring_shrink(stranger.pubkey(), s.entity, stranger.pubkey()),
        programs.close_input_buffer(stranger.pubkey(), s.entity),
    ):
        chain.refused(Error.PayerMismatch, ix, signers=[stranger])
        metas = ix.accounts
        metas[0] = type(metas[0])(stranger.pubkey(), False, False)
        chain.refused(Error.MissingSignature, type(ix)(ix.program_id, ix.data, metas))
    player, writer, own = chain.lamports(s.p1), chain.lamports(s.w), chain.lamports(stranger.pubkey())
    for ix in everything(s, stranger):
        chain.ok(ix, signers=[stranger])
    assert chain.lamports(stranger.pubkey()) == own
    assert chain.lamports(s.w) - writer == rent(348) + 256 * 96 * 6960
    assert chain.lamports(s.p1) - player == sum(rent(size) for size in (336, 272, 144, 184))


def test_the_result_stands(session: Session) -> None:
    """Nobody can close result or log before the challenge time is over, not even in the transaction that sends END.

    One second early is refused. A match without a frame has no result, so it has no challenge time.
    """
    s, chain = session, session.chain
    s.create_checkpoint(0, 100)
    s.step()
    both = chain.send(s.lifecycle(2, s.player1), programs.ring_shrink(s.p1, s.entity, s.w), signers=[s.player1])
    assert isinstance(both, FailedTransactionMetadata)
    assert json.loads(both.err().to_json()) == [2, Error.ChallengeOpen]  # type: ignore[union-attr]
    chain.ok(s.lifecycle(2, s.player1), signers=[s.player1])
    for seconds in (0, CHALLENGE_S - 1):
        chain.warp(seconds)
        for ix in everything(s, s.player1):
            chain.refused(Error.ChallengeOpen, ix, signers=[s.player1])
    chain.warp(1)
    for ix in everything(s, s.player1):
        chain.ok(ix, signers=[s.player1])
    idle = Session.active(chain, 1)
    chain.ok(idle.lifecycle(2, idle.player1), signers=[idle.player1])
    chain.ok(programs.ring_shrink(idle.p1, idle.entity, idle.w), signers=[idle.player1])


def test_as_long_as_the_session_says(chain: Chain) -> None:
    """CREATE sets the challenge time; a session with 0 closes at once."""
    s = Session.new(chain, create=False)
    chain.ok(s.lifecycle(0, s.player1, writer=s.w, challenge_s=0), signers=[s.player1])
    chain.ok(s.lifecycle(1, s.player2, character=2), signers=[s.player2])
    s.grow_ring(256)
    s.pin()
    s.step()
    end, shrink = s.lifecycle(2, s.player1), programs.ring_shrink(s.p1, s.entity, s.w)
    chain.ok(end, shrink, signers=[s.player1])


def test_before_create(chain: Chain) -> None:
    """Components without a CREATE can be closed by the key that paid for them, and by nobody else."""
    s = Session.new(chain, create=False)
    before = chain.lamports(s.p1)
    closings = (
        programs.close_hidden_state, programs.close_frame_log, programs.close_input_buffer, programs.close_session_state
    )  # fmt: skip
    for close in closings:
        chain.refused(Error.PayerMismatch, close(s.p2, s.entity, s.p1), signers=[s.player2])
        chain.ok(close(s.p1, s.entity), signers=[s.player1])
    assert chain.lamports(s.p1) - before == sum(rent(size) for size in (336, 272, 144, 184))


def test_waiting_session_closes(chain: Chain) -> None:
    """A session that nobody joined closes at once."""
    s = Session.new(chain)
    for close in (
        programs.close_hidden_state, programs.close_frame_log, programs.close_input_buffer, programs.close_session_state
    ):  # fmt: skip
        chain.ok(close(s.p1, s.entity), signers=[s.player1])
    assert all(not s.data(p) for p in COMPONENTS)
