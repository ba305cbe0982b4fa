"""The plain frame feed for spectator pages: a WebSocket on which each message is one frame of the match JSON.

A message is `{"players": [...], "stage": n}` (docs/formats.md, "Match file"). Whoever connects gets the last frame that
was seen at once, and then every later one. A reader who falls behind misses the oldest.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import WSMsgType, web
from solders.pubkey import Pubkey

from ..endpoint import Endpoint
from ..errors import AwmError, ConfigError, RpcError
from ..match.file import frame_object
from ..net.lag import StreamLag
from ..net.pubsub import AccountChanged, Event, PubSub
from ..net.rpc import RpcClient
from ..wire import ids, jsonrpc
from ..wire.accounts import ACTIVE, ENDED, SessionState
from .access import LOGGER, Access

FEED_PORT = 8765
_QUIET_S = 1.0
_BACKLOG = 120
"""Messages that wait for a slow reader: two seconds' worth."""
MAX_READERS = 256
_MAX_SAID_BYTES = 1024


class Follower:
    """Picks the session to show out of all that change, and gives each of its frames once.

    Args:
        session: the one to show, base58; empty takes an active one, and the next when that has ended.
    """

    def __init__(self, session: str = "") -> None:
        self.session = session
        self.frame = -1
        self._named = bool(session)
        self._over = not session

    def take(self, key: str, data: bytes) -> bytes | None:
        """Takes a changed session account; returns the message of a new frame, None when there is none."""
        try:
            state = SessionState.decode(data)
        except AwmError:
            return None
        if key != self.session:
            if self._named or not self._over or state.status != ACTIVE:
                return None
            self.session, self.frame, self._over = key, -1, False
        if state.status not in (ACTIVE, ENDED):
            return None
        self._over = state.status == ENDED
        if state.frame <= self.frame:
            return None
        self.frame = state.frame
        return msgspec.json.encode(frame_object(state.players, state.stage))


class Feed:
    """The feed's server. An async context manager; `url` is known inside.

    Args:
        ws: the chain's WebSocket endpoint.
        rpc: its RPC endpoint, to tell when the stream is late and to read what it lost; None goes without.
        session: which one, base58; empty takes whichever is live.
        host, port: where it listens; port 0 takes a free one.
        names: further host names under which it is reached, and sites whose pages may read it.

    Raises:
        ConfigError: on entering, when the port is taken.
    """

    def __init__(
        self, ws: str | Endpoint, *, rpc: str | Endpoint | None = None, session: str = "", host: str = "127.0.0.1",
        port: int = FEED_PORT, names: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.url = ""
        self._host = host
        self._port = port
        self._follower = Follower(session)
        self._access = Access(host, names)
        self._pubsub = PubSub(ws, self._hear)
        self._rpc = None if rpc is None else RpcClient(rpc)
        self._jobs: list[asyncio.Task[None]] = []
        if session:
            self._pubsub.account(session, tag=session)
        else:
            self._pubsub.program(str(ids.SESSION_STATE), filters=[{"dataSize": SessionState.LAYOUT.size}])
        self._last = b""
        self._heard_at = 0.0
        self._readers: set[asyncio.Queue[bytes]] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None, logger=LOGGER, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigError(
                f"cannot serve the frame feed on {self._host}, port {self._port}",
                found=error.strerror, hint="another --feed-port",
            ) from None  # fmt: skip
        self._runner = runner
        self.url = f"ws://{self._host}:{runner.addresses[0][1]}/"
        self._pubsub.start()
        if self._rpc is not None:
            jobs = (StreamLag(self._rpc, self._pubsub).run(), self._reread(self._rpc))
            self._jobs = [asyncio.create_task(job) for job in jobs]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self._pubsub.close()
        if self._rpc is not None:
            await self._rpc.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _hear(self, event: Event) -> None:
        if isinstance(event, AccountChanged):
            self._take(event.key or event.tag, event.data)

    def _take(self, key: str, data: bytes) -> None:
        message = self._follower.take(key, data)
        if message is None:
            return
        self._last, self._heard_at = message, time.monotonic()
        for reader in self._readers:
            if reader.full():
                reader.get_nowait()
            reader.put_nowait(message)

    async def _reread(self, rpc: RpcClient) -> None:
        """Reads the session while nothing is heard of it: a subscription can die while slots keep flowing."""
        while True:
            await asyncio.sleep(_QUIET_S)
            if not self._follower.session or time.monotonic() - self._heard_at < _QUIET_S:
                continue
            key = self._follower.session
            with contextlib.suppress(RpcError):
                found = (await rpc.ask(jsonrpc.get_account_info(Pubkey.from_string(key)), patience_s=0)).value
                if found is not None:
                    self._take(key, found.raw)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        refusal = self._access.refuses(request.host, request.headers.get("Origin"), same_port=False)
        if refusal:
            return web.Response(text=refusal, status=403)
        if len(self._readers) >= MAX_READERS:
            return web.Response(text="too many readers", status=503)
        socket = web.WebSocketResponse(heartbeat=20, max_msg_size=_MAX_SAID_BYTES)
        await socket.prepare(request)
        queue: asyncio.Queue[bytes] = asyncio.Queue(_BACKLOG)
        if self._last:
            queue.put_nowait(self._last)
        self._readers.add(queue)
        sending = asyncio.create_task(_send(socket, queue))
        try:
            # What readers say does not matter; that they go away, or say too much, does.
            while (await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
                pass
        finally:
            self._readers.discard(queue)
            sending.cancel()
        return socket


async def _send(socket: web.WebSocketResponse, queue: asyncio.Queue[bytes]) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            await socket.send_str((await queue.get()).decode())
