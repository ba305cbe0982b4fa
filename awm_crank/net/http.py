"""HTTP/1.1 as JSON-RPC needs it: one body out, one body back, over connections that stay open.

Every frame goes out through here, so there is no more than a protocol on llhttp's parser (httptools): no redirects, no
cookies, no compression, no streams. A request costs a third of what a general client takes (docs/capacity.md).
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Callable
from typing import NamedTuple, cast
from urllib.parse import unquote, urlsplit

import httptools

from ..errors import RpcError


class Endpoint(NamedTuple):
    """Where requests go, and how each begins: everything up to the body's length."""

    host: str
    port: int
    tls: bool
    head: bytes


def endpoint(url: str) -> Endpoint:
    """An http or https URL taken apart; a user and a password in it become basic authentication. Raises RpcError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RpcError("endpoint", expected="an http:// or https:// URL", found=f"{url}: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RpcError("endpoint", expected="an http:// or https:// URL", found=url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {parts.netloc.rpartition('@')[2]}",
        # some providers turn requests without one away
        "User-Agent: awm-crank",
        "Accept: application/json",
        "Content-Type: application/json",
    ]
    if parts.username is not None:
        # RFC 7617; in a URL both are quoted
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        lines.append(f"Authorization: Basic {b64encode(credentials.encode()).decode()}")
    try:
        head = "\r\n".join([*lines, "Content-Length: "]).encode("ascii")
    except UnicodeEncodeError as error:
        raise RpcError("endpoint", expected="a URL in ASCII", found=url) from error
    tls = parts.scheme == "https"
    return Endpoint(parts.hostname, port or (443 if tls else 80), tls, head)


class Answer(NamedTuple):
    """An HTTP status and a whole body."""

    status: int
    body: bytes


class Pool:
    """Connections to one endpoint, each carrying one request at a time; the one used last goes first.

    Args:
        where: the endpoint.
        connections: open at once; further requests wait, in their order.
    """

    def __init__(self, where: Endpoint, connections: int) -> None:
        self._where = where
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()
        self._tls: ssl.SSLContext | None = None

    async def post(self, body: bytes) -> Answer:
        """One request. Raises OSError where the connection cannot be made, breaks, or answers no HTTP."""
        async with self._slots:
            connection = self._idle.pop() if self._idle else await self._connect()
            try:
                answer = await connection.ask(self._where.head, body)
            except BaseException:
                # cancelled or broken: what still comes would be taken for the next request's answer
                connection.abort()
                raise
            if connection.reusable:
                self._idle.append(connection)
            else:
                connection.abort()
            return answer

    def close(self) -> None:
        """Closes all connections; requests under way fail."""
        for connection in list(self._all):
            connection.abort()

    async def _connect(self) -> _Connection:
        host, port, tls, _ = self._where
        if tls and self._tls is None:
            self._tls = ssl.create_default_context()
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _Connection(self._gone), host, port, ssl=self._tls
            )
        except UnicodeError as error:
            raise ConnectionError(f"{host} is no host name") from error
        self._all.add(connection)
        return connection

    def _gone(self, connection: _Connection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


class _Connection(asyncio.Protocol):
    """One connection. httptools calls `on_body` and `on_message_complete`."""

    __slots__ = ("_body", "_gone", "_parser", "_transport", "_waiter", "reusable")

    def __init__(self, gone: Callable[[_Connection], object]) -> None:
        self._gone = gone
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[Answer] | None = None
        self._body: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self.reusable = True
        """the endpoint keeps it open, and it is open"""

    def ask(self, head: bytes, body: bytes) -> asyncio.Future[Answer]:
        """Sends a request; its answer comes in the future, or an OSError."""
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        transport = self._transport
        if transport is None or transport.is_closing():
            waiter.set_exception(ConnectionResetError("the connection was closed"))
        else:
            transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
        return waiter

    def abort(self) -> None:
        """Drops the connection at once."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio's ----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():
            # said unasked, before it closes perhaps: nothing that follows could be trusted
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ConnectionError(f"its answer is no HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        self._fail(exc if isinstance(exc, OSError) else ConnectionResetError("closed before its answer was complete"))
        self._gone(self)

    def _fail(self, error: OSError) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    # -- httptools' ---------------------------------------------------------------------------------------------------

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        parts, self._body = self._body, []
        status = self._parser.get_status_code()
        if status < 200:
            # 100 Continue and its like: the answer comes after it
            return
        self.reusable = self._parser.should_keep_alive()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(Answer(status, parts[0] if len(parts) == 1 else b"".join(parts)))
