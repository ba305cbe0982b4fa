"""World: every instruction, its refusals with the real World's numbers, and the bytes that real clients decode."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from svm.rig import COMPONENTS, MODEL, Chain, Error, Session

from awm_crank.wire import bolt, ids
from awm_crank.wire.args import Lifecycle

# the real World's errors (from its IDL), and Anchor's for account checks
INVALID_AUTHORITY, INVALID_OUTPUT, WORLD_MISMATCH, TOO_MANY, NOT_FOUND, NOT_APPROVED = range(6000, 6006)
FALLBACK, NOT_DESERIALIZED, SEEDS, DISCRIMINATOR, NOT_ENOUGH, OWNER, NOT_SIGNER, SYSVAR = (
    101, 102, 2006, 3002, 3005, 3007, 3010, 3015
)  # fmt: skip
ATTACKER = Pubkey.from_bytes(b"a stranger's own program, id 32b")


def world_fields(data: bytes) -> tuple[int, int, list[bytes], bool, bytes]:
    """id, entities, authorities, permissionless and systems, read from the account as the IDL's Borsh describes it."""
    number, entities, count = struct.unpack_from("<QQI", data, 8)
    at = 28 + 32 * count
    length = struct.unpack_from("<I", data, at + 1)[0]
    keys = [data[28 + 32 * i : 60 + 32 * i] for i in range(count)]
    return number, entities, keys, bool(data[at]), data[at + 5 : at + 5 + length]


def changed(ix: Instruction, index: int, meta: AccountMeta) -> Instruction:
    """The instruction with one account replaced."""
    metas = ix.accounts
    metas[index] = meta
    return Instruction(ix.program_id, ix.data, metas)


def test_registry_worlds_entities(chain: Chain) -> None:
    """Ids count up from 0, and accounts have the real World's sizes and bytes."""
    worlds = [chain.new_world() for _ in range(3)]
    registry = chain.data(bolt.registry_pda())
    assert registry == bytes.fromhex("2fae6ef6b8b6fcda") + struct.pack("<Q", 3)
    assert worlds == [bolt.world_pda(i) for i in range(3)]
    assert chain.data(worlds[2]) == bytes.fromhex("912daaae7a209b7c") + struct.pack("<QQIBI", 2, 0, 0, 1, 0)
    entities = [chain.new_entity(worlds[1]) for _ in range(2)]
    seeded = chain.new_entity(worlds[1], b"player one")
    assert entities == [bolt.entity_pda(1, i) for i in range(2)]
    assert seeded == bolt.entity_pda(1, extra_seed=b"player one")
    for i, entity in enumerate([*entities, seeded]):
        assert chain.data(entity) == bytes.fromhex("2e9da1a1fe2e4f18") + struct.pack("<Q", i) + bytes(17)
    assert world_fields(chain.data(worlds[1]))[:2] == (1, 3)


def test_addresses_must_be_right(chain: Chain) -> None:
    """An account that is not the PDA, has the wrong owner or exists already is refused."""
    world = chain.new_world()
    payer = chain.payer.pubkey()
    chain.refused(0, bolt.initialize_registry(payer))
    chain.refused(SEEDS, bolt.initialize_new_world(payer, 0))
    chain.refused(SEEDS, bolt.add_entity(payer, world, bolt.entity_pda(0, 1)))
    chain.refused(SEEDS, bolt.add_entity(payer, world, bolt.entity_pda(0, 0), b"seed"))
    long = bolt.add_entity(payer, world, bolt.entity_pda(0, 0), b"x" * 32)
    too_long = Instruction(
        long.program_id, bytes(long.data[:8]) + b"\1" + struct.pack("<I", 33) + bytes(33), long.accounts
    )
    chain.refused(SEEDS, too_long)
    chain.refused(NOT_DESERIALIZED, Instruction(long.program_id, long.data[:8] + b"\2", long.accounts))
    chain.refused(OWNER, bolt.add_entity(payer, payer, bolt.entity_pda(0, 0)))
    chain.refused(DISCRIMINATOR, bolt.add_entity(payer, bolt.registry_pda(), bolt.entity_pda(0, 0)))
    stray = Pubkey.from_bytes(bytes([3]) * 32)
    chain.put(stray, chain.data(world), ids.WORLD)
    chain.refused(WORLD_MISMATCH, bolt.add_entity(payer, stray, bolt.entity_pda(0, 0)))
    chain.refused(FALLBACK, Instruction(ids.WORLD, bytes(8), long.accounts))
    chain.refused(FALLBACK, Instruction(ids.WORLD, b"", long.accounts))
    chain.refused(NOT_ENOUGH, Instruction(ids.WORLD, long.data, long.accounts[:3]))


def test_authorities(chain: Chain) -> None:
    """Anybody may add a world's first authority; later ones are added and removed by an authority that is listed.

    The account's rent follows its size.
    """
    world, (one, two, other) = chain.new_world(), (chain.key(n) for n in (30, 31, 32))
    keys = [k.pubkey() for k in (one, two, other)]
    before = chain.lamports(keys[0])
    add = bolt.add_authority
    chain.ok(add(keys[0], keys[0], 0), signers=[one])
    chain.refused(INVALID_AUTHORITY, add(keys[2], keys[2], 0), signers=[other])
    chain.ok(add(keys[0], keys[1], 0), signers=[one])
    same = chain.data(world)
    chain.ok(add(keys[0], keys[1], 0), signers=[one])
    assert chain.data(world) == same
    assert len(same) == 33 + 64
    assert world_fields(same) == (0, 0, [bytes(keys[0]), bytes(keys[1])], True, b"")
    assert before - chain.lamports(keys[0]) == 64 * 6960
    elsewhere = changed(add(keys[0], keys[2], 1), 2, AccountMeta(world, False, True))
    chain.refused(SEEDS, elsewhere, signers=[one])
    remove = bolt.remove_authority
    chain.refused(INVALID_AUTHORITY, remove(keys[2], keys[0], 0), signers=[other])
    chain.refused(NOT_FOUND, remove(keys[0], keys[2], 0), signers=[one])
    chain.ok(remove(keys[1], keys[0], 0), signers=[two])
    assert world_fields(chain.data(world))[2] == [bytes(keys[1])]
    assert (len(chain.data(world)), chain.lamports(world)) == (65, (128 + 65) * 6960)
    unsigned = remove(keys[1], keys[1], 0)
    chain.refused(NOT_SIGNER, changed(unsigned, 0, AccountMeta(keys[1], False, True)))


def test_authorities_have_a_limit(chain: Chain) -> None:
    """A world has at most 128 authorities, and the next one is refused."""
    world, one = chain.new_world(), chain.key(30)
    for number in range(128):
        key = Pubkey.from_bytes(struct.pack("<I", number + 1) * 8) if number else one.pubkey()
        chain.ok(bolt.add_authority(one.pubkey(), key, 0), signers=[one])
    assert len(world_fields(chain.data(world))[2]) == 128
    chain.refused(TOO_MANY, bolt.add_authority(one.pubkey(), chain.payer.pubkey(), 0), signers=[one])


def systems_of(chain: Chain, world: Pubkey) -> list[bytes]:
    """The approved systems, as Borsh's set of keys."""
    blob = world_fields(chain.data(world))[4]
    count = struct.unpack_from("<I", blob)[0]
    assert len(blob) == 4 + 32 * count
    return [blob[4 + 32 * i : 36 + 32 * i] for i in range(count)]


def test_approved_systems(chain: Chain) -> None:
    """The first approval closes the world to all other systems, the set is sorted, and removing the last one opens it
    again.
    """
    session = Session.new(chain, create=False, guarded=False)
    one, world = chain.key(30), session.world
    key = one.pubkey()
    approve, remove = bolt.approve_system, bolt.remove_system
    chain.refused(INVALID_AUTHORITY, approve(key, world, ids.SUBMIT_INPUT), signers=[one])
    chain.ok(bolt.add_authority(key, key, 0), signers=[one])
    listed = [ids.SUBMIT_INPUT, ids.RUN_INFERENCE, ids.WORLD, ids.SUBMIT_INPUT]
    for system in listed:
        chain.ok(approve(key, world, system), signers=[one])
    assert systems_of(chain, world) == sorted({bytes(s) for s in listed})
    assert world_fields(chain.data(world))[2:4] == ([bytes(key)], False)
    create = session.lifecycle(0, session.player1)
    chain.refused(NOT_APPROVED, create, signers=[session.player1])
    chain.ok(approve(key, world, ids.SESSION_LIFECYCLE), signers=[one])
    chain.ok(create, signers=[session.player1])
    chain.refused(INVALID_AUTHORITY, remove(session.p1, world, ids.WORLD), signers=[session.player1])
    for system in (ids.WORLD, ids.SUBMIT_INPUT, ids.SUBMIT_INPUT, ids.SESSION_LIFECYCLE):
        chain.ok(remove(key, world, system), signers=[one])
    assert systems_of(chain, world) == [bytes(ids.RUN_INFERENCE)]
    chain.ok(remove(key, world, ids.RUN_INFERENCE), signers=[one])
    data = chain.data(world)
    assert world_fields(data) == (0, 1, [bytes(key)], True, bytes(4))
    assert (len(data), chain.lamports(world)) == (33 + 32 + 4, (128 + 69) * 6960)
    chain.ok(session.lifecycle(1, session.player2), signers=[session.player2])


def test_authority_change_keeps_the_systems(chain: Chain) -> None:
    """Adding and removing authorities moves the systems that follow them, with every byte intact."""
    world, one = chain.new_world(), chain.key(30)
    key = one.pubkey()
    chain.ok(bolt.add_authority(key, key, 0), signers=[one])
    chain.ok(bolt.approve_system(key, world, ids.SUBMIT_INPUT), signers=[one])
    before = world_fields(chain.data(world))
    chain.ok(bolt.add_authority(key, MODEL, 0), signers=[one])
    assert world_fields(chain.data(world)) == (0, 0, [bytes(key), bytes(MODEL)], *before[3:])
    chain.ok(bolt.remove_authority(key, MODEL, 0), signers=[one])
    assert world_fields(chain.data(world)) == before


def test_component_authority(chain: Chain) -> None:
    """A component's authority is the World id, or a key that signs."""
    entity, owner = chain.new_entity(chain.new_world()), chain.key(30)
    ix = bolt.initialize_component(chain.payer.pubkey(), entity, ids.MODEL_MANIFEST, owner.pubkey())
    chain.refused(INVALID_AUTHORITY, ix)
    signed = changed(ix, 4, AccountMeta(owner.pubkey(), True, False))
    chain.ok(signed, signers=[owner])
    assert chain.data(bolt.component_pda(ids.MODEL_MANIFEST, entity))[-32:] == bytes(owner.pubkey())
    chain.refused(0, signed, signers=[owner])
    fake = changed(ix, 5, AccountMeta(owner.pubkey(), False, False))
    chain.refused(SYSVAR, fake)
    no_entity = changed(signed, 2, AccountMeta(owner.pubkey(), False, False))
    chain.refused(OWNER, no_entity, signers=[owner])


@pytest.mark.parametrize("program", COMPONENTS)
def test_a_match_has_no_owner(chain: Chain, program: Pubkey) -> None:
    """A session's component accepts only the World id as its authority, because any other authority could destroy the
    component during a match.
    """
    entity, owner = chain.new_entity(chain.new_world()), chain.key(30)
    ix = bolt.initialize_component(owner.pubkey(), entity, program, owner.pubkey())
    chain.refused(Error.InvalidAuthority, ix, signers=[owner])
    chain.ok(bolt.initialize_component(owner.pubkey(), entity, program), signers=[owner])


def test_component_checks_its_address(chain: Chain) -> None:
    """A component is at the entity's PDA, and only World's initialize_component makes one."""
    world = chain.new_world()
    entity, other = chain.new_entity(world), chain.new_entity(world)
    ix = bolt.initialize_component(chain.payer.pubkey(), entity, ids.SESSION_STATE)
    wrong = changed(ix, 1, AccountMeta(bolt.component_pda(ids.SESSION_STATE, other), False, True))
    chain.refused(6011, wrong)
    metas = [ix.accounts[i] for i in (0, 1, 2, 4, 5, 6)]
    chain.refused(6001, Instruction(ids.SESSION_STATE, bytes.fromhex("afaf6d1f0d989bed"), metas))
    chain.refused(6016, Instruction(ids.SESSION_STATE, bytes(8), metas))
    chain.refused(6016, Instruction(ids.SESSION_STATE, bytes(7), metas))


def test_apply_needs_the_signature(chain: Chain) -> None:
    """The authority of an apply must sign."""
    session = Session.new(chain, create=False)
    ix = session.lifecycle(0, session.player1)
    chain.refused(NOT_SIGNER, changed(ix, 1, AccountMeta(session.p1, False, False)))
    chain.refused(SYSVAR, changed(ix, 2, AccountMeta(session.p1, False, False)), signers=[session.player1])


def test_system_output_is_checked(chain: Chain, attacker_program: bytes) -> None:
    """A system must return one struct for each component pair; any other number gives InvalidSystemOutput."""
    chain.svm.add_program(ATTACKER, attacker_program)
    session = Session.new(chain, guarded=False)
    pairs = [(p, session.at(p)) for p in COMPONENTS]
    for count in (0, 3, 5):
        args = struct.pack("<HBB", 20, count, 9)
        extra = [session.at(ids.INPUT_BUFFER)] if count == 5 else []
        ix = bolt.apply(ATTACKER, session.p1, session.world, pairs, args, extra=extra)
        chain.refused(INVALID_OUTPUT, ix, signers=[session.player1])
    silent = bolt.apply(ids.SYSTEM_PROGRAM, session.p1, session.world, [], b"")
    refused: Any = chain.send(silent, signers=[session.player1])
    assert "failed" in str(refused.meta().logs())


def test_extra_accounts_reach_the_system(chain: Chain) -> None:
    """Accounts behind the World id, which acts as delimiter, reach the system and take no component's place."""
    session = Session.new(chain, create=False)
    args = Lifecycle(0, session.p1).to_binary()
    pairs = [(p, session.at(p)) for p in COMPONENTS]
    extra = [chain.payer.pubkey(), session.p2]
    ix = bolt.apply(ids.SESSION_LIFECYCLE, session.p1, session.world, pairs, args, extra=extra)
    chain.ok(ix, signers=[session.player1])
    assert session.status() == 1
    early = bolt.apply(
        ids.SESSION_LIFECYCLE, session.p1, session.world, pairs[:2], args, extra=[a for _, a in pairs[2:]]
    )
    chain.refused(6020, early, signers=[session.player1])


def program_data(upgrade_authority: Pubkey | None) -> bytes:
    """The head of a ProgramData account, as the upgradeable loader writes it."""
    option = b"\1" + bytes(upgrade_authority) if upgrade_authority else bytes(33)
    return struct.pack("<IQ", 3, 0) + option + b"\x7fELF"


@pytest.mark.parametrize("by", ["upgrade authority", "component authority"])
def test_destroy_component(chain: Chain, by: str) -> None:
    """The program's upgrade authority, or the component's own, can destroy a
    component. The rent returns to its payer.
    """
    owner, receiver, stranger = chain.key(30), chain.key(31), chain.key(32)
    entity = chain.new_entity(chain.new_world())
    authority = ids.WORLD if by == "upgrade authority" else owner.pubkey()
    program = ids.INPUT_BUFFER if by == "upgrade authority" else ids.MODEL_MANIFEST
    ix = bolt.initialize_component(owner.pubkey(), entity, program, authority)
    chain.ok(ix, signers=[owner])
    table = bolt.program_data_pda(program)
    upgrader = owner.pubkey() if by == "upgrade authority" else None
    chain.put(table, program_data(upgrader), ids.UPGRADEABLE_LOADER)
    key = bolt.component_pda(program, entity)
    rent, before = chain.lamports(key), chain.lamports(owner.pubkey())

    def destroy(signer: Keypair, of: Pubkey = entity, to: Keypair = owner) -> Instruction:
        return bolt.destroy_component(signer.pubkey(), to.pubkey(), of, program)

    chain.refused(6000, destroy(stranger), signers=[stranger])
    forged = Pubkey.from_bytes(bytes([5]) * 32)
    chain.put(forged, program_data(stranger.pubkey()), ids.UPGRADEABLE_LOADER)
    chain.refused(6000, changed(destroy(stranger), 3, AccountMeta(forged, False, False)), signers=[stranger])
    other = chain.new_entity(bolt.world_pda(0))
    wrong = changed(destroy(owner), 4, AccountMeta(other, False, False))
    chain.refused(6012, wrong, signers=[owner])
    itself = changed(destroy(owner), 1, AccountMeta(key, False, True))
    chain.refused(Error.PayerMismatch, itself, signers=[owner])
    chain.refused(Error.PayerMismatch, destroy(owner, to=receiver), signers=[owner])
    chain.ok(destroy(owner), signers=[owner])
    assert chain.data(key) == b""
    assert chain.lamports(owner.pubkey()) == before + rent
