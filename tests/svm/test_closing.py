"""Closing: who paid gets it back, to the lamport, in an order that leaves nothing behind."""

from __future__ import annotations

from svm.rig import COMPONENTS, Chain, Error, Session

from awm_crank.wire import bolt, ids, programs
from awm_crank.wire.accounts import RECORD_SIZE


def rent(size: int) -> int:
    """Rent-exempt minimum."""
    return (128 + size) * 6960


def test_all_rent_returns(chain: Chain) -> None:
    """After the whole life of a session players and writer have what they had before it."""
    s = Session.new(chain, create=False)
    sizes = {ids.SESSION_STATE: 266, ids.HIDDEN_STATE: 207, ids.INPUT_BUFFER: 112, ids.FRAME_LOG: 112}
    assert {p: chain.lamports(s.at(p)) for p in COMPONENTS} == {p: rent(size) for p, size in sizes.items()}
    player_paid = sum(rent(size) for size in sizes.values())
    before = chain.lamports(s.p1), chain.lamports(s.p2), chain.lamports(s.w)
    chain.ok(s.lifecycle(0, s.player1, writer=s.w), signers=[s.player1])
    chain.ok(s.lifecycle(1, s.player2, character=2), signers=[s.player2])
    s.grow_ring(256)
    s.claim()
    for slot in range(2):
        s.create_checkpoint(slot, 30_000)
    s.step()
    s.checkpoint(0, bytes(30_000))
    chain.ok(s.lifecycle(2, s.player2), signers=[s.player2])
    assert before[2] - chain.lamports(s.w) == 2 * rent(30_216) + 256 * RECORD_SIZE * 6960
    for slot, signer in ((0, s.writer), (1, s.player2)):
        ix = programs.checkpoint_close(signer.pubkey(), s.entity, slot, s.w)
        chain.ok(ix, signers=[signer])
    chain.ok(programs.ring_shrink(s.p1, s.entity, s.w), signers=[s.player1])
    assert len(s.data(ids.FRAME_LOG)) == 112
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
    """Neither component nor checkpoint nor ring of a running match can be taken away."""
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
    """The writer's accounts go before the players' components that name them, session-state last."""
    s, chain = session, session.chain
    s.create_checkpoint(1, 100)
    chain.ok(s.lifecycle(2, s.player1), signers=[s.player1])
    for ix in (
        programs.close_hidden_state(s.p1, s.entity),
        programs.close_frame_log(s.p1, s.entity),
        programs.close_session_state(s.p1, s.entity),
    ):
        chain.refused(Error.StillOpen, ix, signers=[s.player1])
    chain.ok(programs.checkpoint_close(s.p1, s.entity, 1, s.w), signers=[s.player1])
    chain.refused(Error.StillOpen, programs.close_hidden_state(s.p1, s.entity), signers=[s.player1])
    chain.ok(programs.ring_shrink(s.w, s.entity, s.w), signers=[s.writer])
    chain.ok(programs.close_frame_log(s.p1, s.entity), signers=[s.player1])
    chain.ok(programs.close_hidden_state(s.p1, s.entity), signers=[s.player1])
    chain.refused(Error.StillOpen, programs.close_session_state(s.p1, s.entity), signers=[s.player1])


def test_only_its_own(session: Session) -> None:
    """Player 2 and strangers close nothing of player 1's; the writer's rent goes to the writer alone."""
    s, chain = session, session.chain
    s.create_checkpoint(0, 100)
    chain.ok(s.lifecycle(2, s.player1), signers=[s.player1])
    stranger = chain.key(66)
    for signer in (s.player2, stranger):
        chain.refused(Error.NotAPlayer, programs.close_input_buffer(signer.pubkey(), s.entity), signers=[signer])
    for ix in (
        programs.checkpoint_close(stranger.pubkey(), s.entity, 0, s.w),
        programs.ring_shrink(stranger.pubkey(), s.entity, s.w),
    ):
        chain.refused(Error.NotAPlayer, ix, signers=[stranger])
    for ix in (
        programs.checkpoint_close(s.p1, s.entity, 0, s.p1),
        programs.ring_shrink(s.p1, s.entity, s.p1),
    ):
        chain.refused(Error.WriterMismatch, ix, signers=[s.player1])
    for ix in (programs.checkpoint_close(s.p1, s.entity, 0, s.w), programs.ring_shrink(s.p1, s.entity, s.w)):
        metas = ix.accounts
        metas[0] = type(metas[0])(s.p1, False, False)
        chain.refused(Error.MissingSignature, type(ix)(ix.program_id, ix.data, metas))
    unsigned = programs.close_input_buffer(s.p1, s.entity)
    metas = unsigned.accounts
    metas[0] = type(metas[0])(s.p1, False, True)
    chain.refused(Error.MissingSignature, type(unsigned)(unsigned.program_id, unsigned.data, metas))


def test_waiting_session_closes(chain: Chain) -> None:
    """A session that nobody joined is closed at once."""
    s = Session.new(chain)
    for close in (
        programs.close_hidden_state, programs.close_frame_log, programs.close_input_buffer, programs.close_session_state
    ):  # fmt: skip
        chain.ok(close(s.p1, s.entity), signers=[s.player1])
    assert all(not s.data(p) for p in COMPONENTS)
