"""The process: sockets, clock and signals around bank, methods and hub. One thread; LiteSVM holds the GIL anyway.

Both ports speak HTTP and WebSocket (the other protocol costs an `if`); clients expect HTTP on the first and WebSocket
on the next.
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
from typing import cast

import msgspec
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ..errors import ConfigError
from . import genesis
from .bank import Bank
from .http1 import HttpError, Request, RequestParser, response
from .jsonrpc import Handler, respond
from .methods import Methods
from .pubsub import Hub
from .websocket import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    FrameParser,
    WebSocketError,
    accept_key,
    close_payload,
    frame,
)

MAX_BACKLOG_BYTES = 64 * 1024 * 1024
"""A subscriber that falls this far behind is disconnected."""
_CATCH_UP_SLOTS = 64
_SEND_BUFFER_BYTES = 1024 * 1024


class Options(msgspec.Struct, kw_only=True):
    """What a localnet is started with.

    Args:
        host: the address to listen on.
        port: of HTTP; WebSocket is on the next one. 0 takes two free ones.
        slot_ms: length of a slot.
        history: transactions that are remembered.
        bare: without the project's programs and World's registry.
        programs: further programs, (id, .so file).
        accounts: further accounts, files in the Solana CLI's JSON format.
        fund: (public key, lamports) that exist from the start.
        until_eof: end when standard input does, so that no parent, however it ends, leaves a localnet behind.
    """

    host: str = "127.0.0.1"
    port: int = 8899
    slot_ms: float = 10.0
    history: int = 50_000
    bare: bool = False
    programs: list[tuple[Pubkey, Path]] = []
    accounts: list[Path] = []
    fund: list[tuple[Pubkey, int]] = []
    until_eof: bool = False


class Localnet:
    """One localnet: build it, `listen`, and `close`."""

    def __init__(self, options: Options) -> None:
        self._options = options
        faucet = Keypair()
        self.bank = Bank(slot_ms=options.slot_ms, now=time.time(), genesis=os.urandom(32), history=options.history)
        self.hub = Hub(self.bank)
        self.methods = Methods(self.bank, self.hub, identity=Keypair(), faucet=faucet)
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
        # the monotonic clock drives the slots: a step of the wall clock must neither stop nor rush them
        self._monotonic_start = time.monotonic() - (time.time() - self.bank.started)
        self.connections: set[Connection] = set()
        self.http = ""
        self.ws = ""

    async def listen(self) -> None:
        """Opens both ports and starts the clock; raises ConfigError when a port is taken."""
        loop = asyncio.get_running_loop()
        host = self._options.host
        first, second = _bind_pair(host, self._options.port)
        for listener in (first, second):
            self._servers.append(await loop.create_server(lambda: Connection(self), sock=listener, backlog=512))
        name = f"[{host}]" if ":" in host else host
        self.http = f"http://{name}:{first.getsockname()[1]}"
        self.ws = f"ws://{name}:{second.getsockname()[1]}"
        self._tick()

    async def close(self) -> None:
        """Closes all that is open."""
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
        # after a pause (a suspended laptop) the slots between are passed over
        if target - bank.slot > _CATCH_UP_SLOTS:
            bank.advance(target - _CATCH_UP_SLOTS)
        while bank.slot < target:
            parent = bank.slot
            bank.advance(parent + 1)
            self.hub.slot(bank.slot, parent)
        self.hub.flush()
        self._ticks += 1
        if self._ticks % 128 == 0:
            # the history is no garbage and large: only the young generations are ever looked at
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


class Connection(asyncio.Protocol):
    """One TCP connection: HTTP until it asks for the upgrade, then WebSocket."""

    def __init__(self, net: Localnet) -> None:
        self._net = net
        self._transport: asyncio.Transport
        self._http = RequestParser()
        self._frames: FrameParser | None = None
        self._methods: dict[str, Handler] = {}
        self._queue: list[bytes] = []
        self._closing = False

    # ---- asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_SEND_BUFFER_BYTES)
        opened = transport.get_extra_info("socket")
        if opened is not None:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._net.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._closing = True
        self._net.hub.close(self)
        self._net.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if self._frames is None:
            self._http.feed(data)
            self._serve_http()
        else:
            self._frames.feed(data)
        if self._frames is not None:
            self._serve_frames()

    # ---- HTTP

    def _serve_http(self) -> None:
        try:
            while self._frames is None and not self._closing:
                request = self._http.next()
                if request is None:
                    if self._http.wants_continue:
                        self._http.wants_continue = False
                        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    return
                self._http.wants_continue = False
                self._serve_request(request)
        except HttpError as fault:
            self._transport.write(response(fault.status, str(fault).encode(), keep_alive=False, kind=b"text/plain"))
            self.shut()

    def _serve_request(self, request: Request) -> None:
        if request.method == b"POST":
            if not request.headers.get(b"content-type", b"").lower().startswith(b"application/json"):
                text = b"Supplied content type is not allowed. Content-Type: application/json is required\n"
                self._write(response(415, text, keep_alive=request.keep_alive, kind=b"text/plain"), request)
                return
            answer = respond(request.body, self._net.methods.table)
            self._write(response(200, answer or b"", keep_alive=request.keep_alive), request)
        elif request.method == b"GET" and request.headers.get(b"upgrade", b"").lower() == b"websocket":
            self._upgrade(request)
        elif request.method == b"GET" and request.target == b"/health":
            self._write(response(200, b"ok", keep_alive=request.keep_alive, kind=b"text/plain"), request)
        elif request.method == b"OPTIONS":
            self._write(response(204, b"", keep_alive=request.keep_alive), request)
        else:
            text = b"Used HTTP Method is not allowed. POST or OPTIONS is required\n"
            self._write(response(405, text, keep_alive=request.keep_alive, kind=b"text/plain"), request)

    def _write(self, data: bytes, request: Request) -> None:
        self._transport.write(data)
        if not request.keep_alive:
            self.shut()

    # ---- WebSocket

    def _upgrade(self, request: Request) -> None:
        key = request.headers.get(b"sec-websocket-key")
        if key is None or request.headers.get(b"sec-websocket-version") != b"13":
            raise HttpError(426, "WebSocket version 13 is required")
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept_key(key)
        )
        self._methods = self._net.hub.methods(self)
        self._frames = FrameParser()
        self._frames.feed(self._http.rest())

    def _serve_frames(self) -> None:
        assert self._frames is not None
        try:
            while not self._closing:
                message = self._frames.next()
                if message is None:
                    return
                self._serve_message(*message)
        except WebSocketError as fault:
            self._transport.write(frame(CLOSE, close_payload(fault.code)))
            self.shut()

    def _serve_message(self, opcode: int, payload: bytes) -> None:
        if opcode in (TEXT, BINARY):
            answer = respond(payload, self._methods)
            if answer is not None:
                self.push(answer)
            self.flush()
            self._net.hub.settle()
            self._net.hub.flush()
        elif opcode == PING:
            self._transport.write(frame(10, payload))
        elif opcode == CLOSE:
            self._transport.write(frame(CLOSE, payload[:2]))
            self.shut()

    # ---- the hub's Client

    def push(self, payload: bytes) -> None:
        """Queues one message."""
        self._queue.append(frame(TEXT, payload))

    def flush(self) -> None:
        """Sends what is queued."""
        queue = self._queue
        if not queue or self._closing:
            return
        self._transport.write(queue[0] if len(queue) == 1 else b"".join(queue))
        queue.clear()
        if self._transport.get_write_buffer_size() > MAX_BACKLOG_BYTES:
            sys.stderr.write(f"localnet: dropped a subscriber that was {MAX_BACKLOG_BYTES} bytes behind\n")
            self._closing = True
            self._transport.abort()

    def shut(self) -> None:
        """Closes the connection once what was written has gone out."""
        self._closing = True
        self._transport.close()


def _tune_allocator() -> None:
    """Keeps freed megabytes in the process (glibc): reading a 7.5 MB account costs 10 ms without, 0.5 ms with it."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for parameter, value in ((-1, 2**30), (-2, 2**26), (-3, 2**30)):  # trim threshold, top pad, mmap threshold
            mallopt(parameter, value)


def _read_on(stop: asyncio.Event) -> None:
    if not os.read(0, 4096):
        stop.set()


async def _serve(options: Options, announce: Callable[[Localnet], None]) -> None:
    net = Localnet(options)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.until_eof:
        loop.add_reader(0, _read_on, stop)
    gc.collect()
    gc.freeze()
    gc.disable()
    await net.listen()
    announce(net)
    await stop.wait()
    await net.close()


def serve(options: Options, announce: Callable[[Localnet], None]) -> None:
    """Runs a localnet until SIGTERM or Ctrl-C.

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
