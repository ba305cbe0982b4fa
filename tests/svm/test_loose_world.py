"""Components rely on World's id, not on its checks: a World that checks nothing can do no more than the real one."""

from __future__ import annotations

import hashlib
import struct

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from svm.rig import ATTACKERS, COMPONENTS, NOW, Chain, Error, Session, load_tool

from awm_crank.wire import bolt, ids
from awm_crank.wire.accounts import RECORD_SIZE

LISTED = (ids.SESSION_LIFECYCLE, ids.RUN_INFERENCE)


@pytest.fixture(scope="module")
def loose_world() -> bytes:
    """attackers/loose_world.c, built."""
    program: bytes = load_tool("build").compile_program(ATTACKERS / "loose_world.c")
    return program


@pytest.fixture
def loose(chain: Chain, loose_world: bytes) -> Session:
    """An active session, after which World is replaced by one without checks."""
    session = Session.active(chain)
    chain.svm.add_program(ids.WORLD, loose_world)
    return session


def bytes_arg(data: bytes) -> bytes:
    """Bytes as Borsh writes them: the length, then the bytes."""
    return struct.pack("<I", len(data)) + data


def changed(ix: Instruction, index: int, meta: AccountMeta) -> Instruction:
    """The instruction with one account replaced or added."""
    metas = ix.accounts
    metas[index : index + 1] = [meta]
    return Instruction(ix.program_id, ix.data, metas)


def update(
    s: Session,
    data: bytes,
    system: Pubkey = ids.RUN_INFERENCE,
    *,
    signer: Keypair | None = None,
    how: int = 0,
    token: Pubkey | None = None,
    programs: tuple[Pubkey, ...] = COMPONENTS,
) -> Instruction:
    """An apply of the loose World. It calls the update of one pair (the first, or number how // 2) with `data`."""
    pairs = [(program, s.at(program)) for program in programs]
    key = (signer or s.player2).pubkey()
    return bolt.apply(system, key, s.world, pairs, bytes([how]) + data, session_token=token)


def flipped(s: Session, position: int = 20) -> bytes:
    """The session-state struct with one byte flipped."""
    data = bytearray(s.data(ids.SESSION_STATE)[8:])
    data[position] ^= 1
    return bytes(data)


@pytest.mark.parametrize("system", LISTED)
def test_the_rig_does_write(loose: Session, system: Pubkey) -> None:
    """The positive control: for a listed system and our programs in the pairs, this World does write."""
    loose.chain.ok(update(loose, bytes_arg(flipped(loose)), system), signers=[loose.player2])
    assert loose.data(ids.SESSION_STATE)[28] == bytes(loose.p1)[11] ^ 1


def test_other_systems_and_pairs(loose: Session) -> None:
    """Another system, a pair too few, another order, and a wrong number of accounts are refused."""
    data, by = bytes_arg(flipped(loose)), [loose.player2]
    loose.chain.refused(Error.SystemNotAllowed, update(loose, data, ids.FRAME_LOG), signers=by)
    two = (COMPONENTS[0], COMPONENTS[2])
    loose.chain.refused(Error.StructChanged, update(loose, data, ids.SUBMIT_INPUT, programs=two), signers=by)
    for programs in (COMPONENTS[:3], (COMPONENTS[0], COMPONENTS[2], COMPONENTS[1], COMPONENTS[3]), COMPONENTS[:1]):
        loose.chain.refused(Error.InvalidCaller, update(loose, data, programs=programs), signers=by)
    swapped = (COMPONENTS[0], COMPONENTS[1], COMPONENTS[3], COMPONENTS[2])
    loose.chain.refused(Error.InvalidCaller, update(loose, data, programs=swapped), signers=by)


def test_lists(loose: Session) -> None:
    """hidden-state and frame-log refuse submit-input, because that system works on other pairs."""
    for program in (ids.HIDDEN_STATE, ids.FRAME_LOG):
        data = bytes_arg(loose.data(program)[8:][:264] if program == ids.HIDDEN_STATE else loose.data(program)[8:112])
        ix = update(loose, data, ids.SUBMIT_INPUT, programs=(program, ids.INPUT_BUFFER))
        loose.chain.refused(Error.InvalidCaller, ix, signers=[loose.player2])


SHORT, LONG = struct.pack("<I", 257) + bytes(258), struct.pack("<I", 259) + bytes(258)


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0", bytes_arg(b""), bytes_arg(bytes(257)), bytes_arg(bytes(259)), SHORT, LONG]
)
def test_struct_of_another_length(loose: Session, data: bytes) -> None:
    """Only a struct of the exact length, with that length in front, is accepted."""
    loose.chain.refused(Error.InvalidArguments, update(loose, data), signers=[loose.player2])


def test_records_of_another_shape(loose: Session) -> None:
    """An update of a frame-log is its struct alone or, if the ring exists, the struct and one frame record. Any other
    length is refused.
    """
    s, struct_bytes = loose, loose.data(ids.FRAME_LOG)[8:112]
    record = struct.pack("<I", 300) + bytes(range(92))

    def log(data: bytes) -> Instruction:
        return update(s, bytes_arg(data), how=3 * 2)

    for data in (
        struct_bytes[:-1],
        struct_bytes + record[:-1],
        struct_bytes + record + b"x",
        struct_bytes + record * 2,
    ):
        s.chain.refused(Error.InvalidArguments, log(data), signers=[s.player2])
    s.chain.refused(Error.FrameMismatch, log(struct_bytes + bytes(RECORD_SIZE)), signers=[s.player2])
    s.chain.ok(log(struct_bytes + record), signers=[s.player2])
    assert s.data(ids.FRAME_LOG)[112 + 43 * RECORD_SIZE : 112 + 44 * RECORD_SIZE] == record
    for capacity in (0, 257):
        data = struct_bytes[:70] + struct.pack("<H", capacity) + struct_bytes[72:]
        s.chain.refused(Error.RingMissing, log(data + record), signers=[s.player2])


def test_component_of_a_key_wants_its_signature(loose: Session) -> None:
    """A component whose authority is a key needs that key's signature, not just its name."""
    s, owner = loose, loose.player1
    data = bytearray(s.data(ids.SESSION_STATE))
    data[304:336] = bytes(owner.pubkey())
    s.chain.put(s.at(ids.SESSION_STATE), bytes(data), ids.SESSION_STATE)
    ix = update(s, bytes_arg(flipped(s)), signer=owner)
    s.chain.refused(Error.InvalidAuthority, changed(ix, 1, AccountMeta(owner.pubkey(), False, False)))
    s.chain.ok(ix, signers=[owner])


def token_bytes(signer: Pubkey, until: int) -> bytes:
    """A SessionToken that belongs to the signer."""
    disc = hashlib.sha256(b"account:SessionToken").digest()[:8]
    return disc + bytes(signer) + bytes(ids.WORLD) + bytes(signer) + struct.pack("<q", until)


def test_session_token_is_the_components_to_check(loose: Session) -> None:
    """A token of another owner or shape, an unsigned one, and the two calls mixed up are refused."""
    s, device, key = loose, loose.player2, Pubkey.from_bytes(bytes([6]) * 32)
    good, data = token_bytes(device.pubkey(), NOW + 5), bytes_arg(flipped(s))
    ix = update(s, data, how=1, token=key)
    for blob, owner in ((good, ids.SYSTEM_PROGRAM), (good[:-1], ids.SESSION_KEYS), (bytes(112), ids.SESSION_KEYS)):
        s.chain.put(key, blob, owner)
        s.chain.refused(Error.InvalidAccount, ix, signers=[device])
    s.chain.put(key, good, ids.SESSION_KEYS)
    unsigned = changed(ix, 1, AccountMeta(device.pubkey(), False, False))
    s.chain.refused(Error.InvalidAuthority, unsigned)
    s.chain.refused(Error.InvalidCaller, update(s, data, how=0, token=key), signers=[device])
    s.chain.ok(ix, signers=[device])


def test_initialize(loose: Session) -> None:
    """Without the payer's signature, a real entity or the right component program, no component is made."""
    s, chain = loose, loose.chain
    entity = Pubkey.from_bytes(bytes([4]) * 32)
    chain.put(entity, bytes.fromhex("2e9da1a1fe2e4f18") + bytes(25), ids.SYSTEM_PROGRAM)
    ix = bolt.initialize_component(s.p1, entity, ids.SESSION_STATE)
    chain.refused(Error.InvalidAccount, ix, signers=[s.player1])
    chain.put(entity, bytes(33), ids.WORLD)
    chain.refused(Error.InvalidAccount, ix, signers=[s.player1])
    chain.put(entity, bytes.fromhex("2e9da1a1fe2e4f18") + bytes(25), ids.WORLD)
    chain.refused(Error.MissingSignature, changed(ix, 0, AccountMeta(s.p1, False, True)))
    other = changed(
        bolt.initialize_component(s.p1, entity, ids.HIDDEN_STATE), 7, AccountMeta(ids.SESSION_STATE, False, False)
    )
    chain.refused(Error.InvalidCaller, other, signers=[s.player1])
    chain.ok(ix, signers=[s.player1])


def test_destroy(loose: Session) -> None:
    """Only the component that World was asked to destroy is destroyed, and only for a key that may do so."""
    s, chain, owner = loose, loose.chain, loose.player1
    for program in (ids.INPUT_BUFFER, ids.HIDDEN_STATE):
        table = struct.pack("<IQ", 3, 0) + b"\1" + bytes(owner.pubkey())
        chain.put(bolt.program_data_pda(program), table, ids.UPGRADEABLE_LOADER)
    ix = bolt.destroy_component(owner.pubkey(), s.p1, s.entity, ids.INPUT_BUFFER)
    chain.refused(Error.InvalidAuthority, changed(ix, 0, AccountMeta(owner.pubkey(), False, True)))
    aside = changed(
        changed(ix, 2, AccountMeta(ids.WORLD, False, False)), 8, AccountMeta(ids.INPUT_BUFFER, False, False)
    )
    chain.refused(Error.InvalidCaller, aside, signers=[owner])
    foreign = changed(ix, 5, AccountMeta(s.at(ids.SESSION_STATE), False, True))
    chain.refused(Error.InvalidAccount, foreign, signers=[owner])
    chain.refused(Error.StillOpen, ix, signers=[owner])
    data = s.data(ids.INPUT_BUFFER)
    chain.put(s.at(ids.INPUT_BUFFER), data[:8] + bytes(4) + data[12:], ids.INPUT_BUFFER)
    chain.ok(ix, signers=[owner])
    assert s.data(ids.INPUT_BUFFER) == b""
