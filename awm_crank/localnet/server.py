"""Runs the localnet: connects sockets, clock and signals to bank, methods and topics. It uses one thread, because
LiteSVM holds the GIL.

Clients expect HTTP on one port and WebSocket on the next. Both ports serve both protocols.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ..errors import ConfigError
from . import genesis
from .bank import DEFAULT_HISTORY, Bank
from .connection import Connection
from .methods import Methods
from .pubsub import Topics

_CATCH_UP_SLOTS = 64


class LocalnetOptions(msgspec.Struct, kw_only=True):
    """How to start a localnet.

    Args:
        host: the address to listen on.
        port: the HTTP port; WebSocket is on the next one. 0 takes two free ones.
        slot_ms: length of a slot.
        history: the number of transactions that are kept whole.
        bare: leave out the project's programs and World's registry.
        programs: more programs, as (id, .so file).
        accounts: more accounts, as files in the Solana CLI's JSON format.
        fund: keys that have lamports from the start, as (public key, lamports).
        until_eof: end when standard input ends. So a localnet ends with its parent, however that ends.
    """

    host: str = "127.0.0.1"
    port: int = 8899
    slot_ms: float = 10.0
    history: int = DEFAULT_HISTORY
    bare: bool = False
    programs: list[tuple[Pubkey, Path]] = []
    accounts: list[Path] = []
    fund: list[tuple[Pubkey, int]] = []
    until_eof: bool = False


class Localnet:
    """One localnet. Call `listen`, and `close` at the end."""

    def __init__(self, options: LocalnetOptions) -> None:
        self._options = options
        faucet = Keypair()
        self.bank = Bank(slot_ms=options.slot_ms, now=time.time(), genesis=os.urandom(32), history=options.history)
        self.topics = Topics(self.bank)
        self.methods = Methods(self.bank, self.topics, identity=Keypair(), faucet=faucet)
        genesis.load(
            self.bank,
            faucet,
            bare=options.bare,
            programs=options.programs,
            accounts=options.accounts,
            fund=options.fund,
        )
        self._servers: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None
        self._ticks = 0
        # the monotonic clock drives the slots, so that a step of the wall clock does not stop or rush them
        self._monotonic_start = time.monotonic() - (time.time() - self.bank.started)
        self.connections: set[Connection] = set()
        self.http = ""
        self.ws = ""

    async def listen(self) -> None:
        """Opens both ports and starts the clock. Raises ConfigError if a port is taken."""
        loop = asyncio.get_running_loop()
        host = self._options.host
        first, second = _bind_pair(host, self._options.port)

        def accept() -> Connection:
            return Connection(self.methods.table, self.topics, self.connections)

        for listener in (first, second):
            self._servers.append(await loop.create_server(accept, sock=listener, backlog=512))
        name = f"[{host}]" if ":" in host else host
        self.http = f"http://{name}:{first.getsockname()[1]}"
        self.ws = f"ws://{name}:{second.getsockname()[1]}"
        self._tick()

    async def close(self) -> None:
        """Closes both ports and all connections."""
        if self._timer is not None:
            self._timer.cancel()
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            connection.shut()
        for server in self._servers:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(server.wait_closed(), 1)

    def _tick(self) -> None:
        bank = self.bank
        target = bank.slot_at(self._now())
        # after a pause, such as a laptop's sleep, most slots are skipped
        if target - bank.slot > _CATCH_UP_SLOTS:
            bank.advance(target - _CATCH_UP_SLOTS)
        while bank.slot < target:
            parent = bank.slot
            bank.advance(parent + 1)
            self.topics.slot(bank.slot, parent)
        self.topics.flush()
        self._ticks += 1
        if self._ticks % 128 == 0:
            # Only the young generations are garbage-collected, because the history is large, never garbage, and takes
            # 20 ms to scan.
            gc.collect(1)
        due = bank.started + bank.slot * bank.slot_ms / 1000
        self._timer = asyncio.get_running_loop().call_later(max(0.0005, due - self._now()), self._tick)

    def _now(self) -> float:
        return self.bank.started + time.monotonic() - self._monotonic_start


def _bind_pair(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Two listening sockets on consecutive ports."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(64):
        pair: list[socket.socket] = []
        try:
            for offset in (0, 1):
                opened = socket.socket(family, socket.SOCK_STREAM)
                pair.append(opened)
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                opened.bind((host, (port or pair[0].getsockname()[1]) + offset if port or offset else 0))
            return pair[0], pair[1]
        except (OSError, OverflowError) as error:
            for opened in pair:
                opened.close()
            if port:
                raise ConfigError(
                    f"cannot listen on {host}, ports {port} and {port + 1}",
                    found=error,
                    hint="another --port, or 0 for free ones",
                ) from None
    raise ConfigError(f"no two free ports in a row on {host}", hint="--port")


def _tune_allocator() -> None:
    """Keeps freed memory in the process (glibc). Reading a 7.5 MB account takes 0.5 ms then, and 10 ms otherwise."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for parameter, value in ((-1, 2**30), (-2, 2**26), (-3, 2**30)):  # trim threshold, top pad, mmap threshold
            mallopt(parameter, value)


def _read_on(stop: asyncio.Event) -> None:
    if not os.read(0, 4096):
        stop.set()


async def _serve(options: LocalnetOptions, announce: Callable[[Localnet], None]) -> None:
    net = Localnet(options)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Ctrl-C raises KeyboardInterrupt here, which gives the command a different exit status
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if options.until_eof:
        loop.add_reader(0, _read_on, stop)
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        await net.listen()
        announce(net)
        await stop.wait()
    finally:
        await net.close()


def serve(options: LocalnetOptions, announce: Callable[[Localnet], None]) -> None:
    """Runs a localnet until SIGTERM; Ctrl-C closes it and raises KeyboardInterrupt.

    Args:
        announce: called once, when both ports are open.
    """
    _tune_allocator()
    with contextlib.suppress(ImportError):
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(options, announce))
        return
    asyncio.run(_serve(options, announce))
