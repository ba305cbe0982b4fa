"""A proxy in front of an RPC endpoint whose faults are drawn from a seed."""

from __future__ import annotations

import json
import random
from typing import Any

import aiohttp
from aiohttp import web

BLOCKHASH: dict[str, Any] = {
    "err": "BlockhashNotFound",
    "logs": [],
    "accounts": None,
    "unitsConsumed": 0,
    "returnData": None,
}
JSON = {"Content-Type": "application/json"}
# the values that `fault` may return for a request
KINDS = ("429", "503", "busy", "closed", "lost", "blockhash")


class Faulty:
    """Passes requests on, except where `fault` says otherwise. An async context manager.

    Args:
        target: the endpoint's URL.
        seed: of the faults.
        share: how many of the requests that `only` names meet a fault.
        kinds: which faults, of `KINDS`. "lost" passes the request on and cuts the connection instead of answering;
            "closed" cuts it at once; "blockhash" refuses sendTransaction as a node does that lags behind.
        only: the methods that meet faults; all when empty.
    """

    def __init__(self, target: str, *, seed: int, share: float, kinds: tuple[str, ...], only: tuple[str, ...] = ()):
        self._target = target
        self._random = random.Random(seed)
        self._share, self._kinds, self._only = share, kinds, only
        self.faults = 0
        self.sent: list[str] = []
        """Each transaction that reached the endpoint."""
        self.url = ""

    def fault(self, methods: list[str]) -> str:
        """The fault of a request that calls these methods; "" for none."""
        if self._only and not set(methods) & set(self._only):
            return ""
        kind = self._random.choice(self._kinds)
        if self._random.random() >= self._share or (kind == "blockhash" and "sendTransaction" not in methods):
            return ""
        self.faults += 1
        return kind

    async def __aenter__(self) -> Faulty:
        self._session = aiohttp.ClientSession()
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/", self._post)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        asked = json.loads(body)
        calls = asked if isinstance(asked, list) else [asked]
        kind = self.fault([call["method"] for call in calls])
        if kind == "429":
            return web.Response(status=429, headers={"Retry-After": "0"}, text="slow down")
        if kind == "503":
            return web.Response(status=503, text="<html>unavailable</html>")
        if kind in ("busy", "blockhash"):
            code, message, data = {
                "busy": (-32005, "Node is behind by 150 slots", {"numSlotsBehind": 150}),
                "blockhash": (-32002, "Transaction simulation failed: Blockhash not found", BLOCKHASH),
            }[kind]
            error: dict[str, Any] = {"code": code, "message": message, "data": data}
            answers = [{"jsonrpc": "2.0", "id": call["id"], "error": error} for call in calls]
            return web.json_response(answers if isinstance(asked, list) else answers[0])
        if kind != "closed":
            self.sent += [call["params"][0] for call in calls if call["method"] == "sendTransaction"]
            async with self._session.post(self._target, data=body, headers=JSON) as answer:
                text = await answer.read()
            if not kind:
                return web.Response(body=text, status=answer.status, content_type="application/json")
        assert request.transport is not None
        request.transport.close()
        return web.Response()
