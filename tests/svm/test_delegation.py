"""Handing components over to a rollup with the real delegation program: who may do it and when, and that nobody can
forge a component's return.

The way back needs a rollup, so tests/daemon/test_rollup.py tests it.
"""

from __future__ import annotations

import pytest
from localnet.kinds.validators import CACHE
from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import Transaction
from solders.transaction_metadata import TransactionMetadata
from svm.rig import COMPONENTS, SOL, Chain, Error, Session

from awm_crank.localnet.genesis import read_account
from awm_crank.localnet.kinds.cache import Cache
from awm_crank.localnet.kinds.packages import base_chain_accounts
from awm_crank.wire import bolt, ids, layouts, programs, rollup
from awm_crank.wire.accounts import ENDED
from awm_crank.wire.idl import load

VALIDATOR = Pubkey.from_bytes(bytes([5]) * 32)
NAMES = {program: name for name, program in ids.PROGRAMS.items()}


def with_delegation(made: Chain) -> None:
    """Puts the delegation program and its accounts on a chain."""
    dumps = base_chain_accounts(Cache(CACHE))
    made.svm.add_program_from_file(ids.DELEGATION, dumps / f"{ids.DELEGATION}.so")
    for path in dumps.glob("*.json"):
        key, account = read_account(path)
        made.svm.set_account(key, account)


@pytest.fixture
def chain() -> Chain:
    """A chain with the delegation program and its accounts."""
    made = Chain()
    with_delegation(made)
    return made


def handed_over(session: Session, program: Pubkey) -> Instruction:
    """A `delegate` instruction by player 1."""
    return rollup.delegate(session.p1, session.entity, program, VALIDATOR)


def exchanged(instruction: Instruction, place: int, key: Pubkey, *, signer: bool | None = None) -> Instruction:
    """The instruction with another account at one place."""
    accounts = list(instruction.accounts)
    old = accounts[place]
    accounts[place] = AccountMeta(key, old.is_signer if signer is None else signer, old.is_writable)
    return Instruction(instruction.program_id, bytes(instruction.data), accounts)


def test_all_four(chain: Chain) -> None:
    """Each component then belongs to the delegation program, with every byte unchanged but the payer's.

    The record names owner and rollup, the buffer is gone, and only the rent of the two records was spent.
    """
    session = Session.new(chain)
    before = {program: session.data(program) for program in COMPONENTS}
    spent = chain.lamports(session.p1)
    # session-state is in the middle, to show that the others can be handed over after it
    for program in (ids.HIDDEN_STATE, ids.SESSION_STATE, ids.INPUT_BUFFER, ids.FRAME_LOG):
        chain.ok(handed_over(session, program), signers=[session.player1])
        account = chain.svm.get_account(session.at(program))
        assert account is not None
        assert account.owner == ids.DELEGATION
        # the receipt now holds the payer, which is the last of player 1's keys in each struct
        at = before[program].rindex(bytes(session.p1))
        assert bytes(account.data) == before[program][:at] + bytes(32) + before[program][at + 32 :]
        metas = handed_over(session, program).accounts
        assert chain.lamports(metas[4].pubkey) == 0, "buffer"
        record = chain.data(metas[5].pubkey)
        assert bytes(program) in record
        assert bytes(VALIDATOR) in record
    assert spent - chain.lamports(session.p1) < 0.02 * SOL


def test_base_chain_lets_go(chain: Chain) -> None:
    """A component that is handed over cannot change on the base chain, and cannot be handed over twice."""
    session = Session.new(chain)
    for program in COMPONENTS:
        chain.ok(handed_over(session, program), signers=[session.player1])
    for program in COMPONENTS:
        chain.refused(Error.InvalidAccount, handed_over(session, program), signers=[session.player1])
    chain.refused(Error.InvalidAccount, session.lifecycle(1, session.player2), signers=[session.player2])


@pytest.mark.parametrize("program", COMPONENTS)
def test_who_and_when(chain: Chain, program: Pubkey) -> None:
    """Only player 1 hands over, and only before anybody joins, so player 2 sees where the match will be."""
    session = Session.new(chain)
    for other in (session.player2, session.writer):
        stolen = rollup.delegate(other.pubkey(), session.entity, program, VALIDATOR)
        chain.refused(Error.NotAPlayer, stolen, signers=[other])
    unsigned = exchanged(handed_over(session, program), 0, session.p1, signer=False)
    chain.refused(Error.MissingSignature, unsigned)
    chain.ok(session.lifecycle(1, session.player2), signers=[session.player2])
    chain.refused(Error.NotWaiting, handed_over(session, program), signers=[session.player1])


def test_other_accounts(chain: Chain) -> None:
    """An account of another session or program, or a made-up account, is refused in any place."""
    session, other = Session.new(chain), Session.new(chain, 1)
    good = handed_over(session, ids.INPUT_BUFFER)
    chain.put(forged := Keypair().pubkey(), session.data(ids.SESSION_STATE), ids.DELEGATION)
    for place, key, code in (
        (1, other.entity, Error.EntityMismatch),
        (2, other.at(ids.INPUT_BUFFER), Error.EntityMismatch),
        (2, session.at(ids.HIDDEN_STATE), Error.InvalidAccount),
        (3, ids.HIDDEN_STATE, Error.InvalidAccount),
        (4, other.entity, Error.InvalidAccount),
        (7, ids.HIDDEN_STATE, Error.InvalidAccount),
        (9, other.at(ids.SESSION_STATE), Error.EntityMismatch),
        (9, forged, Error.EntityMismatch),
        (9, session.at(ids.HIDDEN_STATE), Error.InvalidAccount),
    ):
        chain.refused(code, exchanged(good, place, key), signers=[session.player1])
    for data in (bytes(good.data)[:-1], bytes(good.data) + b"\0", bytes(good.data)[:12] + b"\2" + bytes(32)):
        broken = Instruction(good.program_id, data, good.accounts)
        chain.refused(Error.InvalidArguments, broken, signers=[session.player1])
    chain.ok(good, signers=[session.player1])


@pytest.mark.parametrize("program", COMPONENTS)
def test_forged_return(chain: Chain, program: Pubkey) -> None:
    """Only the delegation program can return a component.

    Another signer's buffer is refused, even if it holds the right bytes, and even where no component exists yet.
    """
    session = Session.new(chain)
    stranger = chain.key(77)
    entity = chain.new_entity(session.world)
    account = bolt.component_pda(program, entity)
    data = bytearray(session.data(program))
    at = data.index(bytes(session.entity))
    data[at : at + 32] = bytes(entity)
    seeds = (1).to_bytes(4, "little") + (32).to_bytes(4, "little") + bytes(entity)
    discriminator = load(NAMES[program]).instructions["process_undelegation"].discriminator
    right = Pubkey.find_program_address([b"undelegate-buffer", bytes(account)], ids.DELEGATION)[0]
    for buffer, owner, code, signs in (
        (stranger.pubkey(), ids.DELEGATION, Error.InvalidCaller, True),
        (stranger.pubkey(), ids.SYSTEM_PROGRAM, Error.InvalidCaller, True),
        (right, ids.DELEGATION, Error.MissingSignature, False),
    ):
        chain.put(buffer, bytes(data), owner)
        metas = [
            AccountMeta(account, False, True), AccountMeta(buffer, signs, True),
            AccountMeta(session.p1, True, True), AccountMeta(ids.SYSTEM_PROGRAM, False, False),
        ]  # fmt: skip
        signers = [stranger, session.player1] if signs else [session.player1]
        chain.refused(code, Instruction(program, discriminator + seeds, metas), signers=signers)


@pytest.mark.parametrize("program", COMPONENTS)
def test_taking_back(chain: Chain, program: Pubkey) -> None:
    """Nobody takes back a match that is being played, and no stranger takes back one that has ended.

    A program in the place of the Magic program is not called.
    """
    session = Session.active(chain, capacity=0)
    stranger = chain.key(77)
    back = rollup.undelegate(session.p1, session.entity, program)
    for signer in (session.player1, session.player2, session.writer):
        mine = rollup.undelegate(signer.pubkey(), session.entity, program)
        chain.refused(Error.NotEnded, mine, signers=[signer])
    chain.ok(session.lifecycle(2, session.player1), signers=[session.player1])
    theirs = rollup.undelegate(stranger.pubkey(), session.entity, program)
    chain.refused(Error.NotAPlayer, theirs, signers=[stranger])
    chain.refused(Error.MissingSignature, exchanged(back, 0, session.p1, signer=False))
    for place in (2, 3):
        chain.refused(Error.InvalidAccount, exchanged(back, place, ids.WORLD), signers=[session.player1])
    other = Session.active(chain, 1, capacity=0)
    for place, at in ((4, ids.SESSION_STATE), (5, ids.HIDDEN_STATE)):
        chain.refused(Error.EntityMismatch, exchanged(back, place, other.at(at)), signers=[session.player1])


def test_ephemeral_checkpoints(chain: Chain) -> None:
    """Only the writer creates them, in a size that can be hashed, and with the rollup's own program and vault."""
    session = Session.active(chain, capacity=0)
    good = rollup.checkpoint_create_ephemeral(session.w, session.entity, 0, 9000)
    theirs = rollup.checkpoint_create_ephemeral(session.p1, session.entity, 0, 9000)
    chain.refused(Error.WriterMismatch, theirs, signers=[session.player1])
    for side, size in ((0, 0), (0, 2_699_785), (1, 2**32 - 1)):
        wrong = rollup.checkpoint_create_ephemeral(session.w, session.entity, side, size)
        chain.refused(Error.OutOfRange, wrong, signers=[session.writer])
    for place, key in ((2, session.at(ids.FRAME_LOG)), (3, ids.WORLD), (4, ids.WORLD)):
        chain.refused(Error.InvalidAccount, exchanged(good, place, key), signers=[session.writer])
    closing = rollup.checkpoint_close_ephemeral(session.w, session.entity, 0)
    chain.refused(Error.NotEnded, closing, signers=[session.writer])


@pytest.mark.parametrize(("status", "ahead"), [(2, 30), (3, 30), (3, 2**62), (200, 0), (255, 2**62), (2, 2**62)])
def test_a_session_comes_back_as_it_was_committed(chain: Chain, status: int, ahead: int) -> None:
    """The delegation program takes back only what the rollup committed, so nothing is corrected on the way.

    A rollup's clock may be ahead of the base chain's. A time that no clock can have shown, or a status that does not
    exist, keeps nobody from ending and closing the session: player 1 gets every lamport back.
    """
    session = Session.new(chain)
    before = chain.lamports(session.p1)
    for program in COMPONENTS:
        chain.ok(handed_over(session, program), signers=[session.player1])
    now = chain.svm.get_clock().unix_timestamp
    chain.svm.with_sigverify(False)
    for program in COMPONENTS:
        at = session.at(program)
        data, lamports = bytearray(chain.data(at)), chain.lamports(at)
        if program == ids.SESSION_STATE:
            layout = layouts.SESSION_STATE
            data[layout.offset("status")] = status
            data[layout.offset("frame")] = 7
            at_time = layout.offset("last_update")
            data[at_time : at_time + 8] = (now + ahead).to_bytes(8, "little")
        come_back(chain, program, session.entity, bytes(data))
        assert chain.data(at) == bytes(data)
        chain.put(at, bytes(data), program, lamports)
    if status < ENDED:
        chain.ok(session.lifecycle(2, session.player1), signers=[session.player1])
        chain.warp(300)
    elif ahead < 2**32:
        close = programs.close_hidden_state(session.p2, session.entity, session.p1)
        chain.refused(Error.ChallengeOpen, close, signers=[session.player2])
        chain.warp(330)
    for close_one in (
        programs.close_hidden_state, programs.close_frame_log, programs.close_input_buffer,
        programs.close_session_state,
    ):  # fmt: skip
        chain.ok(close_one(session.p2, session.entity, session.p1), signers=[session.player2])
    assert not any(chain.lamports(session.at(program)) for program in COMPONENTS)
    # the delegation program still holds the rent of its records, which this test does not give back
    assert before - chain.lamports(session.p1) < 0.02 * SOL


def come_back(chain: Chain, program: Pubkey, entity: Pubkey, data: bytes) -> None:
    """Plays the delegation program's part: it empties the account, and has the program fill it from its buffer."""
    at = bolt.component_pda(program, entity)
    buffer = Pubkey.find_program_address([b"undelegate-buffer", bytes(at)], ids.DELEGATION)[0]
    chain.put(buffer, data, ids.DELEGATION)
    chain.svm.set_account(at, Account(0, b"", ids.SYSTEM_PROGRAM))
    payer = chain.key(78)
    seeds = (1).to_bytes(4, "little") + (32).to_bytes(4, "little") + bytes(entity)
    discriminator = load(NAMES[program]).instructions["process_undelegation"].discriminator
    metas = [
        AccountMeta(at, False, True), AccountMeta(buffer, True, True),
        AccountMeta(payer.pubkey(), True, True), AccountMeta(ids.SYSTEM_PROGRAM, False, False),
    ]  # fmt: skip
    instruction = Instruction(program, discriminator + seeds, metas)
    message = Message.new_with_blockhash([instruction], chain.payer.pubkey(), chain.svm.latest_blockhash())
    count = message.header.num_required_signatures
    sent = chain.svm.send_transaction(Transaction.populate(message, [Signature.new_unique() for _ in range(count)]))
    assert isinstance(sent, TransactionMetadata), sent
