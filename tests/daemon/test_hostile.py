"""The crank survives whatever a lying endpoint sends, and serves again once the endpoint tells the truth."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from daemon.rig import Place

DEEP = b"[" * 20_000 + b"]" * 20_000
Lie = Callable[[bytes], bytes | None]


class Liar:
    """A proxy in front of an endpoint. `answer` and `notification` change its messages; None loses them."""

    session: aiohttp.ClientSession

    def __init__(self, http: str, ws: str) -> None:
        self.up_http, self.up_ws = http, ws
        self.answer: Lie = lambda body: body
        self.notification: Lie = lambda text: text
        self.lies = 0
        self.http = self.ws = ""

    async def post(self, request: web.Request) -> web.Response:
        body = await request.read()
        async with self.session.post(self.up_http, data=body, headers={"Content-Type": "application/json"}) as answer:
            said = await answer.read()
        changed = self.answer(said)
        self.lies += changed != said
        if changed is None:
            await asyncio.sleep(30)
        return web.Response(body=changed, content_type="application/json")

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        down = web.WebSocketResponse(max_msg_size=0)
        await down.prepare(request)

        async def listen(up: aiohttp.ClientWebSocketResponse) -> None:
            async for message in up:
                said = message.data.encode()
                changed = self.notification(said)
                self.lies += changed != said
                if changed is not None:
                    await down._writer.send_frame(changed, WSMsgType.TEXT)  # type: ignore[union-attr]

        async with self.session.ws_connect(self.up_ws, max_msg_size=0) as up:
            task = asyncio.create_task(listen(up))
            try:
                async for message in down:
                    await up.send_str(message.data)
            except (aiohttp.ClientError, ConnectionError):
                pass
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        return down


@asynccontextmanager
async def liar(place: Place) -> AsyncIterator[Liar]:
    """A proxy in front of the place's endpoint, truthful at first."""
    made = Liar(place.net.http, place.net.ws)
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/", made.post)
    app.router.add_get("/", made.socket)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    async with aiohttp.ClientSession() as made.session:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        made.http, made.ws = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
        try:
            yield made
        finally:
            await runner.cleanup()


def wrong_key(text: bytes) -> bytes:
    """Replaces every address by a text that is not an address."""
    value = json.loads(text)

    def spoil(node: Any) -> None:
        for key, each in list(node.items() if isinstance(node, dict) else enumerate(node)):
            if key in ("pubkey", "owner"):
                node[key] = "0OIl"
            elif isinstance(each, dict | list):
                spoil(each)

    if isinstance(value, dict | list):
        spoil(value)
    return json.dumps(value).encode()


def other_id(body: bytes) -> bytes:
    """The answer to another request."""
    value = json.loads(body)
    for each in value if isinstance(value, list) else [value]:
        each["id"] = 999_999
    return json.dumps(value).encode()


LIES: dict[str, Lie] = {
    "not UTF-8": lambda said: said[:20] + b"\xff\xfe" + said[20:],
    "deep": lambda _: b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"subscription":1,"result":' + DEEP + b"}}",
    "null": lambda _: b"null",
    "half": lambda said: said[: len(said) // 2],
    "keys": wrong_key,
    "html": lambda _: b"<html>login</html>",
    "swallowed": lambda _: None,
}


@pytest.mark.parametrize("lie", [*LIES, "another request's"])
async def test_lies_pass(place: Place, lie: str) -> None:
    """After two seconds of one kind of lie, in answers and notifications, the same process makes frames again."""
    async with liar(place) as endpoint:
        crank = place.crank(place.settings(rollup_http=endpoint.http, rollup_ws=endpoint.ws))
        await crank.ready()
        match = await place.create(max_frames=0)
        await place.join(match)
        playing = asyncio.create_task(place.play(match))
        before = (await place.when(match, lambda view: view.session.frame >= 10)).session.frame
        if lie in LIES:
            endpoint.answer = endpoint.notification = LIES[lie]
        else:
            endpoint.answer = other_id
        await asyncio.sleep(2)
        assert endpoint.lies > 0
        endpoint.answer = endpoint.notification = lambda said: said
        assert crank.process.poll() is None
        await place.when(match, lambda view: view.session.frame >= before + 60, timeout_s=30)
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        await crank.stop()
