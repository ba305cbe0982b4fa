"""The plain frame feed for spectator pages: a WebSocket on which each message is one frame of the match JSON.

A message is `{"players": [...], "stage": n}` (docs/formats.md, "Match file"). Whoever connects gets the last
frame that was seen at once, and every later one; a reader who falls behind misses the oldest.
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import WSMsgType, web

from ..errors import AwmError, ConfigError
from ..match.file import frame_object
from ..net.pubsub import AccountChanged, Event, PubSub
from ..wire import ids
from ..wire.accounts import ACTIVE, ENDED, SessionState

FEED_PORT = 8765
_BACKLOG = 120
"""Messages that wait for a slow reader: two seconds' worth."""


class Follower:
    """Picks the session to show out of all that change, and tells each of its frames once.

    Args:
        session: the one to show, base58; empty takes an active one, and the next when that has ended.
    """

    def __init__(self, session: str = "") -> None:
        self.session = session
        self.frame = -1
        self._named = bool(session)
        self._over = not session

    def take(self, key: str, data: bytes) -> bytes | None:
        """A changed session account; returns the message of a new frame, None where there is none."""
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
        session: which one, base58; empty takes whichever is live.
        host, port: where it listens; port 0 takes a free one.

    Raises:
        ConfigError: on entering, when the port is taken.
    """

    def __init__(self, ws: str, *, session: str = "", host: str = "127.0.0.1", port: int = FEED_PORT) -> None:
        self.url = ""
        self._host = host
        self._port = port
        self._follower = Follower(session)
        self._pubsub = PubSub(ws, self._hear)
        if session:
            self._pubsub.account(session, tag=session)
        else:
            self._pubsub.program(str(ids.SESSION_STATE), filters=[{"dataSize": SessionState.LAYOUT.size}])
        self._last = b""
        self._readers: set[asyncio.Queue[bytes]] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
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
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pubsub.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _hear(self, event: Event) -> None:
        if isinstance(event, AccountChanged):
            message = self._follower.take(event.key or event.tag, event.data)
            if message is not None:
                self._last = message
                for reader in self._readers:
                    if reader.full():
                        reader.get_nowait()
                    reader.put_nowait(message)

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=20)
        await socket.prepare(request)
        queue: asyncio.Queue[bytes] = asyncio.Queue(_BACKLOG)
        if self._last:
            queue.put_nowait(self._last)
        self._readers.add(queue)
        sending = asyncio.create_task(_send(socket, queue))
        try:
            # what readers say is of no interest; that they go away is
            while (await socket.receive()).type not in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED):
                pass
        finally:
            self._readers.discard(queue)
            sending.cancel()
        return socket


async def _send(socket: web.WebSocketResponse, queue: asyncio.Queue[bytes]) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            await socket.send_str((await queue.get()).decode())
