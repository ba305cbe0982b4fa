"""Passes the page's own requests on to an endpoint whose URL holds a key, so that no browser ever sees the key.

Only what the page asks for is passed on: a few methods, small requests, few at a time.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec
from aiohttp import WSMsgType, web

from ..endpoint import Endpoint
from ..errors import RpcError
from ..net.pubsub import MAX_MESSAGE_BYTES
from ..net.rpc import RpcClient

METHODS = frozenset({
    "getAccountInfo", "getBalance", "getLatestBlockhash", "getMultipleAccounts", "getProgramAccounts",
    "getSignatureStatuses", "getSlot", "requestAirdrop", "sendTransaction",
})  # fmt: skip
SUBSCRIPTIONS = frozenset({
    "accountSubscribe", "accountUnsubscribe", "slotSubscribe", "slotUnsubscribe",
})  # fmt: skip
MAX_REQUEST_BYTES = 16 << 10
MAX_AT_ONCE = 32
"""Requests under way, and WebSockets open, of all pages together."""
_DEADLINE_S = 6.0


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    id: int
    method: str
    params: list[Any] = []
    jsonrpc: str = "2.0"


_decode = msgspec.json.Decoder(_Call).decode


class Relay:
    """Serves `post` and `socket` for one RPC endpoint and its WebSocket endpoint. `close` ends it."""

    def __init__(self, rpc: Endpoint, ws: Endpoint) -> None:
        self._rpc = RpcClient(rpc)
        self._ws = ws
        self._asking = 0
        self._sockets = 0

    async def close(self) -> None:
        """Closes the connections to the endpoint."""
        await self._rpc.close()

    async def post(self, request: web.Request) -> web.Response:
        """One JSON-RPC request of the page."""
        if request.content_type != "application/json":
            # a form of another site can send anything else without asking first
            return _problem(415, None, "Content-Type must be application/json")
        try:
            call = _read(await request.read(), METHODS)
        except ValueError as error:
            return _problem(400, None, str(error))
        if self._asking >= MAX_AT_ONCE:
            return _problem(429, call.id, "too many requests at once")
        self._asking += 1
        try:
            answer = await self._rpc.post(msgspec.json.encode(call), deadline_s=_DEADLINE_S)
        except RpcError as error:
            return _problem(429 if error.code == 429 else 502, call.id, str(error))
        finally:
            self._asking -= 1
        return web.Response(body=self._clean(answer), content_type="application/json")

    async def socket(self, request: web.Request) -> web.StreamResponse:
        """One WebSocket of the page, for as long as both ends keep theirs."""
        if self._sockets >= MAX_AT_ONCE:
            return _problem(503, None, "too many WebSockets at once")
        self._sockets += 1
        try:
            page = web.WebSocketResponse(heartbeat=20, max_msg_size=MAX_REQUEST_BYTES)
            await page.prepare(request)
            try:
                async with (
                    aiohttp.ClientSession() as session,
                    session.ws_connect(
                        self._ws.reveal(), max_msg_size=MAX_MESSAGE_BYTES, timeout=aiohttp.ClientWSTimeout(ws_close=0.2)
                    ) as chain,
                ):
                    ways = [asyncio.create_task(_up(page, chain)), asyncio.create_task(self._down(page, chain))]
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
            except (aiohttp.ClientError, OSError):
                # The page connects again, and says so meanwhile.
                pass
            await page.close()
            return page
        finally:
            self._sockets -= 1

    async def _down(self, page: web.WebSocketResponse, chain: aiohttp.ClientWebSocketResponse) -> None:
        async for message in chain:
            if message.type is not WSMsgType.TEXT:
                return
            await page.send_str(self._clean(message.data.encode()).decode("utf-8", "replace"))

    def _clean(self, text: bytes) -> bytes:
        # An endpoint may repeat its key in an error; notifications and results have none.
        return (
            self._rpc.endpoint.scrub(self._ws.scrub(text.decode("utf-8", "replace"))).encode()
            if (b'"error"' in text[:200] or b'"error"' in text[-2000:])
            else text
        )


async def _up(page: web.WebSocketResponse, chain: aiohttp.ClientWebSocketResponse) -> None:
    async for message in page:
        if message.type is not WSMsgType.TEXT:
            return
        try:
            call = _read(message.data.encode(), SUBSCRIPTIONS)
        except ValueError:
            return
        await chain.send_str(msgspec.json.encode(call).decode())


def _read(text: bytes, methods: frozenset[str]) -> _Call:
    """Reads one request. Raises ValueError if it is not a request or its method is not allowed."""
    try:
        call = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not one JSON-RPC request: {str(error)[:100]}") from None
    if call.method not in methods:
        raise ValueError(f"{call.method[:40]!r} is not passed on")
    return call


def _problem(status: int, request_id: int | None, message: str) -> web.Response:
    body = {"jsonrpc": "2.0", "id": request_id, "error": {"code": -32000, "message": message}}
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
