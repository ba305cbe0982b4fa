"""HTTP/1.1 for JSON-RPC: one request body, one answer body, over connections that stay open.

Every frame is sent with this client, so it is only a thin protocol on llhttp's parser (httptools): no redirects, no
cookies, no compression, no streams. A request costs a third of what a general client takes (docs/capacity.md).

Every answer has a size limit, and no answer can be mistaken for another request's: bytes that follow an answer, or
arrive when no request is pending, close the connection.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from typing import NamedTuple, cast

import httptools

from ..endpoint import Endpoint

MAX_HEAD_BYTES = 64 << 10
"""The most that an answer's status line, headers and trailers may have."""
MAX_BODY_BYTES = 64 << 20
"""The most that one answer's body may have. The largest account (10 MiB) takes 14 MB in base64."""
MAX_HELD_BYTES = 256 << 20
"""The most that the unfinished answers of one endpoint may have together."""
MAX_RETRY_AFTER_S = 60.0
"""The longest pause that is kept because an endpoint asks for it (Retry-After)."""


class Answer(NamedTuple):
    """The HTTP status and the whole body. `retry_after_s` is the pause that the endpoint asks for; None if it asks for
    none.
    """

    status: int
    body: bytes
    retry_after_s: float | None = None


class Pool:
    """Connections to one endpoint. Each carries one request at a time; the most recently used one is taken first.

    Args:
        where: the endpoint, http:// or https://.
        connections: how many may be open at once; further requests wait in order.
    """

    def __init__(self, where: Endpoint, connections: int) -> None:
        self._where = where
        self._head = request_head(where)
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()
        self._tls: ssl.SSLContext | None = None
        self.held = 0
        """Bytes of answers that are not complete yet."""

    async def post(self, body: bytes, deadline_s: float) -> Answer:
        """Sends one request.

        If the answer is overdue, the connection is closed, and with it all idle connections that have been silent for
        as long, because the fault that lost one request would lose the next.

        Args:
            deadline_s: the longest time from now to the whole answer; waiting for a connection counts.

        Raises:
            TimeoutError: no whole answer in time.
            OSError: the connection cannot be opened or breaks, or the answer is not HTTP or exceeds the limits.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(deadline_s), self._slots:
                connection = self._idle.pop() if self._idle else await self._connect()
                try:
                    answer = await connection.ask(self._head, body)
                except BaseException:
                    # Cancelled or broken: an answer that still arrives would be taken for the next request's answer.
                    connection.abort()
                    raise
                if connection.reusable:
                    connection.answered_at = loop.time()
                    self._idle.append(connection)
                else:
                    connection.abort()
                return answer
        except TimeoutError:
            self.drop_idle(before=began)
            raise

    def drop_idle(self, *, before: float | None = None) -> None:
        """Closes the idle connections, so that the next requests open new ones.

        Args:
            before: close only those whose last answer came before this time of the loop's clock.
        """
        for connection in list(self._idle):
            if before is None or connection.answered_at < before:
                connection.abort()

    def close(self) -> None:
        """Closes all connections. Pending requests fail."""
        for connection in list(self._all):
            connection.abort()

    async def _connect(self) -> _Connection:
        where = self._where
        if where.tls and self._tls is None:
            self._tls = ssl.create_default_context()
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(self), where.host, where.port, ssl=self._tls
        )
        self._all.add(connection)
        return connection

    def lost(self, connection: _Connection) -> None:
        """Notes that a connection is closed."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


def request_head(where: Endpoint) -> bytes:
    """The beginning of each request to this endpoint: everything up to the length of the body."""
    lines = [
        f"POST {where.target} HTTP/1.1",
        f"Host: {where.authority}",
        # Some providers refuse requests without this header.
        "User-Agent: awm-crank",
        "Accept: application/json",
        "Content-Type: application/json",
    ]
    if where.credentials is not None:
        # RFC 7617
        lines.append(f"Authorization: Basic {b64encode(':'.join(where.credentials).encode()).decode()}")
    return "\r\n".join([*lines, "Content-Length: "]).encode("ascii")


class _Connection(asyncio.Protocol):
    """One connection. httptools calls `on_message_begin`, `on_header`, `on_body` and the other `on_...` methods."""

    __slots__ = (
        "_body", "_headed", "_parser", "_pool", "_retry_after", "_transport", "_waiter", "_wire", "answered_at",
        "reusable",
    )  # fmt: skip

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[Answer] | None = None
        self._body = bytearray()
        self._wire = 0
        """Bytes received since the request was sent."""
        self._headed = False
        """The answer's headers are complete."""
        self._retry_after: float | None = None
        self._transport: asyncio.Transport | None = None
        self.reusable = True
        """The endpoint keeps it open, and it is open."""
        self.answered_at = 0.0

    def ask(self, head: bytes, body: bytes) -> asyncio.Future[Answer]:
        """Sends a request. The returned future gets the answer, or an OSError."""
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        self._wire, self._headed = 0, False
        transport = self._transport
        if transport is None or transport.is_closing():
            waiter.set_exception(ConnectionResetError("the connection was closed"))
        else:
            transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
        return waiter

    def abort(self) -> None:
        """Drops the connection at once."""
        self.reusable = False
        self._release()
        self._pool.lost(self)
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio's ----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self._open():
            # No request is pending: nothing that follows could be trusted.
            self.abort()
            return
        self._wire += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            # The parser wraps an exception of our own callbacks; it is the context.
            too_much = error.__context__
            known = isinstance(too_much, _TooMuchError)
            self._fail(too_much if known and too_much else ConnectionError(f"its answer is not HTTP: {error}"))
            return
        # Besides the body there are headers, trailers and the sizes of chunks: eight bytes for a chunk of one.
        other = self._wire - len(self._body)
        if self._open() and other > MAX_HEAD_BYTES + (8 * len(self._body) if self._headed else 0):
            self._fail(_TooMuchError(f"its answer has a head of more than {MAX_HEAD_BYTES >> 10} KiB"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        self._fail(exc if isinstance(exc, OSError) else ConnectionResetError("closed before its answer was complete"))
        self._pool.lost(self)

    def _open(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _fail(self, error: BaseException) -> None:
        self._release()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def _release(self) -> None:
        self._pool.held -= len(self._body)
        self._body = bytearray()

    # -- httptools' ---------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._retry_after = None
        if not self._open():
            # A second answer in the same segment: no request asked for it.
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower == b"retry-after":
            self._retry_after = retry_after(value)
        elif lower == b"content-length" and value.isdigit() and int(value[:20]) > MAX_BODY_BYTES:
            raise _TooMuchError(f"its answer has a body of more than {MAX_BODY_BYTES >> 20} MiB")

    def on_headers_complete(self) -> None:
        self._headed = True

    def on_body(self, part: bytes) -> None:
        if not self._open():
            return
        self._body += part
        self._pool.held += len(part)
        if len(self._body) > MAX_BODY_BYTES:
            raise _TooMuchError(f"its answer has a body of more than {MAX_BODY_BYTES >> 20} MiB")
        if self._pool.held > MAX_HELD_BYTES:
            raise _TooMuchError(f"its unfinished answers have more than {MAX_HELD_BYTES >> 20} MiB together")

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            # 100 Continue and similar: the real answer comes after it.
            self._headed = False
            return
        if self._waiter is None or self._waiter.done():
            return
        body = bytes(self._body)
        self._release()
        self.reusable = self._parser.should_keep_alive()
        self._waiter.set_result(Answer(status, body, self._retry_after))


class _TooMuchError(OSError):
    """The answer exceeds the limits."""


def retry_after(value: bytes) -> float | None:
    """The pause that a Retry-After header asks for, at most `MAX_RETRY_AFTER_S`; None if it cannot be read.

    Example: `b"2"` is 2.0. A date is not accepted, because the clocks of the two machines can differ.
    """
    return min(float(value[:9]), MAX_RETRY_AFTER_S) if value.isdigit() else None
