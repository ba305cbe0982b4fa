"""The demo for a person to play: bots fight one match after another, and a bot waits in another session for somebody.

Everything else is as in the demo. The browser makes the person's key and keeps it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from awm_crank.client import session
from awm_crank.client.player import PlayerConnection, ScriptedPlayer
from awm_crank.config import Config
from awm_crank.demo.play import AGENTS
from awm_crank.demo.run import arena_folder
from awm_crank.engine.cartridge import Cartridge
from awm_crank.errors import AwmError
from awm_crank.match.players import agent
from awm_crank.rig.arena import Arena, open_arena
from awm_crank.viewer import FEED_PORT, PAGE_PORT, Feed, PageServer
from awm_crank.wire.transaction import Signer

BOT = "fighter"
"""The agent that plays against the person."""
SHOWN_S = 8.0
"""How long an ended match stays visible."""
MATCH_FRAMES = 10_800
"""Three minutes: how long a match lasts whose player has gone away."""


async def run_page(
    say: Callable[[str], None],
    cartridge: Cartridge,
    *,
    seed: int = 1,
    keep: Path | None = None,
    port: int = PAGE_PORT,
    feed_port: int = FEED_PORT,
) -> None:
    """Serves page and feed, keeps one match of bots running and one open seat, until it is cancelled.

    Args:
        say: called with a sentence at each step, and with both addresses.
        cartridge: the model to play.
        seed: the first match's.
        keep: a new folder for keys, configuration and logs. None uses a folder that is removed at the end.

    Raises:
        ConfigError: a port is taken.
        AwmError: localnet or crank could not be started, or ended.
    """
    with contextlib.ExitStack() as stack:
        folder = arena_folder(keep, stack)
        # A person's input may come late, so frames do not wait for it. In the demo they do, which makes it
        # reproducible.
        async with (
            open_arena(folder, cartridge, say, crank=Config()) as arena,
            PlayerConnection(arena.http, arena.ws) as connection,
            PageServer(rpc=arena.http, ws=arena.ws, port=port) as page,
            Feed(arena.ws, rpc=arena.http, port=feed_port) as feed,
        ):
            say(f"watch and play in a browser: {page.url} (frame feed: {feed.url}); Ctrl-C ends it")
            # Two entities made by one key at the same moment would be the same transaction.
            making = asyncio.Lock()
            jobs = (_watch(arena), _bots(arena, connection, seed, making), _open_seats(arena, connection, seed, making))
            tasks = [asyncio.create_task(job) for job in jobs]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


async def _watch(arena: Arena) -> None:
    while True:
        arena.require_running()
        await asyncio.sleep(0.5)


async def _bots(arena: Arena, connection: PlayerConnection, seed: int, making: asyncio.Lock) -> None:
    """Matches between two bots, one after the other."""
    while True:
        async with making:
            match = await arena.create(seed, MATCH_FRAMES)
        seats = [
            ScriptedPlayer(Signer(bytes(keypair)), number, agent(name))
            for number, (keypair, name) in enumerate(zip(arena.players, AGENTS, strict=True))
        ]
        await arena.join(match)
        await connection.play(match.entity, arena.world, seats, seed)
        await _close(arena, match)
        seed += 1


async def _open_seats(arena: Arena, connection: PlayerConnection, seed: int, making: asyncio.Lock) -> None:
    """Matches that wait for player 2, one after the other."""
    while True:
        async with making:
            match = await arena.create(seed, MATCH_FRAMES)
        await connection.play(
            match.entity, arena.world, [ScriptedPlayer(Signer(bytes(arena.players[0])), 0, agent(BOT))], seed
        )
        await _close(arena, match)
        seed += 1


async def _close(arena: Arena, match: session.SessionAccounts) -> None:
    """Keeps an ended match visible for a while, then closes its accounts."""
    await asyncio.sleep(SHOWN_S)
    try:
        await session.close(arena.chain, arena.players[0], match.session)
    except AwmError:
        # The crank may still be writing its last checkpoint. Accounts that stay open cost nothing on a chain that ends.
        return
