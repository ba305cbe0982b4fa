"""A proxy in front of an endpoint. Tests make it lose, delay, damage or refuse single messages."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web

Notified = Callable[[dict[str, Any]], dict[str, Any] | None]
"""Maps a message from the endpoint to the message to pass on; None loses it."""


class MessageProxy:
    """One address for HTTP and WebSocket in front of another endpoint."""

    def __init__(self, http: str, ws: str) -> None:
        self._http, self._ws = http, ws
        self.answer: Callable[[str, bytes], Awaitable[tuple[int, bytes] | None]] | None = None
        self.notified: Notified | None = None
        self.asked: Notified | None = None
        """Maps a message to the endpoint's WebSocket; None loses it."""
        self.subscribed: list[str] = []
        """The methods of each message to the WebSocket."""
        self.requests: list[str] = []
        """The methods of each request."""
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self.port = 0

    async def __aenter__(self) -> MessageProxy:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/", self._post)
        app.router.add_get("/", self._socket)
        self._session = aiohttp.ClientSession()
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        assert self._session is not None
        await self._session.close()
        await self._runner.cleanup()

    @property
    def http(self) -> str:
        """The crank's `base_http`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        """The crank's `rollup_ws`."""
        return f"ws://127.0.0.1:{self.port}"

    async def _post(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        message = json.loads(body)
        methods = ",".join(each["method"] for each in (message if isinstance(message, list) else [message]))
        self.requests.append(methods)
        instead = None if self.answer is None else await self.answer(methods, body)
        if instead is None:
            instead = await self.forward(body)
        return web.Response(status=instead[0], body=instead[1], content_type="application/json")

    async def forward(self, body: bytes) -> tuple[int, bytes]:
        """The endpoint's own answer to a request."""
        assert self._session is not None
        async with self._session.post(self._http, data=body, headers={"Content-Type": "application/json"}) as there:
            return there.status, await there.read()

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        here = web.WebSocketResponse(max_msg_size=0)
        await here.prepare(request)
        assert self._session is not None
        async with self._session.ws_connect(self._ws, max_msg_size=0) as there:

            async def forth() -> None:
                async for message in here:
                    content: dict[str, Any] | None = json.loads(message.data)
                    assert content is not None
                    self.subscribed.append(content["method"])
                    if self.asked is not None:
                        content = self.asked(content)
                    if content is not None:
                        await there.send_str(json.dumps(content))

            task = asyncio.create_task(forth())
            try:
                async for message in there:
                    content: dict[str, Any] | None = json.loads(message.data)
                    if self.notified is not None and content is not None:
                        content = self.notified(content)
                    if content is not None:
                        await here.send_str(json.dumps(content))
            except ConnectionError:
                # the crank has gone
                pass
            finally:
                task.cancel()
        return here


async def lost(*_: object) -> None:
    """An answer that never arrives."""
    await asyncio.sleep(3600)


async def late(seconds: float) -> None:
    """An answer that arrives late."""
    await asyncio.sleep(seconds)


def account_of(message: dict[str, Any]) -> bytes:
    """The account's bytes in a notification; empty in any other message."""
    if not message.get("method", "").endswith("Notification"):
        return b""
    result = message["params"]["result"]
    value = result.get("value") if isinstance(result, dict) else None
    if not isinstance(value, dict):
        return b""
    account = value.get("account", value)
    data = account.get("data") if isinstance(account, dict) else None
    return base64.b64decode(data[0]) if isinstance(data, list) else b""
