"""Serves the page: static files, and `contract.json` with what the page cannot know by itself.

The page talks to the RPC endpoint by itself, unless the endpoint's URL holds more than scheme, host and port. Any of
that may be a key, so then the page asks this server, which passes its requests on (relay.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from types import TracebackType
from typing import Any, Self

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from ..endpoint import WEBSOCKET, Endpoint
from ..errors import ConfigError
from .access import LOGGER, Access
from .contract import contract
from .relay import MAX_REQUEST_BYTES, Relay

PAGE_PORT = 8766
_KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
# Scripts and styles are the page's own; it connects to whatever RPC endpoint its user names.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src * ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class PageServer:
    """The page's web server. An async context manager; `url` is known inside.

    Args:
        rpc, ws: the endpoints that the page begins with; its user may name others. No key in them reaches a browser.
        session: the session that it shows first, base58; empty takes the newest live one.
        host, port: where it listens; port 0 takes a free one.
        names: further host names under which it is reached, such as a reverse proxy's.

    Raises:
        ConfigError: no endpoint can be what a URL names; on entering, when the port is taken.
    """

    def __init__(
        self, *, rpc: str | Endpoint, ws: str | Endpoint, session: str = "", host: str = "127.0.0.1",
        port: int = PAGE_PORT, names: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.url = ""
        http, socket = Endpoint.parse(rpc, setting="view.rpc"), Endpoint.parse(ws, WEBSOCKET, setting="view.ws")
        self._relay = Relay(http, socket) if http.secret or socket.secret else None
        # relative to the page
        ends = {"rpc": "rpc", "ws": "ws"} if self._relay else {"rpc": http.reveal(), "ws": socket.reveal()}
        self.defaults: dict[str, Any] = {**ends, "session": session}
        self._access = Access(host, names)
        self._host = host
        self._port = port
        self._contract = contract()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._guard], client_max_size=MAX_REQUEST_BYTES)
        app.router.add_get("/contract.json", self._send_contract)
        if self._relay is not None:
            app.router.add_post("/rpc", self._relay.post)
            app.router.add_get("/ws", self._relay.socket)
        app.router.add_get("/{name:[a-z]*(?:\\.[a-z]+)?}", _send_file)
        runner = web.AppRunner(app, access_log=None, logger=LOGGER, handler_cancellation=True, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, self._host, self._port)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigError(
                f"cannot serve the page on {self._host}, port {self._port}", found=error.strerror, hint="another --port"
            ) from None
        self._runner = runner
        self.url = f"http://{self._host}:{runner.addresses[0][1]}/"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._relay is not None:
            await self._relay.close()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = self._access.refuses(request.host, request.headers.get("Origin"), same_port=True)
        if refusal:
            # `defaults` is empty, so that whoever reads the contract finds no endpoint
            body = msgspec.json.encode({"problem": refusal, "defaults": {}})
            return web.Response(body=body, status=403, content_type="application/json", headers=_HEADERS)
        return await handler(request)

    async def _send_contract(self, _request: web.Request) -> web.Response:
        body = msgspec.json.encode({**self._contract, "defaults": self.defaults})
        return web.Response(body=body, content_type="application/json", headers=_HEADERS)


async def _send_file(request: web.Request) -> web.Response:
    name = request.match_info["name"] or "index.html"
    kind = _KINDS.get(name.rpartition(".")[2])
    found = files("awm_crank") / "viewer" / "page" / name
    if kind is None or not found.is_file():
        raise web.HTTPNotFound(headers=_HEADERS)
    return web.Response(body=found.read_bytes(), content_type=kind, charset="utf-8", headers=_HEADERS)
