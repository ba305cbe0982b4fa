"""A stranger with the embedded localnet, a crank as it is shipped, and strangers who try to take its money or
its time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest
from daemon.rig import Place
from solders.keypair import Keypair

from awm_crank import config
from awm_crank.client import session
from awm_crank.client.keys import write_keypair
from awm_crank.client.player import PlayerConnection, ScriptedPlayer
from awm_crank.client.session import SessionAccounts
from awm_crank.match.players import agent
from awm_crank.rig.crank import CrankProcess
from awm_crank.wire.transaction import Signer

SOL = 10**9
RENT = 560_307_840
"""What the accounts of a match with the tiny model cost."""
Pair = tuple[Keypair, Keypair]


class Shop:
    """A crank with four SOL and the default settings, and players whom it does not know."""

    def __init__(self, place: Place) -> None:
        self.place = place
        place.crank_key = place.net.funded(4 * SOL)
        place.key_path = place.folder / "small.json"
        write_keypair(place.key_path, place.crank_key)

    def crank(self, **settings: object) -> CrankProcess:
        """Starts the crank; only what the test needs differs from the defaults."""
        return self.place.crank(config.Config(
            chain=self.place.chains(), log=config.LogConfig(level="debug"),
            crank=config.CrankConfig(keypair=str(self.place.key_path), **settings),  # type: ignore[arg-type]
        ))  # fmt: skip

    async def match(self, players: Pair, *, joined: bool = True) -> SessionAccounts:
        """A session of these players."""
        made = await self.place.create(players=players)
        if joined:
            await self.place.join(made, players[1])
        return made

    async def frame(self, match: SessionAccounts) -> int:
        """The frame that the match is at."""
        return (await self.place.show(match)).session.frame

    async def balance(self) -> int:
        """The crank's lamports."""
        return await self.place.chain.balance(self.place.crank_key.pubkey())

    def keys(self, count: int) -> list[Keypair]:
        """New keys with lamports."""
        return [self.place.net.funded(10 * SOL) for _ in range(count)]


def refused(crank: CrankProcess, match: SessionAccounts) -> str:
    """Why the crank lets a match wait, as its log says."""
    lines = [line for line in crank.lines("trying again") if line["session"] == str(match.session)]
    return f"{lines[-1]['cause']}: {lines[-1]['problem']}" if lines else ""


@pytest.mark.parametrize("many_keys", [False, True])
async def test_sessions_that_a_stranger_joins_itself(place: Place, many_keys: bool) -> None:
    """Seven sessions that a stranger joins with a second key take at most half of the crank's money.

    The honest match that runs goes on. A second honest match of other players is served, too, unless the stranger has a
    new pair of keys for every session; then a deposit gets it served all the same.
    """
    shop = Shop(place)
    honest, second, *strangers = shop.keys(2 + 2)
    more = shop.keys(14) if many_keys else strangers * 7
    async with AsyncExitStack() as stack:
        # the test must not depend on this machine's load
        crank = shop.crank(max_load_percent=0)
        await crank.ready()
        first = await shop.match((honest, second))
        await place.when(first, lambda view: view.session.frame > 3)
        attack = [await shop.match((more[2 * n], more[2 * n + 1])) for n in range(7)]
        await until_settled(shop, attack)
        taken = [match for match in attack if await shop.frame(match)]
        assert len(taken) in ((1, 2) if many_keys else (1,))
        assert await shop.balance() > 2 * SOL
        assert "budget: " in refused(crank, attack[-1])
        before = await shop.frame(first)
        await place.when(first, lambda view: view.session.frame > before)
        other, another = shop.keys(2)
        late = await place.create(players=(other, another))
        if many_keys:
            await session.deposit(place.chain, other, late.session, 2 * SOL, frame_lamports=10_000)
        await place.join(late, another)
        connection = await stack.enter_async_context(PlayerConnection(place.net.http, place.net.ws))
        seats = [ScriptedPlayer(Signer(bytes(key)), n, agent("random")) for n, key in enumerate((other, another))]
        playing = asyncio.create_task(connection.play(late.entity, place.world, seats, 7))
        stack.callback(playing.cancel)
        await place.when(late, lambda view: view.session.frame > 30)


async def until_settled(shop: Shop, matches: Sequence[SessionAccounts]) -> None:
    """Waits until the number of matches that run has not changed for three seconds."""
    last, since = -1, 0.0
    loop = asyncio.get_running_loop()
    while True:
        running = sum([await shop.frame(match) > 0 for match in matches])
        if running != last:
            last, since = running, loop.time()
        elif running and loop.time() - since > 3:
            return
        await asyncio.sleep(0.1)
