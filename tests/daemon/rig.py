"""Matches that play themselves on a localnet, the records they must produce, and a proxy that breaks connections."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from awm_crank import config
from awm_crank.client import session
from awm_crank.client.player import PlayerConnection, ScriptedPlayer
from awm_crank.client.session import SessionAccounts, SessionView
from awm_crank.engine import ReferenceEngine
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.seeded import lasting
from awm_crank.localnet.rig import LocalnetProcess
from awm_crank.match.players import agent
from awm_crank.rig import place as rig
from awm_crank.rig.crank import CrankProcess
from awm_crank.wire import frame_records
from awm_crank.wire.transaction import Signer


async def until(condition: Callable[[], bool], timeout_s: float = 20.0, *, what: str = "it") -> None:
    """Waits for something that another process does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in time"
        await asyncio.sleep(0.005)


class Place(rig.Place):
    """A place with a small model for one test: it starts cranks with given settings, and plays matches."""

    @classmethod
    async def make(cls, net: LocalnetProcess, folder: Path, cartridge: Cartridge | None = None) -> Self:
        """Publishes a cartridge; by default a tiny one with seeded weights."""
        return await super().make(net, folder, cartridge or lasting())

    def settings(self, **changes: Any) -> config.Config:
        """A configuration for this place. `changes` are settings of `crank`, or `checkpoints`, `fault_kill_at`,
        `rollup_http` and `rollup_ws` by name."""
        checkpoints = changes.pop("checkpoints", config.CheckpointsConfig())
        fault = changes.pop("fault_kill_at", "")
        chains = {name: changes.pop(name) for name in ("rollup_http", "rollup_ws") if name in changes}
        values = {"late_policy": "wait", "keypair": str(self.key_path), **changes}
        return config.Config(
            chain=msgspec.structs.replace(self.chains(), world="", **chains),
            crank=config.CrankConfig(**values),
            checkpoints=checkpoints,
            log=config.LogConfig(level="debug"),
            fault_kill_at=fault,
        )

    def crank(self, settings: config.Config | None = None, name: str = "crank") -> CrankProcess:
        """Starts a crank."""
        return super().crank(settings or self.settings(), name)

    async def play(self, match: SessionAccounts, seed: int = 7) -> None:
        """Lets both players play until the session ends."""
        async with PlayerConnection(self.net.http, self.net.ws) as connection:
            seats = [ScriptedPlayer(Signer(bytes(self.players[n])), n, agent("random")) for n in (0, 1)]
            await connection.play(match.entity, self.world, seats, seed)

    async def show(self, match: SessionAccounts) -> SessionView:
        """Reads all accounts of a session."""
        return await session.show(self.chain, match.session)

    async def when(
        self, match: SessionAccounts, condition: Callable[[SessionView], bool], timeout_s: float = 30.0
    ) -> SessionView:
        """Waits until the session's accounts satisfy a condition, and returns them."""
        deadline = time.monotonic() + timeout_s
        while not condition(view := await self.show(match)):
            assert time.monotonic() < deadline, f"frame {view.session.frame}, status {view.session.status}"
            await asyncio.sleep(0.02)
        return view


def finished(view: SessionView) -> bool:
    """Whether the session has ended and its last frame has a checkpoint."""
    hidden = view.hidden
    return bool(
        view.session.status == 3 and hidden and hidden.initialized and hidden.checkpoint_frame == view.session.frame
    )


def expected_records(made: Cartridge, view: SessionView, frames: int, seed: int = 7) -> list[bytes]:
    """Computes the records of an undisturbed match of `Place.play`."""
    engine, session_state = ReferenceEngine(made), view.session
    act = agent("random")
    extra = bytes(2 * made.extra_size)
    block = frame_records.block(view.start_players, bytes(16), bytes(16), session_state.stage, extra)
    state, chain_hash = engine.start_state(block), view.genesis
    records = []
    for frame in range(1, frames + 1):
        context = engine.backbone(state, block)
        inputs = b"".join(act(seed, player, frame, frame_records.block_players(block)) for player in (0, 1))
        block = engine.heads(context, block, inputs)
        players, feedback = frame_records.block_players(block), frame_records.block_feedback(block)
        extra = frame_records.block_extra(block)
        chain_hash = frame_records.advance(chain_hash, frame, inputs, bytes(2), players, feedback, extra)
        records.append(frame_records.record(frame, inputs, bytes(2), session_state.stage, players, chain_hash, extra))
    return records


class FaultProxy:
    """A TCP proxy in front of an endpoint. It breaks connections, refuses them, or leaves them half open."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "", target.port or 0)
        self._scheme = target.scheme
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.refusing = False
        self.flowing = asyncio.Event()
        """While cleared, the proxy holds messages back and keeps connections open."""
        self.flowing.set()
        self.connections = 0

    async def __aenter__(self) -> FaultProxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self.drop()
        self._server.close()

    @property
    def url(self) -> str:
        """The address to give the crank."""
        assert self._server is not None
        return f"{self._scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def drop(self) -> None:
        """Breaks every open connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        self.connections += 1
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, there_writer}
        await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))
        self._writers -= {writer, there_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                await self.flowing.wait()
                writer.write(data)
        writer.transport.abort()
