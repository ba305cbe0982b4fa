"""HTTP/1.1 requests out of a byte stream, and answers into it (RFC 9112, as far as JSON-RPC clients go). No sockets."""

from __future__ import annotations

import msgspec

MAX_HEAD_BYTES = 16 * 1024
MAX_BODY_BYTES = 16 * 1024 * 1024

_REASONS = {
    200: b"OK",
    204: b"No Content",
    400: b"Bad Request",
    404: b"Not Found",
    405: b"Method Not Allowed",
    413: b"Payload Too Large",
    415: b"Unsupported Media Type",
    426: b"Upgrade Required",
    431: b"Request Header Fields Too Large",
    501: b"Not Implemented",
}
_CORS = (
    b"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: POST, OPTIONS\r\n"
    b"Access-Control-Allow-Headers: *\r\nAccess-Control-Max-Age: 86400\r\n"
)


class HttpError(Exception):
    """A stream that is no acceptable HTTP. It is answered with `status`, then closed."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Request(msgspec.Struct):
    """One request. Header names are lower case; of a repeated header the last one stands."""

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool


class RequestParser:
    """Feed it bytes, then take `next()` until it gives None.

    `rest` is what has not been used yet: after an upgrade, the first bytes of the other protocol.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: Request | None = None
        self._length = 0
        self._chunks: list[bytes] | None = None
        self.wants_continue = False

    def feed(self, data: bytes) -> None:
        """Adds bytes of the stream."""
        self._buffer += data

    def rest(self) -> bytes:
        """Takes what no request has used."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def next(self) -> Request | None:
        """The next whole request, or None until more bytes are there.

        Raises:
            HttpError: no HTTP/1.x, or larger than the limits.
        """
        if self._head is None and not self._read_head():
            return None
        head = self._head
        assert head is not None
        if self._chunks is not None:
            if not self._read_chunks():
                return None
            head.body = b"".join(self._chunks)
        else:
            if len(self._buffer) < self._length:
                return None
            head.body = bytes(self._buffer[: self._length])
            del self._buffer[: self._length]
        self._head = None
        self._chunks = None
        return head

    def _read_head(self) -> bool:
        while self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise HttpError(431, "header too large")
            return False
        if end > MAX_HEAD_BYTES:
            raise HttpError(431, "header too large")
        first, *lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        parts = first.split(b" ")
        if len(parts) != 3 or parts[2] not in (b"HTTP/1.1", b"HTTP/1.0") or not parts[0].isalpha():
            raise HttpError(400, "not an HTTP/1.1 request")
        headers: dict[bytes, bytes] = {}
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon or not name or name != name.strip():
                raise HttpError(400, "malformed header")
            headers[name.lower()] = value.strip()
        self._read_framing(headers)
        connection = headers.get(b"connection", b"").lower()
        keep_alive = b"keep-alive" in connection if parts[2] == b"HTTP/1.0" else b"close" not in connection
        self._head = Request(parts[0], parts[1], headers, b"", keep_alive)
        self.wants_continue = headers.get(b"expect", b"").lower() == b"100-continue"
        return True

    def _read_framing(self, headers: dict[bytes, bytes]) -> None:
        self._length = 0
        coding = headers.get(b"transfer-encoding")
        length = headers.get(b"content-length")
        if coding is not None:
            if length is not None:
                raise HttpError(400, "both Content-Length and Transfer-Encoding")
            if coding.lower() != b"chunked":
                raise HttpError(501, "only chunked transfer coding")
            self._chunks = []
        elif length is not None:
            if not length.isdigit() or len(length) > 18:
                raise HttpError(400, "Content-Length is no number")
            self._length = int(length)
            if self._length > MAX_BODY_BYTES:
                raise HttpError(413, "body too large")

    def _read_chunks(self) -> bool:
        assert self._chunks is not None
        while True:
            end = self._buffer.find(b"\r\n")
            if end < 0:
                if len(self._buffer) > 1024:
                    raise HttpError(400, "malformed chunk")
                return False
            size_text = bytes(self._buffer[:end]).partition(b";")[0].strip()
            try:
                size = int(size_text, 16) if size_text.isalnum() else -1
            except ValueError:
                size = -1
            if size < 0 or len(size_text) > 8:
                raise HttpError(400, "malformed chunk")
            if self._length + size > MAX_BODY_BYTES:
                raise HttpError(413, "body too large")
            # the last chunk has no data, and trailers, which nobody sends, are refused
            if len(self._buffer) < end + 2 + size + 2:
                return False
            if self._buffer[end + 2 + size : end + 4 + size] != b"\r\n":
                raise HttpError(400, "malformed chunk")
            chunk = bytes(self._buffer[end + 2 : end + 2 + size])
            del self._buffer[: end + 4 + size]
            if size == 0:
                return True
            self._length += size
            self._chunks.append(chunk)


def response(status: int, body: bytes, *, keep_alive: bool = True, kind: bytes = b"application/json") -> bytes:
    """A whole answer, open to pages of any origin as validators' are."""
    return b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b%b\r\n%b" % (
        status,
        _REASONS[status],
        kind,
        len(body),
        _CORS if status == 204 else b"Access-Control-Allow-Origin: *\r\n",
        b"" if keep_alive else b"Connection: close\r\n",
        body,
    )
