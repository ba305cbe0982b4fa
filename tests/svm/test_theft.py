"""Nobody can write an account that is not theirs: every attack that BOLT itself allows is refused, and no byte
changes.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from svm.rig import COMPONENTS, INPUT_COMPONENTS, NOW, PROGRAMS, Chain, Error, Session, players

from awm_crank.wire import bolt, ids
from awm_crank.wire.args import FrameArgs, Input, Lifecycle

ATTACKER = Pubkey.from_bytes(b"a stranger's own program, id 32b")
WORLD_COPY = Pubkey.from_bytes(b"a stranger's copy of World, 32 b")
FLIP = 20  # a byte of every struct that is neither entity nor metadata


@pytest.fixture
def stage(chain: Chain, attacker_program: bytes) -> Session:
    """An active session with one frame, on a chain where an attacker deployed programs."""
    session = Session.active(chain, guarded=False)
    session.step()
    chain.svm.add_program(ATTACKER, attacker_program)
    chain.svm.add_program(WORLD_COPY, (PROGRAMS / "world.so").read_bytes())
    return session


def forge(count: int, which: int, position: int = FLIP) -> bytes:
    """Args for the attacker's system: flip one byte of component `which` of `count`."""
    return struct.pack("<HBB", position, count, which)


def redirected(ix: Instruction, program: Pubkey) -> Instruction:
    """The same instruction, sent to another program."""
    return Instruction(program, ix.data, ix.accounts)


def pairs(session: Session, programs: Sequence[Pubkey]) -> list[tuple[Pubkey, Pubkey]]:
    """The session's component pairs."""
    return [(program, session.at(program)) for program in programs]


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("own_world", [False, True])
def test_strangers_system(stage: Session, which: int, own_world: bool) -> None:
    """An attacker's system that returns a forged struct is refused, through the session's world or its own."""
    chain, thief = stage.chain, stage.chain.key(50)
    world = chain.new_world() if own_world else stage.world
    args = forge(1, 0)
    ix = bolt.apply(ATTACKER, thief.pubkey(), world, pairs(stage, COMPONENTS[which : which + 1]), args)
    chain.refused(Error.SystemNotAllowed, ix, signers=[thief])
    ix = bolt.apply(ATTACKER, thief.pubkey(), world, pairs(stage, COMPONENTS), forge(4, which))
    chain.refused(Error.SystemNotAllowed, ix, signers=[thief])


@pytest.mark.parametrize("system", [ATTACKER, ids.SESSION_LIFECYCLE])
def test_strangers_world_program(stage: Session, system: Pubkey) -> None:
    """World's own code under another id does not count as World, whichever system it runs."""
    args = forge(4, 0) if system == ATTACKER else Lifecycle(2, stage.p1).to_binary()
    ix = bolt.apply(system, stage.p1, stage.world, pairs(stage, COMPONENTS), args)
    stage.chain.refused(Error.InvalidCaller, redirected(ix, WORLD_COPY), signers=[stage.player1])


@pytest.mark.parametrize("which", range(4))
def test_direct_call(stage: Session, which: int) -> None:
    """`update` is refused when it is called at the top level, because the caller is not World."""
    key, thief = stage.at(COMPONENTS[which]), stage.chain.key(50)
    data = stage.data(COMPONENTS[which])[8:][:258]
    metas = [AccountMeta(key, False, True), AccountMeta(thief.pubkey(), True, False)]
    metas.append(AccountMeta(ids.INSTRUCTIONS_SYSVAR, False, False))
    call = bytes.fromhex("dbc858b09e3ffd7f") + struct.pack("<I", len(data)) + data
    stage.chain.refused(Error.InvalidCaller, Instruction(COMPONENTS[which], call, metas), signers=[thief])


def test_direct_call_with_too_few_accounts(stage: Session) -> None:
    """A call that leaves accounts out is refused before anything is read from them."""
    metas = [AccountMeta(stage.at(ids.SESSION_STATE), False, True), AccountMeta(ids.SESSION_STATE, False, False)]
    for name, code in (("update", Error.InvalidAccount), ("initialize", Error.InvalidAccount)):
        disc = hashlib.sha256(f"global:{name}".encode()).digest()[:8]
        stage.chain.refused(code, Instruction(ids.SESSION_STATE, disc + bytes(4), metas))


def test_a_checkpoint_is_no_component(stage: Session, attacker_program: bytes) -> None:
    """An account of the same program with another discriminator is never updated."""
    key = stage.create_checkpoint(0, 100)
    stage.chain.svm.add_program(ids.SESSION_LIFECYCLE, attacker_program)
    mixed = [(p, key if p == ids.HIDDEN_STATE else stage.at(p)) for p in COMPONENTS]
    ix = bolt.apply(ids.SESSION_LIFECYCLE, stage.p1, stage.world, mixed, forge(4, 1))
    stage.chain.refused(Error.InvalidAccount, ix, signers=[stage.player1])


def test_direct_cpi(stage: Session) -> None:
    """`update` is refused when an attacker's program calls it, with the real sysvar and with a forged one."""
    chain, thief, fake = stage.chain, stage.chain.key(50), Pubkey.from_bytes(bytes([7]) * 32)
    real = bolt.apply(ids.SESSION_LIFECYCLE, stage.p1, stage.world, pairs(stage, COMPONENTS), b"")
    chain.put(fake, fake_sysvar(real), ids.SYSTEM_PROGRAM)
    for sysvar in (ids.INSTRUCTIONS_SYSVAR, fake):
        for program in COMPONENTS[:3]:
            metas = [AccountMeta(stage.at(program), False, True), AccountMeta(thief.pubkey(), True, False)]
            metas += [AccountMeta(sysvar, False, False), AccountMeta(program, False, False)]
            ix = Instruction(ATTACKER, struct.pack("<QH", 0, FLIP), metas)
            chain.refused(Error.InvalidCaller, ix, signers=[thief])


def fake_sysvar(ix: Instruction) -> bytes:
    """What the instructions sysvar holds for a transaction that has only this instruction."""
    body = struct.pack("<H", len(ix.accounts))
    for meta in ix.accounts:
        body += bytes([meta.is_signer | meta.is_writable << 1]) + bytes(meta.pubkey)
    body += bytes(ix.program_id) + struct.pack("<H", len(ix.data)) + bytes(ix.data)
    return struct.pack("<HH", 1, 4) + body + struct.pack("<H", 0)


def test_world_called_by_a_program(stage: Session) -> None:
    """Even a correct apply is refused when a program calls it, since the top-level instruction is then not World's."""
    good = stage.input(stage.player1, b"\1" + bytes(7))
    metas = [*good.accounts, AccountMeta(ids.WORLD, False, False)]
    ix = Instruction(ATTACKER, struct.pack("<Q", 1) + bytes(good.data), metas)
    stage.chain.refused(Error.InvalidCaller, ix, signers=[stage.player1])


def test_strangers_program_in_a_pair(stage: Session) -> None:
    """A listed system with an attacker's program in the pairs is refused.

    World would call it, and it would call our update.
    """
    args = Input(stage.p1, b"\1" + bytes(7)).to_binary()
    forged = [(ids.SESSION_STATE, stage.at(ids.SESSION_STATE)), (ATTACKER, stage.at(ids.INPUT_BUFFER))]
    ix = bolt.apply(ids.SUBMIT_INPUT, stage.p1, stage.world, forged, args, extra=[ids.INPUT_BUFFER])
    stage.chain.refused(Error.InvalidCaller, ix, signers=[stage.player1])
    forged = [(ATTACKER, stage.at(p)) if p == ids.INPUT_BUFFER else (p, stage.at(p)) for p in COMPONENTS]
    end = Lifecycle(2, stage.p1).to_binary()
    ix = bolt.apply(ids.SESSION_LIFECYCLE, stage.p1, stage.world, forged, end, extra=[ids.INPUT_BUFFER])
    stage.chain.refused(Error.InvalidCaller, ix, signers=[stage.player1])


@pytest.mark.parametrize("foreign", range(4))
def test_another_sessions_component(stage: Session, foreign: int) -> None:
    """Every system refuses a real component of another session."""
    chain, mine = stage.chain, Session.active(stage.chain, 4)
    mixed = [(p, (mine if i == foreign else stage).at(p)) for i, p in enumerate(COMPONENTS)]
    frame = FrameArgs(2, 1, bytes(16), b"\1\1", players(p0_character=1, p1_character=2), bytes(16)).to_binary()
    ix = bolt.apply(ids.RUN_INFERENCE, stage.w, stage.world, mixed, frame)
    chain.refused(Error.EntityMismatch, ix, signers=[stage.writer])
    ix = bolt.apply(ids.SESSION_LIFECYCLE, stage.p1, stage.world, mixed, Lifecycle(2, stage.p1).to_binary())
    chain.refused(Error.EntityMismatch, ix, signers=[stage.player1])
    if COMPONENTS[foreign] in INPUT_COMPONENTS:
        two = [pair for pair in mixed if pair[0] in INPUT_COMPONENTS]
        ix = bolt.apply(ids.SUBMIT_INPUT, mine.p1, stage.world, two, Input(mine.p1, bytes(8)).to_binary())
        chain.refused(Error.EntityMismatch, ix, signers=[mine.player1])


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("wrong", ["owner", "discriminator", "length"])
def test_an_account_that_only_looks_like_a_component(stage: Session, place: int, wrong: str) -> None:
    """No system accepts an account with another owner, of another kind, or with too few bytes as a component."""
    fake, program = Pubkey.from_bytes(bytes([9]) * 32), COMPONENTS[place]
    data = stage.data(program)
    data = bytes([data[0] ^ 1]) + data[1:] if wrong == "discriminator" else data[:100] if wrong == "length" else data
    stage.chain.put(fake, data, ATTACKER if wrong == "owner" else program)
    four = [(p, fake if p == program else stage.at(p)) for p in COMPONENTS]
    frame = FrameArgs(2, 1, bytes(16), b"\1\1", players(p0_character=1, p1_character=2), bytes(16)).to_binary()
    calls = [(ids.RUN_INFERENCE, stage.writer, frame, four)]
    calls.append((ids.SESSION_LIFECYCLE, stage.player1, Lifecycle(2, stage.p1).to_binary(), four))
    if program in INPUT_COMPONENTS:
        two = [pair for pair in four if pair[0] in INPUT_COMPONENTS]
        calls.append((ids.SUBMIT_INPUT, stage.player1, Input(stage.p1, bytes(8)).to_binary(), two))
    for system, signer, args, pairs_ in calls:
        ix = bolt.apply(system, signer.pubkey(), stage.world, pairs_, args)
        stage.chain.refused(Error.InvalidAccount, ix, signers=[signer])
        disc = hashlib.sha256(b"global:bolt_execute").digest()[:8]
        metas = [AccountMeta(signer.pubkey(), False, False), *(AccountMeta(key, False, False) for _, key in pairs_)]
        call = disc + struct.pack("<I", len(args)) + args
        stage.chain.refused(Error.InvalidAccount, Instruction(system, call, metas))
        for length in (0, len(args) - 1, len(args) + 1):
            call = disc + struct.pack("<I", length) + args
            stage.chain.refused(Error.InvalidArguments, Instruction(system, call, metas))


def test_forged_player_and_second_writer(stage: Session) -> None:
    """An input needs the signature of its own player, and a frame that of the bound writer."""
    forged = stage.apply(ids.SUBMIT_INPUT, stage.player2, INPUT_COMPONENTS, Input(stage.p1, bytes(8)).to_binary())
    stage.chain.refused(Error.MissingSignature, forged, signers=[stage.player2])
    second = stage.chain.key(51)
    stage.chain.refused(Error.WriterMismatch, stage.inference(signer=second), signers=[second])


def test_submit_input_cannot_change_the_session(stage: Session, attacker_program: bytes) -> None:
    """Even if submit-input itself returned another session-state, the component would refuse it."""
    stage.chain.svm.add_program(ids.SUBMIT_INPUT, attacker_program)
    for position in (0, 81, 226, 257, 327):
        ix = stage.apply(ids.SUBMIT_INPUT, stage.player1, INPUT_COMPONENTS, forge(2, 0, position))
        stage.chain.refused(Error.StructChanged, ix, signers=[stage.player1])


@pytest.mark.parametrize(
    ("which", "position"),
    [
        (0, 194),
        (1, 14),
        (2, 22),
        (3, 38),
        *((which, at - 8) for which, at in enumerate((234, 175, 80))),
        *((which, at - 8) for which, at in enumerate((304, 240, 112, 80))),
        (1, 239 - 8),
    ],
)
def test_entity_and_owners_are_fixed(stage: Session, attacker_program: bytes, which: int, position: int) -> None:
    """Not even a listed system can change a component's entity, its authority, or who paid for which account."""
    stage.chain.svm.add_program(ids.SESSION_LIFECYCLE, attacker_program)
    ix = stage.apply(ids.SESSION_LIFECYCLE, stage.player1, COMPONENTS, forge(4, which, position))
    stage.chain.refused(Error.StructChanged, ix, signers=[stage.player1])


def test_lists_are_per_component(stage: Session) -> None:
    """submit-input with other components in the pairs reaches neither hidden-state nor frame-log."""
    for pair in ((ids.HIDDEN_STATE, ids.INPUT_BUFFER), (ids.SESSION_STATE, ids.FRAME_LOG)):
        ix = stage.apply(ids.SUBMIT_INPUT, stage.player1, pair, Input(stage.p1, bytes(8)).to_binary())
        stage.chain.refused(Error.InvalidAccount, ix, signers=[stage.player1])


def with_authority(chain: Chain, authority: Keypair, payer: Keypair | None = None) -> tuple[Pubkey, Pubkey]:
    """The world and entity of four components whose metadata authority is a key instead of the World id.

    An earlier release's programs made such components.
    """
    world = chain.new_world()
    entity = chain.new_entity(world)
    for program in COMPONENTS:
        payer = payer or authority
        chain.ok(bolt.initialize_component(payer.pubkey(), entity, program), signers=[payer])
        key = bolt.component_pda(program, entity)
        chain.put(key, chain.data(key)[:-32] + bytes(authority.pubkey()), program, chain.lamports(key))
    return world, entity


def test_component_of_a_key(chain: Chain) -> None:
    """A component whose authority is a key accepts only applies that this key signs."""
    owner, other = chain.key(60), chain.key(61)
    for signer, code in ((other, Error.InvalidAuthority), (owner, 0)):
        world, entity = with_authority(chain, owner, payer=signer)
        args = Lifecycle(0, signer.pubkey()).to_binary()
        ix = bolt.apply_entity(ids.SESSION_LIFECYCLE, signer.pubkey(), world, entity, COMPONENTS, args)
        if code:
            chain.refused(code, ix, signers=[signer])
        else:
            chain.ok(ix, signers=[signer])


def session_token_pda(signer: Pubkey, authority: Pubkey) -> Pubkey:
    """The address where the session-keys program keeps that token."""
    seeds = [b"session_token", bytes(ids.WORLD), bytes(signer), bytes(authority)]
    return Pubkey.find_program_address(seeds, ids.SESSION_KEYS)[0]


def session_token(signer: Pubkey, authority: Pubkey, until: int, target: Pubkey = ids.WORLD) -> bytes:
    """A session-keys SessionToken."""
    disc = hashlib.sha256(b"account:SessionToken").digest()[:8]
    return disc + bytes(authority) + bytes(target) + bytes(signer) + struct.pack("<q", until)


def test_session_keys(chain: Chain) -> None:
    """apply_with_session needs an unexpired token of the authority, for this signer and for World."""
    owner, device = chain.key(60), chain.key(61)
    world, entity = with_authority(chain, owner, payer=device)
    key = session_token_pda(device.pubkey(), owner.pubkey())
    args = Lifecycle(0, device.pubkey()).to_binary()
    four = [(p, bolt.component_pda(p, entity)) for p in COMPONENTS]
    ix = bolt.apply(ids.SESSION_LIFECYCLE, device.pubkey(), world, four, args, session_token=key)
    for token in (
        session_token(device.pubkey(), owner.pubkey(), NOW),
        session_token(device.pubkey(), device.pubkey(), NOW + 1),
        session_token(owner.pubkey(), owner.pubkey(), NOW + 1),
        session_token(device.pubkey(), owner.pubkey(), NOW + 1, ids.SESSION_STATE),
    ):
        chain.put(key, token, ids.SESSION_KEYS)
        chain.refused(Error.InvalidAuthority, ix, signers=[device])
    good = session_token(device.pubkey(), owner.pubkey(), NOW + 1)
    chain.put(key, good, ATTACKER)
    chain.refused(3007, ix, signers=[device])
    chain.put(key, good, ids.SESSION_KEYS)
    chain.ok(ix, signers=[device])
    assert chain.data(bolt.component_pda(ids.SESSION_STATE, entity))[8] == 1


def test_session_path_checks_the_system_too(stage: Session) -> None:
    """apply_with_session refuses an attacker's system too."""
    thief = stage.chain.key(50)
    key = session_token_pda(thief.pubkey(), thief.pubkey())
    stage.chain.put(key, session_token(thief.pubkey(), thief.pubkey(), NOW + 9), ids.SESSION_KEYS)
    args = forge(4, 0)
    ix = bolt.apply(ATTACKER, thief.pubkey(), stage.world, pairs(stage, COMPONENTS), args, session_token=key)
    stage.chain.refused(Error.SystemNotAllowed, ix, signers=[thief])
