"""BOLT's World 0.2.4: derived addresses (PDAs) and instructions.

Source: reference/bolt-abi.md. Ids in seeds are u64 big-endian.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from ..errors import LayoutError
from . import ids
from .contract import SEEDS
from .idl import load

_WORLD = load("world")
SUPPORTED_VERSION = _WORLD.version
"""The World release that has this interface."""


def _id(value: int) -> bytes:
    if not 0 <= value < 1 << 64:
        raise LayoutError("world or entity id", expected="a u64", found=value)
    return value.to_bytes(8, "big")


@lru_cache(maxsize=1)
def registry_pda() -> Pubkey:
    """The address of World's registry; there is one for each chain."""
    return Pubkey.find_program_address([SEEDS["registry"]], ids.WORLD)[0]


@lru_cache(maxsize=4096)
def world_pda(world_id: int) -> Pubkey:
    """The address of a world, by its id."""
    return Pubkey.find_program_address([SEEDS["world"], _id(world_id)], ids.WORLD)[0]


@lru_cache(maxsize=4096)
def entity_pda(world_id: int, entity_id: int = 0, extra_seed: bytes | None = None) -> Pubkey:
    """The address of an entity, by its id or by an extra seed of up to 32 bytes (the id is then zero).

    Raises:
        LayoutError: the seed is longer than 32 bytes, or both an id and a seed are given.
    """
    seeds = [SEEDS["entity"], _id(world_id), _id(entity_id)]
    if extra_seed is not None:
        if len(extra_seed) > 32 or entity_id:
            raise LayoutError("entity seed", expected="at most 32 bytes, and no entity id as well", found=extra_seed)
        seeds.append(extra_seed)
    return Pubkey.find_program_address(seeds, ids.WORLD)[0]


@lru_cache(maxsize=16384)
def component_pda(program: Pubkey, entity: Pubkey, seed: bytes = SEEDS["component"]) -> Pubkey:
    """The address of an entity's component account under its component program."""
    return Pubkey.find_program_address([seed, bytes(entity)], program)[0]


@lru_cache(maxsize=256)
def program_data_pda(program: Pubkey) -> Pubkey:
    """An upgradeable program's ProgramData account, which names its upgrade authority."""
    return Pubkey.find_program_address([bytes(program)], ids.UPGRADEABLE_LOADER)[0]


def initialize_registry(payer: Pubkey) -> Instruction:
    """Creates the registry, once for each chain."""
    return _WORLD.build("initialize_registry", {"registry": registry_pda(), "payer": payer})


def initialize_new_world(payer: Pubkey, world_id: int) -> Instruction:
    """Creates the world `world_id`, which must be the next id, the registry's `worlds`."""
    accounts = {"payer": payer, "world": world_pda(world_id), "registry": registry_pda()}
    return _WORLD.build("initialize_new_world", accounts)


def add_entity(payer: Pubkey, world: Pubkey, entity: Pubkey, extra_seed: bytes | None = None) -> Instruction:
    """Creates an entity, which must be `entity_pda` of the world's next id, or of `extra_seed`."""
    return _WORLD.build("add_entity", {"payer": payer, "entity": entity, "world": world}, extra_seed)


def initialize_component(
    payer: Pubkey, entity: Pubkey, program: Pubkey, authority: Pubkey = ids.WORLD, seed: bytes = b""
) -> Instruction:
    """Creates an entity's component.

    `authority` is the World id (anyone may update through World) or a signer.
    """
    accounts = {
        "payer": payer,
        "data": component_pda(program, entity, seed),
        "entity": entity,
        "component_program": program,
        "authority": authority,
    }
    return _WORLD.build("initialize_component", accounts)


def apply(
    system: Pubkey,
    authority: Pubkey,
    world: Pubkey,
    components: Iterable[tuple[Pubkey, Pubkey]],
    args: bytes,
    *,
    extra: Iterable[Pubkey] = (),
    session_token: Pubkey | None = None,
) -> Instruction:
    """Runs a system over components.

    Args:
        system: the system program.
        authority: the signer.
        world: the world account.
        components: (component program, component account) in the order that the system expects.
        args: the system's arguments, see `args`.
        extra: accounts passed to the system after the components, read-only.
        session_token: makes this an apply_with_session.
    """
    rest = []
    for program, account in components:
        rest += [AccountMeta(program, is_signer=False, is_writable=False), AccountMeta(account, False, True)]
    extras = [AccountMeta(key, is_signer=False, is_writable=False) for key in extra]
    if extras:
        rest += [AccountMeta(ids.WORLD, is_signer=False, is_writable=False), *extras]
    accounts = {"bolt_system": system, "authority": authority, "world": world}
    if session_token is not None:
        accounts["session_token"] = session_token
    name = "apply" if session_token is None else "apply_with_session"
    return _WORLD.build(name, accounts, args, rest=tuple(rest))


def apply_entity(
    system: Pubkey, authority: Pubkey, world: Pubkey, entity: Pubkey, programs: Iterable[Pubkey], args: bytes
) -> Instruction:
    """`apply` over components of one entity, which are named by their programs."""
    pairs = [(program, component_pda(program, entity)) for program in programs]
    return apply(system, authority, world, pairs, args)


def destroy_component(
    authority: Pubkey, receiver: Pubkey, entity: Pubkey, program: Pubkey, seed: bytes = b""
) -> Instruction:
    """Closes a component. `authority` is the component program's upgrade authority; `receiver` gets the rent."""
    accounts = {
        "authority": authority,
        "receiver": receiver,
        "component_program": program,
        "component_program_data": program_data_pda(program),
        "entity": entity,
        "component": component_pda(program, entity, seed),
    }
    return _WORLD.build("destroy_component", accounts)


def add_authority(authority: Pubkey, new_authority: Pubkey, world_id: int) -> Instruction:
    """Adds an authority to a world."""
    accounts = {"authority": authority, "new_authority": new_authority, "world": world_pda(world_id)}
    return _WORLD.build("add_authority", accounts, world_id)


def remove_authority(authority: Pubkey, authority_to_delete: Pubkey, world_id: int) -> Instruction:
    """Removes an authority from a world."""
    accounts = {"authority": authority, "authority_to_delete": authority_to_delete, "world": world_pda(world_id)}
    return _WORLD.build("remove_authority", accounts, world_id)


def approve_system(authority: Pubkey, world: Pubkey, system: Pubkey) -> Instruction:
    """Lets a system run in a world. The first approval stops the world from being permissionless."""
    return _WORLD.build("approve_system", {"authority": authority, "world": world, "system": system})


def remove_system(authority: Pubkey, world: Pubkey, system: Pubkey) -> Instruction:
    """Withdraws a system's approval."""
    return _WORLD.build("remove_system", {"authority": authority, "world": world, "system": system})
