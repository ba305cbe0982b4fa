"""How the world is found when none is configured, on a real localnet."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from daemon.rig import CrankProcess, FaultProxy, Place, until
from solders.keypair import Keypair

from awm_crank import config
from awm_crank.client import setup
from awm_crank.client.chain import Chain
from awm_crank.client.keys import write_keypair
from awm_crank.daemon import worlds
from awm_crank.localnet.rig import EmbeddedLocalnet
from awm_crank.net.rpc import RpcClient
from awm_crank.wire import bolt, ids


async def test_lowest(place: Place) -> None:
    """The crank and the tools both find the permissionless world with the lowest id."""
    async with RpcClient(place.net.http) as rpc:
        assert await worlds.find(rpc) == await worlds.lowest(rpc) == place.world
    assert await setup.find_or_create_world(place.chain, place.net.faucet) == place.world


async def test_goes_on_through_another_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """A world that no longer runs our systems is named in the log, and another one takes its place.

    Until then the crank is not ready. Where there is no other world, it waits for one.
    """
    monkeypatch.setattr(worlds, "_LOOK_S", 0.05)
    async with EmbeddedLocalnet() as net, Chain(net.http) as chain, RpcClient(net.http) as rpc:
        owner = net.funded()
        first = await setup.create_world(chain, owner)
        watch = worlds.WorldWatch(rpc, "")
        running = asyncio.create_task(watch.run())
        await until(lambda: watch.key == first)
        changes = [bolt.approve_system(owner.pubkey(), first, ids.WORLD)]
        changes += [bolt.remove_system(owner.pubkey(), first, system) for system in ids.SYSTEMS.values()]
        await chain.send(changes, owner)
        await until(lambda: str(first) in watch.problem)
        assert watch.key == first
        second = await setup.create_world(chain, net.funded())
        await until(lambda: watch.key == second and not watch.problem)
        running.cancel()


def test_none() -> None:
    """On a chain without a world, the error says so."""

    async def look(url: str) -> object:
        async with RpcClient(url) as rpc:
            return await worlds.lowest(rpc)

    with EmbeddedLocalnet() as net:
        assert asyncio.run(look(net.http)) is None


async def test_interface(place: Place) -> None:
    """The localnet's World has the interface that the crank uses."""
    async with RpcClient(place.net.http) as rpc:
        await asyncio.wait_for(worlds.check_interface(rpc), 5)


async def test_waits_for_world() -> None:
    """If World is not deployed yet, the crank waits for it."""
    async with EmbeddedLocalnet("--bare") as net, RpcClient(net.http) as rpc:
        waiting = asyncio.create_task(worlds.check_interface(rpc))
        done, _ = await asyncio.wait([waiting], timeout=0.5)
        assert not done
        waiting.cancel()


async def test_another_interface_ends_the_crank(tmp_path: Path) -> None:
    """A World of BOLT's development branch is refused by that name: the crank exits with status 1 and one line.

    The crank never reported that it was ready, although everything else was there long before the base chain answered.
    """
    ours = Path(worlds.__file__).parents[1] / "localnet" / "programs" / "world.so"
    binary = tmp_path / "world.so"
    # a World that hands components a `cpi_auth` signer contains this name, after the sections that the loader reads
    binary.write_bytes(ours.read_bytes() + b"cpi_auth")
    key = tmp_path / "crank.json"
    write_keypair(key, Keypair())
    async with (
        EmbeddedLocalnet("--bare", "--program", str(ids.WORLD), str(binary)) as net,
        FaultProxy(net.http) as base,
    ):
        base.flowing.clear()
        chain = config.ChainConfig(base_http=base.url, rollup_http=net.http, rollup_ws=net.ws)
        crank = CrankProcess(tmp_path, config.Config(chain=chain, crank=config.CrankConfig(keypair=str(key))))
        try:
            await until(lambda: bool(crank.lines("connected")))
            await asyncio.sleep(0.5)
            assert crank.process.poll() is None
            base.flowing.set()
            assert await crank.ended() == 1
        finally:
            crank.kill()
    assert crank.lines("ready") == []
    (told,) = crank.lines("cannot serve")
    assert "BOLT's development branch (cpi_auth); expected BOLT 0.2.4" in told["problem"]
    assert "Traceback" not in crank.log.read_text()
