"""Worlds, entities and components: what a session or a cartridge needs first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ..errors import AccountError, AwmError, ProgramError
from ..wire import bolt, ids
from ..wire.accounts import Registry, World
from ..wire.worlds import best_world
from .chain import Chain

_RACES = 8
"""Tries to get the next number of a world or entity while others take it."""


async def worlds(chain: Chain) -> int:
    """How many worlds there are.

    Raises:
        AccountError: the chain has no BOLT registry.
    """
    account = await chain.account(bolt.registry_pda())
    if account is None:
        raise AccountError(
            f"no BOLT registry on {chain.url}",
            hint="use a chain where World 0.2.4 is deployed, such as `awm-crank localnet`",
        )
    return Registry.decode(account.data, owner=account.owner, address=account.key).worlds


async def create_world(chain: Chain, payer: Keypair) -> Pubkey:
    """Makes a new world in one transaction: `payer` is its authority, and the three systems of a match are approved.

    Anybody could become the authority of a world without one, and refuse everybody's systems.
    """
    key = payer.pubkey()
    for attempt in range(_RACES):
        number = await worlds(chain)
        try:
            world = bolt.world_pda(number)
            approvals = [bolt.approve_system(key, world, system) for system in ids.SYSTEMS.values()]
            instructions = [bolt.initialize_new_world(key, number), bolt.add_authority(key, key, number), *approvals]
            await chain.send(instructions, payer)
        except ProgramError:
            if attempt == _RACES - 1 or await worlds(chain) == number:
                raise
            continue
        return bolt.world_pda(number)
    raise AssertionError("unreachable: the last try raises")


async def find_world(chain: Chain, named: str = "") -> Pubkey:
    """The world to work in: the one named, else the first guarded one that runs matches, else the first that runs them.

    Raises:
        AccountError: the named one is not a world, or none runs matches.
    """
    if named:
        key = parse_key(named, "world")
        account = await chain.need(key, "world")
        World.decode(account.data, owner=account.owner, address=key)
        return key
    if (world := best_world(await _all_worlds(chain))) is None:
        raise AccountError(f"no world on {chain.url} runs matches", hint="name one with --world")
    return world


async def _all_worlds(chain: Chain) -> list[tuple[Pubkey, World]]:
    count = await worlds(chain)
    keys = [bolt.world_pda(number) for number in range(count)]
    accounts = [each for at in range(0, count, 100) for each in await chain.accounts(keys[at : at + 100])]
    return [
        (each.key, World.decode(each.data, owner=each.owner, address=each.key)) for each in accounts if each is not None
    ]


async def find_or_create_world(chain: Chain, payer: Keypair, named: str = "") -> Pubkey:
    """The world named, else one of which `payer` is an authority and which runs matches, else a new one."""
    if named:
        return await find_world(chain, named)
    for key, world in await _all_worlds(chain):
        if payer.pubkey() in world.authorities and world.guarded and world.runs_matches:
            return key
    return await create_world(chain, payer)


async def create_entity(
    chain: Chain, payer: Keypair, world: Pubkey, components: Sequence[Pubkey], *, authority: Pubkey = ids.WORLD,
    announce: Callable[[Pubkey], object] = lambda _: None,
) -> Pubkey:  # fmt: skip
    """Makes the world's next entity with these components, in one transaction.

    Args:
        components: component programs, at most five so that the transaction fits.
        authority: who may update them; with the World id, every apply reaches the component's own checks.
        announce: called with the entity before its transaction is sent; again when another client took that entity.

    Raises:
        ProgramError, RpcError: as `Chain.send`.
    """
    for attempt in range(_RACES):
        account = await chain.need(world, "world")
        state = World.decode(account.data, owner=account.owner, address=world)
        entity = bolt.entity_pda(state.id, state.entities)
        announce(entity)
        instructions = [bolt.add_entity(payer.pubkey(), world, entity)]
        instructions += [bolt.initialize_component(payer.pubkey(), entity, each, authority) for each in components]
        try:
            await chain.send(instructions, payer)
        except ProgramError:
            # another client may have taken the number in between: then the entity exists now
            if attempt == _RACES - 1 or await chain.account(entity) is None:
                raise
            continue
        return entity
    raise AssertionError("unreachable: the last try raises")


def parse_key(text: str, what: str) -> Pubkey:
    """A base58 address given by a person.

    Raises:
        AwmError: it is not an address; exit status 2.
    """
    try:
        return Pubkey.from_string(text)
    except ValueError:
        error = AwmError(f"{what} {text!r} is not an address", expected="32 bytes in base58")
        error.exit_code = 2
        raise error from None
