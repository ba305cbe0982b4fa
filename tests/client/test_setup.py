"""Setting up worlds, entities and components."""

from __future__ import annotations

import asyncio

import pytest
from client.localnet import Arena
from solders.keypair import Keypair

from awm_crank.client import setup
from awm_crank.errors import AccountError, AwmError, ProgramError
from awm_crank.localnet.rig import EmbeddedLocalnet
from awm_crank.wire import bolt, ids
from awm_crank.wire.accounts import InputBuffer, World


async def test_first_world_is_made_once() -> None:
    """On a chain without worlds the first call makes one, and later calls find it."""
    from awm_crank.client.chain import Chain

    async with EmbeddedLocalnet() as net, Chain(net.http) as chain:
        with pytest.raises(AccountError, match=r"no world on .* runs matches. Try: name one with --world"):
            await setup.find_world(chain)
        world = await setup.find_or_create_world(chain, net.faucet)
        assert world == bolt.world_pda(0)
        assert await setup.find_or_create_world(chain, net.faucet) == world
        assert await setup.worlds(chain) == 1


async def test_nobody_seizes_a_published_world(arena: Arena) -> None:
    """A new world has its maker as authority and our systems approved, so a stranger cannot add itself."""
    async with arena.chain() as chain:
        world = await setup.create_world(chain, arena.net.faucet)
        account = await chain.need(world, "world")
        state = World.decode(account.data)
        assert state.authorities == (arena.net.faucet.pubkey(),)
        assert (state.permissionless, state.runs_matches) == (False, True)
        thief = arena.net.funded()
        with pytest.raises(ProgramError, match="InvalidAuthority"):
            await chain.send([bolt.add_authority(thief.pubkey(), thief.pubkey(), state.id)], thief)


async def test_world_by_name(arena: Arena) -> None:
    """A world that is named is used if it is a world; anything else is refused."""
    async with arena.chain() as chain:
        second = await setup.create_world(chain, arena.net.faucet)
        assert await setup.find_world(chain, str(second)) == second
        assert await setup.find_world(chain) == arena.world
        with pytest.raises(AccountError):
            await setup.find_world(chain, str(arena.model))
        with pytest.raises(AwmError, match="world 'w' is not an address") as caught:
            await setup.find_world(chain, "w")
        assert caught.value.exit_code == 2


async def test_component_belongs_to_its_entity(arena: Arena) -> None:
    """A component has its entity's address, stores the entity's key, and is World's to update."""
    async with arena.chain() as chain:
        entity = await setup.create_entity(chain, arena.net.funded(), arena.world, [ids.INPUT_BUFFER])
        account = await chain.need(bolt.component_pda(ids.INPUT_BUFFER, entity), "input buffer")
    found = InputBuffer.decode(account.data, owner=account.owner)
    assert (found.entity, found.bolt_metadata) == (entity, ids.WORLD)


async def test_entities_made_at_once(arena: Arena) -> None:
    """Clients that race for the same id all end up with an entity of their own."""
    async with arena.chain() as chain:
        payers = [arena.net.funded() for _ in range(5)]
        made = await asyncio.gather(*(setup.create_entity(chain, each, arena.world, []) for each in payers))
    assert len(set(made)) == 5


async def test_no_registry(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a chain without BOLT, the error says that BOLT is missing."""
    monkeypatch.setattr(bolt, "registry_pda", lambda: Keypair().pubkey())
    async with arena.chain() as chain:
        with pytest.raises(AccountError, match="no BOLT registry on"):
            await setup.worlds(chain)
