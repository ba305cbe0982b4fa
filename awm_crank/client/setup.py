"""Worlds, entities and components: what a session or a cartridge needs first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ..errors import AccountError, AwmError, ProgramError
from ..wire import bolt, ids
from ..wire.accounts import Registry, World
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
    """Makes a new permissionless world; `payer` is its authority."""
    for attempt in range(_RACES):
        number = await worlds(chain)
        try:
            await chain.send([bolt.initialize_new_world(payer.pubkey(), number)], payer)
        except ProgramError:
            if attempt == _RACES - 1 or await worlds(chain) == number:
                raise
            continue
        return bolt.world_pda(number)
    raise AssertionError("unreachable: the last try raises")


async def find_world(chain: Chain, named: str = "") -> Pubkey:
    """The world to work in: the one named, else the permissionless world with the lowest number.

    Raises:
        AccountError: the named one is not a world, or there is no permissionless world at all.
    """
    if named:
        key = parse_key(named, "world")
        account = await chain.need(key, "world")
        World.decode(account.data, owner=account.owner, address=key)
        return key
    count = await worlds(chain)
    for start in range(0, count, 100):
        keys = [bolt.world_pda(number) for number in range(start, min(start + 100, count))]
        for found in await chain.accounts(keys):
            if found is not None and World.decode(found.data, owner=found.owner, address=found.key).permissionless:
                return found.key
    raise AccountError(f"no permissionless world on {chain.url}", hint="name one with --world")


async def find_or_create_world(chain: Chain, payer: Keypair, named: str = "") -> Pubkey:
    """Like `find_world`, but makes a world on a chain that has none yet; `payer` pays."""
    if not named and await worlds(chain) == 0:
        return await create_world(chain, payer)
    return await find_world(chain, named)


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
