"""Starts everything that a match needs: an embedded localnet, a published cartridge, keys, and a crank that serves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from awm_crank import config
from awm_crank.client.keys import write_keypair
from awm_crank.client.session import SessionAccounts
from awm_crank.engine.cartridge import Cartridge
from awm_crank.localnet.rig import EmbeddedLocalnet
from awm_crank.rig.crank import CrankProcess
from awm_crank.rig.place import Place
from awm_crank.rig.processes import Child, Children

Say = Callable[[str], None]
_SPEND_LIMIT = 50_000_000_000
# a big world's accounts cost more than a stranger's match may cost on a shared chain
DEFAULT_CRANK = config.Config(crank=config.CrankConfig(late_policy="wait", spend_limit_lamports=_SPEND_LIMIT))


class Arena(Place):
    """A place with one crank. Open it with `open_arena`."""

    characters = (1, 2)
    cartridge: Cartridge
    children: Children
    crank_process: Child
    """the crank that was started last"""
    config: config.Config

    @property
    def http(self) -> str:
        """The localnet's RPC endpoint."""
        return self.net.http

    @property
    def ws(self) -> str:
        """The localnet's PubSub endpoint."""
        return self.net.ws

    def start_crank(self, **changes: Any) -> CrankProcess:
        """Starts a crank process with the arena's configuration; `changes` are top-level settings of it."""
        started = self.crank(msgspec.structs.replace(self.config, **changes))
        self.children.adopt(started)
        self.crank_process = started
        return started

    def require_running(self) -> None:
        """Raises AwmError if the localnet, or a crank that nobody stopped, has ended."""
        self.net.require_running()
        self.children.require_running()

    async def schedule(self, match: SessionAccounts, timeout_s: float = 60.0) -> float:
        """Waits for the crank's log line with this session's t0, in seconds of the monotonic clock."""
        line = await self.crank_process.wait_for("schedule", timeout_s=timeout_s, session=str(match.session))
        return float(line["t0"])


@asynccontextmanager
async def open_arena(
    folder: Path, cartridge: Cartridge, say: Say = lambda _: None, *, crank: config.Config = DEFAULT_CRANK
) -> AsyncIterator[Arena]:
    """Starts everything; stops it in reverse order at the end.

    Args:
        folder: where keys, configuration and logs go. It exists and is empty.
        cartridge: the cartridge that is published and played.
        say: gets one line about each step.
        crank: the crank's settings; chain and key are filled in.
    """
    async with AsyncExitStack() as stack:
        say("starting the localnet")
        net = await stack.enter_async_context(EmbeddedLocalnet(log=folder / "localnet.log"))
        say(f"localnet at {net.http}, programs deployed")
        say(f"publishing cartridge {cartridge.name}, {len(cartridge.data) / 1000:.0f} KB")
        arena = await stack.enter_async_context(await Arena.make(net, folder, cartridge))
        say(f"cartridge is on chain as {arena.model}, every hash verified")
        arena.cartridge = cartridge
        for number, player in enumerate(arena.players, 1):
            write_keypair(folder / f"player{number}.json", player)
        arena.children = await stack.enter_async_context(Children(folder))
        key = msgspec.structs.replace(crank.crank, keypair=str(arena.key_path))
        arena.config = msgspec.structs.replace(crank, chain=arena.chains(), crank=key)
        await arena.start_crank().ready()
        say(f"crank {str(arena.crank_key.pubkey())[:8]}… is running, a process of its own")
        yield arena
