"""World's addresses and instructions, compared with reference/bolt-abi.md."""

from __future__ import annotations

import pytest
from solders.pubkey import Pubkey

from awm_crank.errors import LayoutError
from awm_crank.wire import bolt, ids

PAYER, WORLD, ENTITY, SYSTEM = (Pubkey.from_bytes(bytes([n]) * 32) for n in range(1, 5))
SYSVAR = "Sysvar1nstructions1111111111111111111111111"

REGISTRY = "EHLkWwAT9oebVv9ht3mtqrvHhRVMKrt54tF3MfHTey2K"
WORLD_0 = "JBupPMmv4zaXa5c8EdubsCPvoHZwCK7mwnDfmfs8dC5Y"
ENTITY_0_0 = "FXpypMWPnzFMqTaTir7GdeXtXU6daUD1uU2NN1mqjLA8"
ENTITY_3_ARENA = "7kxmWCFyAKTd23RKYLtvTbZQwZkYVsDnmd6cKH4XKNPA"
SESSION_OF_0_0 = "6cX63ovY2SxPkSNLNfaojJ3aZgkKo6WexXsPe3Z7Gkom"


def shape(instruction: object) -> list[tuple[str, str]]:
    """(key, flags) of an instruction's accounts; `w` is writable, `s` signs."""
    return [
        (str(meta.pubkey), ("w" if meta.is_writable else "") + ("s" if meta.is_signer else ""))
        for meta in instruction.accounts  # type: ignore[attr-defined]
    ]


def test_seeds() -> None:
    """Addresses come from the seeds of bolt-abi.md: ids are u64 big-endian, and an extra seed follows a zero id."""
    find = Pubkey.find_program_address
    assert bolt.registry_pda() == find([b"registry"], ids.WORLD)[0]
    assert bolt.world_pda(258) == find([b"world", bytes.fromhex("0000000000000102")], ids.WORLD)[0]
    assert bolt.entity_pda(1, 2) == find([b"entity", bytes([0] * 7 + [1]), bytes([0] * 7 + [2])], ids.WORLD)[0]
    assert (
        bolt.entity_pda(1, extra_seed=b"arena")
        == find([b"entity", bytes([0] * 7 + [1]), bytes(8), b"arena"], ids.WORLD)[0]
    )
    assert bolt.component_pda(ids.FRAME_LOG, ENTITY) == find([b"", bytes(ENTITY)], ids.FRAME_LOG)[0]
    loader = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
    assert bolt.program_data_pda(ids.WORLD) == find([bytes(ids.WORLD)], loader)[0]


def test_addresses_that_bolt_sdk_gives() -> None:
    """The addresses equal those that @magicblock-labs/bolt-sdk 0.2.4 derives, as recorded."""
    assert str(bolt.registry_pda()) == REGISTRY
    assert str(bolt.world_pda(0)) == WORLD_0
    assert str(bolt.entity_pda(0, 0)) == ENTITY_0_0
    assert str(bolt.entity_pda(3, extra_seed=b"arena")) == ENTITY_3_ARENA
    assert str(bolt.component_pda(ids.SESSION_STATE, bolt.entity_pda(0, 0))) == SESSION_OF_0_0


def test_bad_seeds_are_refused() -> None:
    """An id beyond u64 or a seed beyond 32 bytes raises a typed error."""
    for call in (
        lambda: bolt.world_pda(1 << 64),
        lambda: bolt.world_pda(-1),
        lambda: bolt.entity_pda(0, extra_seed=bytes(33)),
        lambda: bolt.entity_pda(0, 1, b"x"),
    ):
        with pytest.raises(LayoutError):
            call()


def test_initialize_registry() -> None:
    """Accounts: registry (writable), payer (writable, signs) and the system program."""
    built = bolt.initialize_registry(PAYER)
    assert shape(built) == [(str(bolt.registry_pda()), "w"), (str(PAYER), "ws"), ("1" * 32, "")]
    assert built.program_id == ids.WORLD


def test_initialize_new_world() -> None:
    """Accounts: payer (writable, signs), world and registry (both writable) and the system program."""
    keys = [(str(PAYER), "ws"), (str(bolt.world_pda(5)), "w"), (str(bolt.registry_pda()), "w"), ("1" * 32, "")]
    assert shape(bolt.initialize_new_world(PAYER, 5)) == keys


def test_add_entity() -> None:
    """Accounts: payer (writable, signs), entity and world (both writable) and the system program.

    The seed is an option.
    """
    built = bolt.add_entity(PAYER, WORLD, ENTITY, b"ab")
    assert shape(built) == [(str(PAYER), "ws"), (str(ENTITY), "w"), (str(WORLD), "w"), ("1" * 32, "")]
    assert bytes(built.data)[8:] == b"\x01\x02\0\0\0ab"
    assert bytes(bolt.add_entity(PAYER, WORLD, ENTITY).data)[8:] == b"\0"


def test_initialize_component() -> None:
    """Accounts are in bolt-abi.md's order with its flags, and the default authority is World's id."""
    data = str(bolt.component_pda(ids.INPUT_BUFFER, ENTITY))
    assert shape(bolt.initialize_component(PAYER, ENTITY, ids.INPUT_BUFFER)) == [
        (str(PAYER), "ws"),
        (data, "w"),
        (str(ENTITY), ""),
        (str(ids.INPUT_BUFFER), ""),
        (str(ids.WORLD), ""),
        (SYSVAR, ""),
        ("1" * 32, ""),
    ]


def test_apply() -> None:
    """Accounts are in the order of bolt-abi.md, and World's id precedes extra accounts, if there are any."""
    pairs = [(ids.SESSION_STATE, Pubkey.from_bytes(b"x" * 32)), (ids.INPUT_BUFFER, Pubkey.from_bytes(b"y" * 32))]
    head = [(str(SYSTEM), ""), (str(PAYER), "s"), (SYSVAR, ""), (str(WORLD), "")]
    body = [(str(key), "w" if n else "") for pair in pairs for n, key in enumerate(pair)]
    plain = bolt.apply(SYSTEM, PAYER, WORLD, pairs, b"args")
    assert shape(plain) == head + body
    assert bytes(plain.data) == bytes.fromhex("f8f391186932a2e1") + b"\x04\0\0\0args"
    extra = bolt.apply(SYSTEM, PAYER, WORLD, pairs, b"args", extra=[ENTITY])
    assert shape(extra) == [*head, *body, (str(ids.WORLD), ""), (str(ENTITY), "")]
    session = bolt.apply(SYSTEM, PAYER, WORLD, pairs, b"args", session_token=ENTITY)
    assert shape(session) == [*head, (str(ENTITY), ""), *body]
    assert bytes(session.data)[:8].hex() == "d5451de68e6b8667"


def test_apply_entity() -> None:
    """Components of one entity are found from their programs, in the given order."""
    built = bolt.apply_entity(ids.RUN_INFERENCE, PAYER, WORLD, ENTITY, ids.SESSION_COMPONENTS, b"")
    keys = [key for key, _ in shape(built)[4:]]
    assert keys[::2] == [str(program) for program in ids.SESSION_COMPONENTS]
    assert keys[1::2] == [str(bolt.component_pda(program, ENTITY)) for program in ids.SESSION_COMPONENTS]


def test_destroy_component() -> None:
    """Accounts are in bolt-abi.md's order with its flags."""
    assert shape(bolt.destroy_component(PAYER, WORLD, ENTITY, ids.FRAME_LOG)) == [
        (str(PAYER), "ws"),
        (str(WORLD), "w"),
        (str(ids.FRAME_LOG), ""),
        (str(bolt.program_data_pda(ids.FRAME_LOG)), ""),
        (str(ENTITY), ""),
        (str(bolt.component_pda(ids.FRAME_LOG, ENTITY)), "w"),
        (SYSVAR, ""),
        ("1" * 32, ""),
    ]


@pytest.mark.parametrize("make", [bolt.add_authority, bolt.remove_authority])
def test_authorities(make: object) -> None:
    """Accounts: authority (writable, signs), other authority, world (writable) and system program.

    The world's id is data.
    """
    built = make(PAYER, ENTITY, 7)  # type: ignore[operator]
    assert shape(built) == [(str(PAYER), "ws"), (str(ENTITY), ""), (str(bolt.world_pda(7)), "w"), ("1" * 32, "")]
    assert bytes(built.data)[8:] == (7).to_bytes(8, "little")


@pytest.mark.parametrize("make", [bolt.approve_system, bolt.remove_system])
def test_systems(make: object) -> None:
    """Accounts: authority (writable, signs), world (writable), the system to approve or remove, and the system
    program.
    """
    built = make(PAYER, WORLD, SYSTEM)  # type: ignore[operator]
    assert shape(built) == [(str(PAYER), "ws"), (str(WORLD), "w"), (str(SYSTEM), ""), ("1" * 32, "")]
