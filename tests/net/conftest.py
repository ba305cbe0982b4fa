"""A loopback endpoint that misbehaves on request. It serves HTTP and PubSub on a port that the system chooses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import WSMsgType, web

Answer = Callable[[Any], Awaitable[web.Response] | web.Response]


class Endpoint:
    """A fake endpoint. `bodies` are the requests that it got, `answer` is what it answers, `sockets` are its open
    PubSub connections.
    """

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.answer: Answer = lambda body: web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": "ok"})
        self.sockets: list[web.WebSocketResponse] = []
        self.asked: list[tuple[str, list[Any]]] = []
        self.refuse: set[str] = set()
        self.mute = False
        self.greeting = ""
        self.http = ""
        self.ws = ""
        self._ids = 0

    async def post(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        answer = self.answer(body)
        return answer if isinstance(answer, web.Response) else await answer

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoclose=False)
        await socket.prepare(request)
        self.sockets.append(socket)
        if self.greeting:
            await socket.send_str(self.greeting)
        async for message in socket:
            if message.type is not WSMsgType.TEXT or self.mute:
                continue
            call = json.loads(message.data)
            self.asked.append((call["method"], call["params"]))
            if call["method"] in self.refuse:
                error = {"code": -32601, "message": "Method not found"}
                await socket.send_json({"jsonrpc": "2.0", "id": call["id"], "error": error})
                continue
            self._ids += 1
            await socket.send_json({"jsonrpc": "2.0", "id": call["id"], "result": self._ids})
            if call["method"] == "slotSubscribe":
                await self.notify("slot", self._ids, {"slot": 7, "parent": 6, "root": 5})
        return socket

    async def notify(self, kind: str, subscription: int, result: Any) -> None:
        params = {"result": result, "subscription": subscription}
        await self.sockets[-1].send_json({"jsonrpc": "2.0", "method": f"{kind}Notification", "params": params})

    async def drop(self) -> None:
        """Breaks the last socket without a closing handshake."""
        transport = self.sockets[-1]._req.transport  # type: ignore[union-attr]
        assert transport is not None
        transport.abort()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """A fresh endpoint, which is closed after the test."""
    state = Endpoint()
    app = web.Application()
    app.router.add_post("/", state.post)
    app.router.add_get("/ws", state.socket)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    state.http, state.ws = f"http://127.0.0.1:{port}/", f"ws://127.0.0.1:{port}/ws"
    yield state
    await asyncio.wait_for(runner.cleanup(), 5)
