"""The frame feed for spectator pages: a WebSocket that sends one match after another.

Each match is a `match_start`, then its frames, then a `match_end` (match/spectator.py). A frame is
`{"players": [...], "stage": n}` as in a match file (docs/formats.md). A new reader first gets the `match_start` and the
last frame of the match that is on. A reader who falls behind loses the oldest frames, but no start and no end.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import WSMsgType, web
from solders.pubkey import Pubkey

from ..endpoint import Endpoint
from ..errors import AwmError, ConfigError, RpcError
from ..match import spectator
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
_LIFECYCLE = b'{"type":'
"""How a `match_start` or a `match_end` begins, and no frame does."""


class Follower:
    """Chooses the session to show, and turns its changes into the feed's messages.

    Args:
        session: the session to show, in base58. If it is empty, the follower takes an active session, and the next one
            when that has ended.
    """

    def __init__(self, session: str = "") -> None:
        self.session = session
        self.frame = -1
        self._named = bool(session)
        self._over = not session
        self._matches = 0
        self._start = self._last = self._end = b""
        self._state: SessionState | None = None

    def greeting(self) -> list[bytes]:
        """What a new reader gets: the start of the match that is on, its last frame, and its end once it is over."""
        return [message for message in (self._start, self._last, self._end) if message]

    def take(self, key: str, data: bytes) -> list[bytes]:
        """Takes a changed session account, and returns the messages that follow from it, in order."""
        try:
            state = SessionState.decode(data)
            frame = msgspec.json.encode(frame_object(state.players, state.stage))
        except AwmError:
            return []
        if key != self.session:
            if self._named or not self._over or state.status != ACTIVE:
                return []
            self.session, self.frame, self._over = key, -1, False
        if state.status not in (ACTIVE, ENDED):
            return []
        messages = [self._begin(key, state)] if self.frame < 0 else []
        if state.frame > self.frame:
            self.frame, self._last, self._state = state.frame, frame, state
            messages.append(frame)
        if state.status == ENDED and not self._end:
            messages.append(self._finish(state))
        return messages

    def gone(self) -> list[bytes]:
        """Ends the match whose session no longer exists: its end was missed, and its account is closed."""
        if self._end or self._state is None:
            return []
        return [self._finish(self._state)]

    def _begin(self, key: str, state: SessionState) -> bytes:
        self._matches += 1
        self._end = b""
        self._start = msgspec.json.encode(spectator.match_start(state, key, self._matches))
        return self._start

    def _finish(self, state: SessionState) -> bytes:
        self._over = True
        self._end = msgspec.json.encode(spectator.match_end(state, self._matches))
        return self._end


class Backlog:
    """Messages that wait for one reader."""

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._filled = asyncio.Event()

    def put(self, message: bytes) -> None:
        """Adds a message. When too many wait, the oldest frame is dropped."""
        if len(self._messages) >= _BACKLOG:
            oldest = next((at for at, each in enumerate(self._messages) if not each.startswith(_LIFECYCLE)), 0)
            del self._messages[oldest]
        self._messages.append(message)
        self._filled.set()

    async def get(self) -> bytes:
        """The next message, as soon as there is one."""
        while not self._messages:
            self._filled.clear()
            await self._filled.wait()
        return self._messages.popleft()


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
        self._heard_at = 0.0
        self._readers: set[Backlog] = set()
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
        self._tell(self._follower.take(key, data))

    def _tell(self, messages: list[bytes]) -> None:
        if messages:
            self._heard_at = time.monotonic()
        for reader in self._readers:
            for message in messages:
                reader.put(message)

    async def _reread(self, rpc: RpcClient) -> None:
        """Reads the session while nothing is heard of it: a subscription can die while slots keep flowing."""
        while True:
            await asyncio.sleep(_QUIET_S)
            if not self._follower.session or time.monotonic() - self._heard_at < _QUIET_S:
                continue
            key = self._follower.session
            with contextlib.suppress(RpcError):
                found = (await rpc.ask(jsonrpc.get_account_info(Pubkey.from_string(key)), patience_s=0)).value
                if found is None:
                    self._tell(self._follower.gone())
                else:
                    self._take(key, found.raw)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        refusal = self._access.refuses(request.host, request.headers.get("Origin"), same_port=False)
        if refusal:
            return web.Response(text=refusal, status=403)
        if len(self._readers) >= MAX_READERS:
            return web.Response(text="too many readers", status=503)
        socket = web.WebSocketResponse(heartbeat=20, max_msg_size=_MAX_SAID_BYTES)
        await socket.prepare(request)
        backlog = Backlog()
        for message in self._follower.greeting():
            backlog.put(message)
        self._readers.add(backlog)
        sending = asyncio.create_task(_send(socket, backlog))
        try:
            # What readers say does not matter; that they go away, or say too much, does.
            while (await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY):
                pass
        finally:
            self._readers.discard(backlog)
            sending.cancel()
        return socket


async def _send(socket: web.WebSocketResponse, backlog: Backlog) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            await socket.send_str((await backlog.get()).decode())
