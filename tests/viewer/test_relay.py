"""The relay passes the page's requests to the endpoint with its key, and nothing else.

The key never leaves the server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from awm_crank.viewer.server import PageServer

KEY = "s3cretkey"


class Upstream:
    """A fake endpoint that requires an API key. `seen` holds the requests that reached it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.answer: Any = {"result": 5}
        self.port = 0

    async def post(self, request: web.Request) -> web.Response:
        if request.query.get("api-key") != KEY:
            return web.Response(status=401)
        body = await request.json()
        self.seen.append(body)
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], **self.answer})

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        if request.query.get("api-key") != KEY:
            raise web.HTTPUnauthorized
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                call = json.loads(message.data)
                self.seen.append(call)
                await socket.send_json({"jsonrpc": "2.0", "id": call["id"], "result": 7})
                await socket.send_json(
                    {"method": "slotNotification", "params": {"subscription": 7, "result": {"slot": 9}}}
                )
        return socket


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """An `Upstream` on a free port."""
    state = Upstream()
    app = web.Application()
    app.router.add_post("/", state.post)
    app.router.add_get("/", state.socket)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    state.port = runner.addresses[0][1]
    yield state
    await runner.cleanup()


@pytest.fixture
async def page(upstream: Upstream) -> AsyncIterator[PageServer]:
    """A page whose endpoint has a key."""
    place = f"127.0.0.1:{upstream.port}/?api-key={KEY}"
    async with PageServer(rpc=f"http://{place}", ws=f"ws://{place}", port=0) as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """An HTTP client that acts as a browser."""
    async with aiohttp.ClientSession() as session:
        yield session


def call(method: str, *params: Any) -> dict[str, Any]:
    """A JSON-RPC request as the page sends it."""
    return {"jsonrpc": "2.0", "id": 3, "method": method, "params": list(params)}


async def test_requests_pass(upstream: Upstream, page: PageServer, http: aiohttp.ClientSession) -> None:
    """A request arrives unchanged, and its answer comes back unchanged."""
    async with http.post(page.url + "rpc", json=call("getBalance", "x")) as answer:
        assert (answer.status, await answer.json()) == (200, {"jsonrpc": "2.0", "id": 3, "result": 5})
    assert upstream.seen == [call("getBalance", "x")]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (call("getBlock", 1), {}, 400),
        (call("getClusterNodes"), {}, 400),
        ([call("getSlot")], {}, 400),
        ({**call("getSlot"), "extra": 1}, {}, 400),
        ({"method": "getSlot"}, {}, 400),
        ("[" * 5000, {}, 400),
        (call("sendTransaction", "x" * 20_000), {}, 413),
        (call("getSlot"), {"Content-Type": "text/plain"}, 415),
        (call("getSlot"), {"Origin": "https://evil.example"}, 403),
        (call("getSlot"), {"Host": "evil.example"}, 403),
    ],
)
async def test_what_does_not_pass(
    upstream: Upstream, page: PageServer, http: aiohttp.ClientSession, body: Any, headers: dict[str, str], status: int
) -> None:
    """The relay refuses methods that no page needs, batches, large bodies, HTML forms and other sites' pages."""
    text = body if isinstance(body, str) else json.dumps(body)
    async with http.post(
        page.url + "rpc", data=text, headers={"Content-Type": "application/json", **headers}
    ) as answer:
        assert answer.status == status
    assert upstream.seen == []


async def test_key_in_an_error(upstream: Upstream, page: PageServer, http: aiohttp.ClientSession) -> None:
    """When an endpoint repeats the key, or fails, the page does not see the key."""
    upstream.answer = {"error": {"code": -32000, "message": f"the key {KEY} is used up"}}
    async with http.post(page.url + "rpc", json=call("getSlot")) as answer:
        text = await answer.text()
        assert KEY not in text
        assert "is used up" in text
    place = "127.0.0.1:9/?api-key=" + KEY
    async with (
        PageServer(rpc=f"http://{place}", ws=f"ws://{place}", port=0) as dead,
        http.post(dead.url + "rpc", json=call("getSlot")) as answer,
    ):
        text = await answer.text()
        assert answer.status == 502
        assert "cannot reach http://127.0.0.1:9" in text
        assert KEY not in text


async def test_socket(upstream: Upstream, page: PageServer, http: aiohttp.ClientSession) -> None:
    """Subscriptions and notifications pass, and any other method ends the connection."""
    url = page.url.replace("http", "ws") + "ws"
    async with asyncio.timeout(10), http.ws_connect(url, origin=page.url.rstrip("/")) as socket:
        await socket.send_json(call("slotSubscribe"))
        assert (await socket.receive_json())["result"] == 7
        assert (await socket.receive_json())["params"]["result"] == {"slot": 9}
        await socket.send_json(call("blockSubscribe", "all"))
        assert (await socket.receive()).type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING)
    assert upstream.seen == [call("slotSubscribe")]
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        async with http.ws_connect(url, origin="https://evil.example"):
            pass


async def test_endpoint_gone(http: aiohttp.ClientSession) -> None:
    """When the endpoint is gone, the page's connection is closed, so that it connects again."""
    async with (
        asyncio.timeout(10), PageServer(rpc="http://h/k", ws="ws://127.0.0.1:9/k", port=0) as page,
        http.ws_connect(page.url.replace("http", "ws") + "ws") as socket,
    ):  # fmt: skip
        assert (await socket.receive()).type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING)
