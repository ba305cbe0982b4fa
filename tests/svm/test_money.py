"""Who owns which lamports: each theft that once worked is tried again and refused."""

from __future__ import annotations

import hashlib
import struct

import pytest
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from svm.rig import CARTRIDGE, COMPONENTS, MODEL, Chain, Error, Session

from awm_crank.wire import bolt, deposits, ids, layouts, programs, rollup


def upgradeable(chain: Chain, session: Session) -> None:
    """Makes player 1 the upgrade authority of the four component programs, the most power that `destroy` can have."""
    for program in COMPONENTS:
        table = struct.pack("<IQ", 3, 0) + b"\1" + bytes(session.p1)
        chain.put(bolt.program_data_pda(program), table, ids.UPGRADEABLE_LOADER)


@pytest.mark.parametrize("program", COMPONENTS)
def test_destroy_spares_a_match(chain: Chain, program: Pubkey) -> None:
    """No component is destroyed after a match was joined, or while the writer's accounts depend on it."""
    session = Session.active(chain)
    upgradeable(chain, session)
    destroy = bolt.destroy_component(session.p1, session.p1, session.entity, program)
    chain.refused(Error.StillOpen, destroy, signers=[session.player1])
    waiting = Session.new(chain, 1)
    waiting.grow_ring(256)
    upgradeable(chain, waiting)
    if program != ids.INPUT_BUFFER:
        destroy = bolt.destroy_component(waiting.p1, waiting.p1, waiting.entity, program)
        chain.refused(Error.StillOpen, destroy, signers=[waiting.player1])


@pytest.mark.parametrize("stage", [33, 200, 255])
def test_only_stages_that_the_engine_knows(chain: Chain, stage: int) -> None:
    """CREATE refuses a stage that no engine can play, before anybody pays for the match."""
    session = Session.new(chain, create=False)
    create = session.lifecycle(0, session.player1, writer=session.w, stage=stage)
    chain.refused(Error.OutOfRange, create, signers=[session.player1])


def test_create_takes_nothing_over(chain: Chain) -> None:
    """CREATE refuses components that an earlier match has written to."""
    session = Session.active(chain)
    fresh = Session.new(chain, 1, create=False)
    create = fresh.lifecycle(0, fresh.player1, writer=fresh.w)
    for program, code in (
        (ids.HIDDEN_STATE, Error.WriterAlreadyBound), (ids.INPUT_BUFFER, Error.AlreadyCreated),
        (ids.FRAME_LOG, Error.AlreadyCreated),
    ):  # fmt: skip
        clean, key = fresh.data(program), fresh.at(program)
        used = session.data(program).replace(bytes(session.entity), bytes(fresh.entity))
        chain.put(key, used, program)
        chain.refused(code, create, signers=[fresh.player1])
        chain.put(key, clean, program)
    chain.ok(create, signers=[fresh.player1])


def test_nobody_slips_in_before_create(chain: Chain) -> None:
    """Only the key that paid for session-state can create the session."""
    session = Session.new(chain, create=False)
    create = session.lifecycle(0, session.player2, writer=session.w)
    chain.refused(Error.PayerMismatch, create, signers=[session.player2])


def test_only_who_is_invited(chain: Chain) -> None:
    """A session that names its player 2 lets nobody else join."""
    session = Session.new(chain, create=False)
    create = session.lifecycle(0, session.player1, writer=session.w, invited=session.p2)
    chain.ok(create, signers=[session.player1])
    stranger = chain.key(60)
    chain.refused(Error.NotInvited, session.lifecycle(1, stranger), signers=[stranger])
    chain.ok(session.lifecycle(1, session.player2), signers=[session.player2])


def test_a_match_plays_one_cartridge(chain: Chain) -> None:
    """A match takes no frame before its cartridge is pinned, and plays that cartridge to the end.

    A manifest that is closed and written again under its key changes nothing.
    """
    session = Session.new(chain)
    chain.ok(session.lifecycle(1, session.player2, character=2), signers=[session.player2])
    session.grow_ring(256)
    chain.refused(Error.CartridgeMissing, session.inference(), signers=[session.writer])
    joined = session.chain_hash()
    pin = programs.pin_cartridge(session.w, session.entity, MODEL)
    chain.put(MODEL, layouts.MODEL_MANIFEST.discriminator + bytes(1452), ids.MODEL_MANIFEST)
    chain.refused(Error.CartridgeMissing, pin, signers=[session.writer])
    chain.publish(MODEL, CARTRIDGE)
    session.pin()
    pinned = hashlib.sha256(b"awm:genesis:v2" + joined + CARTRIDGE).digest()
    assert session.chain_hash() == pinned
    chain.publish(MODEL, bytes([9]) * 32)
    chain.refused(Error.AlreadyCreated, pin, signers=[session.writer])
    session.step()
    chain.refused(Error.AlreadyCreated, pin, signers=[session.writer])
    assert session.data(ids.HIDDEN_STATE)[207:239] == CARTRIDGE


def test_another_manifest_is_refused(chain: Chain) -> None:
    """Only the ready manifest of the session's own model can be pinned."""
    session = Session.new(chain)
    other = Pubkey.from_bytes(bytes([8]) * 32)
    chain.publish(other, CARTRIDGE)
    wrong = programs.pin_cartridge(session.w, session.entity, other)
    chain.refused(Error.InvalidAccount, wrong, signers=[session.writer])


def test_writer_ends_what_is_dead(chain: Chain) -> None:
    """A writer can end a session that is abandoned; a moment earlier that is refused.

    Abandoned means: nobody joined for 15 minutes, no frame for 10 minutes, or no input for 3,600 frames. Anybody can
    end a session that everyone left for a week.
    """
    waiting, silent, idle = Session.new(chain), Session.active(chain, 1), Session.active(chain, 2)
    stranger = chain.key(60)
    for session, seconds in ((silent, 600), (waiting, 300)):
        chain.warp(seconds - 1)
        chain.refused(Error.NotIdle, session.lifecycle(2, session.writer), signers=[session.writer])
        chain.refused(Error.NotAPlayer, session.lifecycle(2, stranger), signers=[stranger])
        chain.warp(1)
        chain.ok(session.lifecycle(2, session.writer), signers=[session.writer])
    idle.submit(idle.player1, bytes(8))
    idle.step()
    at = layouts.SESSION_STATE.offset("last_fresh")
    assert idle.data(ids.SESSION_STATE)[at : at + 4] == b"\1\0\0\0"
    for frame, code in ((3600, Error.NotIdle), (3601, 0)):
        data = bytearray(idle.data(ids.SESSION_STATE))
        data[9:13] = frame.to_bytes(4, "little")
        chain.put(idle.at(ids.SESSION_STATE), bytes(data), ids.SESSION_STATE)
        if code:
            chain.refused(code, idle.lifecycle(2, idle.writer), signers=[idle.writer])
        else:
            chain.ok(idle.lifecycle(2, idle.writer), signers=[idle.writer])
    left = Session.active(chain, 3)
    chain.warp(604_800)
    chain.ok(left.lifecycle(2, stranger), signers=[stranger])


def test_ring_pays_back_what_was_paid(chain: Chain) -> None:
    """ring_shrink pays the writer exactly what it paid; lamports that player 1 added to frame-log stay player 1's."""
    session = Session.active(chain)
    gift = 300_000_000
    to = session.at(ids.FRAME_LOG)
    chain.ok(transfer(TransferParams(from_pubkey=session.p1, to_pubkey=to, lamports=gift)), signers=[session.player1])
    session.settle()
    writer, player = chain.lamports(session.w), chain.lamports(session.p1)
    chain.ok(programs.ring_shrink(session.w, session.entity, session.w), signers=[session.writer])
    assert chain.lamports(session.w) - writer == 256 * 96 * 6960
    chain.ok(programs.close_frame_log(session.w, session.entity, session.p1), signers=[session.writer])
    assert chain.lamports(session.p1) - player == gift + (128 + 184) * 6960


def test_deposit_pays_for_all(chain: Chain) -> None:
    """A deposit pays both checkpoints, the ring and the frames.

    Whoever closes the session, the writer ends with its fees and player 1 with the rest.
    """
    session, price, frames = Session.new(chain), 5_000, 7
    stranger = chain.key(60)
    before, player = chain.lamports(session.w), chain.lamports(session.p1)
    amount = 2 * (128 + 30_248) * 6960 + 256 * 96 * 6960 + 10 * price
    chain.ok(deposits.deposit(session.p1, session.entity, amount, price), signers=[session.player1])
    for side in (0, 1):
        create = deposits.checkpoint_create_deposited(session.w, session.entity, side, 30_000)
        grow = programs.checkpoint_grow(session.w, session.entity, side)
        chain.ok(create, *[grow] * 2, signers=[session.writer])
    chain.ok(deposits.ring_fund(session.w, session.entity, 256), signers=[session.writer])
    session.grow_ring(256)
    assert chain.lamports(session.w) == before
    more = deposits.checkpoint_create_deposited(session.w, session.entity, 0, 1)
    chain.refused(Error.AlreadyCreated, more, signers=[session.writer])
    chain.ok(session.lifecycle(1, session.player2, character=2), signers=[session.player2])
    session.claim()
    session.pin()
    for frame in range(frames):
        session.step()
        if frame == 3:
            chain.ok(deposits.deposit_draw(session.w, session.entity), signers=[session.writer])
            assert chain.lamports(session.w) == before + 4 * price
    delegated = rollup.delegate(session.p1, session.entity, ids.HIDDEN_STATE, None)
    chain.refused(Error.NotWaiting, delegated, signers=[session.player1])
    close = deposits.deposit_close(stranger.pubkey(), session.entity, session.p1, session.w)
    chain.refused(Error.NotEnded, close, signers=[stranger])
    session.settle()
    hidden = programs.close_hidden_state(session.p1, session.entity)
    chain.refused(Error.StillOpen, hidden, signers=[session.player1])
    chain.ok(close, signers=[stranger])
    for side in (0, 1):
        theirs = programs.checkpoint_close(session.w, session.entity, side, session.w)
        chain.refused(Error.PayerMismatch, theirs, signers=[session.writer])
        chain.ok(programs.checkpoint_close(session.w, session.entity, side, session.p1), signers=[session.writer])
    chain.ok(programs.ring_shrink(session.w, session.entity, session.w), signers=[session.writer])
    chain.ok(programs.close_frame_log(stranger.pubkey(), session.entity, session.p1), signers=[stranger])
    assert chain.lamports(session.w) == before + frames * price
    assert chain.lamports(session.p1) == player - frames * price + (128 + 184) * 6960


def test_deposit_is_spent(chain: Chain) -> None:
    """The writer never gets more than the deposit holds, and is paid nothing for accounts twice."""
    session, price = Session.active(chain), 5_000
    chain.ok(deposits.deposit(session.p1, session.entity, 3 * price, price), signers=[session.player1])
    before = chain.lamports(session.w)
    for _ in range(3):
        session.step()
    fund = deposits.checkpoint_create_deposited(session.w, session.entity, 0, 100)
    chain.refused(Error.InsufficientFunds, fund, signers=[session.writer])
    for _ in range(3):
        session.step()
    chain.ok(deposits.deposit_draw(session.w, session.entity), signers=[session.writer])
    assert chain.lamports(session.w) == before + 3 * price
    other = deposits.deposit(session.p1, session.entity, 1, price + 1)
    chain.refused(Error.OutOfRange, other, signers=[session.player1])
    theirs = deposits.deposit(session.p2, session.entity, 1, price)
    chain.refused(Error.NotAPlayer, theirs, signers=[session.player2])


def test_nothing_is_stranded_in_a_rollup(chain: Chain) -> None:
    """Nothing is handed over while the writer's checkpoint or ring, or a deposit, depends on it."""
    checkpoint, ring, deposited = Session.new(chain), Session.new(chain, 1), Session.new(chain, 2)
    checkpoint.create_checkpoint(0, 100)
    ring.grow_ring(256)
    chain.ok(deposits.deposit(deposited.p1, deposited.entity, 1, 0), signers=[deposited.player1])
    for session in (checkpoint, ring, deposited):
        for program in COMPONENTS:
            over = rollup.delegate(session.p1, session.entity, program, None)
            chain.refused(Error.StillOpen, over, signers=[session.player1])
