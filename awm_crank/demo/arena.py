"""The place a demo match needs: localnet, published cartridge, keys and a crank, each process as an operator runs it.

localnet and crank are `awm-crank localnet` and `awm-crank run --config FILE`, processes of their own; this module talks
to them over HTTP, and reads their logs only for readiness and for the crank's schedule.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank import config
from awm_crank.client import publish, session, setup
from awm_crank.client.chain import Chain
from awm_crank.client.keys import write_keypair
from awm_crank.client.session import SessionAccounts
from awm_crank.demo.processes import Child, Children
from awm_crank.engine.cartridge import Cartridge

# of engine/data/demo.awm (docs/world.md): pinned, since quantizing anew gives other bytes on another processor
_START_S = 60.0
Say = Callable[[str], None]
_SPEND_LIMIT = 50_000_000_000


class Arena:
    """Starts everything on entering, stops it in reverse order on leaving.

    Args:
        folder: where keys, configuration and logs go; it exists and is empty.
        cartridge: what is published and played.
        say: told of each step.
        crank: the crank's settings; where chain and key are is filled in.
    """

    def __init__(
        self, folder: Path, cartridge: Cartridge, say: Say = lambda _: None, *, crank: config.Config | None = None
    ) -> None:
        self.folder = folder
        self.http = self.ws = ""
        self.players = (Keypair(), Keypair())
        self.world = self.model = Pubkey.default()
        self.cartridge = cartridge
        self.children = Children(folder)
        self.chain: Chain
        self.crank: Child
        self.crank_key = Keypair()
        self._say = say
        self._crank = crank or config.Config(
            # a big world's accounts cost more than a stranger's match may on a shared chain
            crank=config.Crank(late_policy="wait", spend_limit_lamports=_SPEND_LIMIT)
        )

    async def __aenter__(self) -> Self:
        await self.children.__aenter__()
        try:
            await self._start()
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if hasattr(self, "chain"):
            await self.chain.close()
        await self.children.__aexit__(kind, error, trace)

    async def _start(self) -> None:
        player1, player2 = (self.folder / f"player{number}.json" for number in (1, 2))
        for path, keypair in (
            (player1, self.players[0]), (player2, self.players[1]), (self.folder / "crank.json", self.crank_key)
        ):  # fmt: skip
            write_keypair(path, keypair)
        self._say("starting the localnet")
        funded = [f"--fund={keypair.pubkey()}" for keypair in (*self.players, self.crank_key)]
        localnet = self.children.start_own("localnet", "localnet", "--port", "0", *funded)
        ready = msgspec.json.decode(await localnet.wait_for_line(lambda line: line.startswith("{"), _START_S))
        self.http, self.ws = ready["http"], ready["ws"]
        self.chain = Chain(self.http, commitment="processed")
        self._say(f"localnet at {self.http}, programs deployed")
        self.world = await setup.find_or_create_world(self.chain, self.players[0])
        self.model = await self._publish()
        self._write_config()
        self.crank = self.start_crank()
        await self.crank_ready()
        self._say(f"crank {str(self.crank_key.pubkey())[:8]}… is running, a process of its own")

    async def _publish(self) -> Pubkey:
        self._say(f"publishing cartridge {self.cartridge.name}, {len(self.cartridge.data) / 1000:.0f} KB")
        published = await publish.publish(self.chain, self.players[0], self.world, self.cartridge)
        self._say(f"cartridge is on chain as {published.model}, every hash verified")
        return published.model

    def _write_config(self) -> None:
        settings = msgspec.structs.replace(
            self._crank,
            chain=config.Chain(base_http=self.http, rollup_ws=self.ws, world=str(self.world)),
            crank=msgspec.structs.replace(self._crank.crank, keypair="crank.json"),
        )
        (self.folder / "crank.toml").write_text(config.dump(settings))

    def start_crank(self, **changes: Any) -> Child:
        """Starts a crank process with the arena's configuration file; `changes` are top-level settings of it."""
        path = self.folder / "crank.toml"
        if changes:
            path = self.folder / "crank-changed.toml"
            path.write_text(config.dump(msgspec.structs.replace(config.load(self.folder / "crank.toml"), **changes)))
        self.crank = self.children.start_own("crank", "run", "--config", str(path))
        return self.crank

    async def crank_ready(self) -> None:
        """Waits until the crank says that it serves."""
        await self.crank.wait_for_line(lambda line: _event(line).get("event") == "ready", _START_S)

    async def create(self, seed: int, max_frames: int) -> SessionAccounts:
        """A session of player 1's whose frames only the arena's crank may write; player 2 has not joined yet."""
        return await session.create(
            self.chain, self.players[0], self.world, self.model,
            writer=self.crank_key.pubkey(), character=1, max_frames=max_frames, seed=seed,
        )  # fmt: skip

    async def join(self, match: SessionAccounts) -> None:
        """Player 2 joins: the match begins."""
        await session.join(self.chain, self.players[1], self.world, match.session, character=2)

    async def schedule(self, match: SessionAccounts, timeout_s: float = 60.0) -> float:
        """Waits for the crank's log line that gives this session's t0, seconds on the monotonic clock."""
        wanted = str(match.session)

        def is_schedule(line: str) -> bool:
            event = _event(line)
            return event.get("event") == "schedule" and event.get("session") == wanted

        return float(_event(await self.crank.wait_for_line(is_schedule, timeout_s))["t0"])


def _event(line: str) -> dict[str, Any]:
    """A line of the crank's structured log; empty for anything else it may have printed."""
    try:
        event = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return {}
    return event if isinstance(event, dict) else {}
