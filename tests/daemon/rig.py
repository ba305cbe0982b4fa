"""A crank process on an embedded localnet with a published cartridge, for the tests of this folder."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from solders.pubkey import Pubkey

from awm_crank import config
from awm_crank.client import publish, session, setup
from awm_crank.client.chain import Chain
from awm_crank.client.keys import write_keypair
from awm_crank.client.player import Seat, Table
from awm_crank.client.session import SessionAccounts, SessionView
from awm_crank.engine import ReferenceEngine
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.seeded import lasting
from awm_crank.localnet.rig import EmbeddedLocalnet
from awm_crank.match.players import agent
from awm_crank.wire import frame_records
from awm_crank.wire.transaction import Signer


class CrankProcess:
    """`awm-crank run` as an operator starts it; its log's lines as they are written."""

    def __init__(self, folder: Path, settings: config.Config, name: str = "crank") -> None:
        self.log_path = folder / f"{name}.log"
        self.stats_path = folder / f"{name}.stats.json"
        path = folder / f"{name}.toml"
        path.write_text(config.dump(settings))
        self._ready = folder / f"{name}.ready"
        self._ready.unlink(missing_ok=True)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "awm_crank", "run", "--config", str(path), "--ready-file", str(self._ready),
                    "--stats", str(self.stats_path),
                ],
                stdout=log, stderr=log,
            )  # fmt: skip

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """The log so far, or the lines of one event."""
        parsed = []
        for line in self.log_path.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                parsed.append(json.loads(line))
        return [line for line in parsed if event is None or line.get("event") == event]

    async def ready(self, timeout_s: float = 20.0) -> None:
        """Waits until it serves."""
        await until(lambda: self._ready.exists() or self.process.poll() is not None, timeout_s)
        assert self.process.poll() is None, self.log_path.read_text()[-3000:]

    async def ended(self, timeout_s: float = 20.0, *, what: str = "its end") -> int:
        """Waits for its end; returns the exit status."""
        await until(lambda: self.process.poll() is not None, timeout_s, what=what)
        return self.process.returncode

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signals it and waits for its end."""
        self.process.send_signal(number)
        return await self.ended()

    def cpu_seconds(self) -> float:
        """Processor time that it has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """SIGKILL; nothing where it has ended."""
        self.process.kill()
        self.process.wait()


async def until(condition: Callable[[], bool], timeout_s: float = 20.0, *, what: str = "it") -> None:
    """Waits for something that other processes do."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in time"
        await asyncio.sleep(0.005)


class Place:
    """Localnet, world, model, keys; matches on it and crank processes for them."""

    def __init__(self, net: EmbeddedLocalnet, connection: Chain, world: Pubkey, model: Pubkey, folder: Path) -> None:
        self.net, self.chain, self.world, self.model, self.folder = net, connection, world, model, folder
        self.players = (net.funded(), net.funded())
        self.crank_key = net.funded()
        self.key_path = folder / "crank.json"
        write_keypair(self.key_path, self.crank_key)
        self._cranks: list[CrankProcess] = []

    @classmethod
    async def make(cls, net: EmbeddedLocalnet, folder: Path, made: Cartridge | None = None) -> Place:
        """Publishes a seeded cartridge (tiny unless given) into a world."""
        connection = Chain(net.http, commitment="processed")
        world = await setup.find_or_create_world(connection, net.faucet)
        done = await publish.publish(connection, net.faucet, world, made or lasting())
        return cls(net, connection, world, done.model, folder)

    def settings(self, **changes: Any) -> config.Config:
        """A configuration for this place; `changes` of `crank`, or `checkpoints` and `fault_kill_at` by name."""
        checkpoints = changes.pop("checkpoints", config.Checkpoints())
        fault = changes.pop("fault_kill_at", "")
        rollup = {name: changes.pop(name) for name in ("rollup_http", "rollup_ws") if name in changes}
        values = {"late_policy": "wait", "keypair": str(self.key_path), **changes}
        return config.Config(
            chain=config.Chain(**{"base_http": self.net.http, "rollup_ws": self.net.ws, **rollup}),
            crank=config.Crank(**values),
            checkpoints=checkpoints,
            log=config.Log(level="debug"),
            fault_kill_at=fault,
        )

    def crank(self, settings: config.Config | None = None, name: str = "crank") -> CrankProcess:
        """Starts a crank."""
        process = CrankProcess(self.folder, settings or self.settings(), name)
        self._cranks.append(process)
        return process

    async def create(self, *, writer: Pubkey | None = None, max_frames: int = 0, seed: int = 7) -> SessionAccounts:
        """A session for the crank's key, waiting for player 2."""
        return await session.create(
            self.chain, self.players[0], self.world, self.model,
            writer=self.crank_key.pubkey() if writer is None else writer, max_frames=max_frames, seed=seed,
        )  # fmt: skip

    async def join(self, match: SessionAccounts) -> None:
        """Player 2 joins."""
        await session.join(self.chain, self.players[1], self.world, match.session)

    async def play(self, match: SessionAccounts, seed: int = 7) -> None:
        """Both players play until the session ends."""
        async with Table(self.net.http, self.net.ws) as table:
            seats = [Seat(Signer(bytes(self.players[n])), n, agent("random")) for n in (0, 1)]
            await table.play(match.entity, self.world, seats, seed)

    async def show(self, match: SessionAccounts) -> SessionView:
        """All accounts of a session."""
        return await session.show(self.chain, match.session)

    async def when(
        self, match: SessionAccounts, condition: Callable[[SessionView], bool], timeout_s: float = 30.0
    ) -> SessionView:
        """The session's accounts, once they satisfy a condition."""
        deadline = time.monotonic() + timeout_s
        while not condition(view := await self.show(match)):
            assert time.monotonic() < deadline, f"frame {view.session.frame}, status {view.session.status}"
            await asyncio.sleep(0.02)
        return view

    async def close(self) -> None:
        """Ends every crank that is left, and the connection."""
        for crank in self._cranks:
            if crank.process.poll() is None:
                crank.kill()
        await self.chain.close()


def finished(view: SessionView) -> bool:
    """Ended, with a checkpoint of the last frame."""
    hidden = view.hidden
    return bool(
        view.session.status == 3 and hidden and hidden.initialized and hidden.checkpoint_frame == view.session.frame
    )


def expected_records(made: Cartridge, view: SessionView, frames: int, seed: int = 7) -> list[bytes]:
    """The records of an undisturbed match of `Place.play`, computed here."""
    engine, session_state = ReferenceEngine(made), view.session
    act = agent("random")
    block = frame_records.block(view.start_players, bytes(16), bytes(16), session_state.stage)
    state, chain_hash = engine.start_state(block), view.genesis
    records = []
    for frame in range(1, frames + 1):
        context = engine.backbone(state, block)
        inputs = b"".join(act(seed, player, frame, frame_records.block_players(block)) for player in (0, 1))
        block = engine.heads(context, block, inputs)
        players, feedback = frame_records.block_players(block), frame_records.block_feedback(block)
        chain_hash = frame_records.advance(chain_hash, frame, inputs, bytes(2), players, feedback)
        records.append(frame_records.record(frame, inputs, bytes(2), session_state.stage, players, chain_hash))
    return records


class FaultProxy:
    """A TCP proxy in front of an endpoint: breaks connections, refuses them, or lets them hang half open."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "", target.port or 0)
        self._scheme = target.scheme
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.refusing = False
        self.flowing = asyncio.Event()
        """cleared: what comes is held back, and connections stay open"""
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
        """What to give the crank."""
        assert self._server is not None
        return f"{self._scheme}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def drop(self) -> None:
        """Breaks every connection off."""
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
