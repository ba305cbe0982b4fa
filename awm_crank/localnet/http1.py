"""HTTP/1.1 requests out of a byte stream, and answers into it. No sockets; httptools (llhttp) does the parsing."""

from __future__ import annotations

from collections import deque

import httptools
import msgspec

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 16 * 1024 * 1024

_REASONS = {
    200: b"OK",
    204: b"No Content",
    400: b"Bad Request",
    405: b"Method Not Allowed",
    413: b"Payload Too Large",
    415: b"Unsupported Media Type",
    431: b"Request Header Fields Too Large",
}
_CORS = (
    b"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: POST, OPTIONS\r\n"
    b"Access-Control-Allow-Headers: *\r\nAccess-Control-Max-Age: 86400\r\n"
)


class HttpError(Exception):
    """The stream is not HTTP/1.x, or exceeds a limit. The server answers with `status` and closes the connection."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class HttpRequest(msgspec.Struct):
    """One request. Header names are in lower case; the last of several equal headers wins."""

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool


class RequestParser:
    """Parses requests. Pass the stream's bytes to `feed`, then call `next()` until it returns None.

    `wants_continue` is true while a client waits for `100 Continue` before it sends its body.
    """

    def __init__(self) -> None:
        self._requests: deque[HttpRequest] = deque()
        self._error: HttpError | None = None
        self._rest = b""
        self._heads = 0
        self.wants_continue = False
        self._begin()

    def _begin(self) -> None:
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._in_body = False
        self._head_bytes = self._body_bytes = 0
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Adds bytes of the stream. Once the stream is broken, further bytes are ignored."""
        if self._error is not None or self._parser is None:
            return
        if self._rest:
            data, self._rest = self._rest + data, b""
        heads, in_body = self._heads, self._in_body
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._after_offer(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._error = cause if isinstance(cause, HttpError) else HttpError(400, f"not an HTTP/1.1 request: {error}")
        if heads == self._heads and not in_body:
            # llhttp keeps the beginning of an endless header for as long as it grows
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and self._error is None:
                self._error = HttpError(431, "header too large")

    def close(self) -> None:
        """Ends parsing, and breaks the reference cycles between parser, error and this object."""
        self._parser = self._error = None

    def _after_offer(self, rest: bytes) -> None:
        """Continues after the head of a request that offers another protocol, where the parser stops."""
        offer = self._requests.pop()
        self._begin()
        if offer.method == b"GET" and offer.headers.get(b"upgrade", b"").lower() == b"websocket":
            self._requests.append(offer)
            self._rest = rest
        elif offer.method == b"CONNECT":
            self._error = HttpError(405, "this server is no proxy")
        else:
            # some clients, such as Java's, offer HTTP/2 with each request: read the request again without the offer
            kept = {name: value for name, value in offer.headers.items() if name not in (b"upgrade", b"connection")}
            lines = b"".join(b"%b: %b\r\n" % row for row in kept.items())
            self.feed(b"%b %b HTTP/1.1\r\n%b\r\n%b" % (offer.method, offer.target, lines, rest))

    def rest(self) -> bytes:
        """Takes the bytes that follow a request for WebSocket: the first ones of that protocol."""
        data, self._rest = self._rest, b""
        return data

    def next(self) -> HttpRequest | None:
        """The next whole request, or None until more bytes are there.

        Raises:
            HttpError: the stream is not HTTP/1.x, or exceeds a limit.
        """
        if not self._requests and self._rest:
            # nobody took up the offer of WebSocket, so HTTP goes on
            self.feed(b"")
        if self._requests:
            return self._requests.popleft()
        if self._error is not None:
            raise self._error
        return None

    # ---- httptools' callbacks

    def on_message_begin(self) -> None:
        self._head_bytes = self._body_bytes = 0
        self._target = b""
        self._headers = {}
        self._parts = []

    def on_url(self, url: bytes) -> None:
        self._target += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value.strip()
        self._count_head(len(name) + len(value))

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            raise HttpError(431, "header too large")

    def on_headers_complete(self) -> None:
        self._heads += 1
        self._in_body = True
        assert self._parser is not None
        if self._parser.get_http_version() not in ("1.0", "1.1"):
            raise HttpError(400, "not an HTTP/1.1 request")
        length = self._headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            raise HttpError(413, "body too large")
        self.wants_continue = self._headers.get(b"expect", b"").lower() == b"100-continue"

    def on_body(self, body: bytes) -> None:
        self.wants_continue = False
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY_BYTES:
            raise HttpError(413, "body too large")
        self._parts.append(body)

    def on_message_complete(self) -> None:
        self.wants_continue = False
        parser = self._parser
        assert parser is not None
        body, keep_alive = b"".join(self._parts), parser.should_keep_alive()
        self._requests.append(HttpRequest(parser.get_method(), self._target, self._headers, body, keep_alive))
        self._in_body = False
        self._head_bytes = 0


def response(status: int, body: bytes, *, keep_alive: bool = True, kind: bytes = b"application/json") -> bytes:
    """A whole answer. Pages of any origin may read it, as with other validators."""
    return b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b%b\r\n%b" % (
        status,
        _REASONS[status],
        kind,
        len(body),
        _CORS if status == 204 else b"Access-Control-Allow-Origin: *\r\n",
        b"" if keep_alive else b"Connection: close\r\n",
        body,
    )
