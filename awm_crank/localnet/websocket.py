"""The server's side of WebSocket (RFC 6455): the handshake's key, frames in, frames out. No sockets, no extensions."""

from __future__ import annotations

import base64
import hashlib
import struct

MAX_MESSAGE_BYTES = 1024 * 1024
"""A request is small; only what the server sends may be large."""

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class WebSocketError(Exception):
    """A stream that breaks the protocol. `code` is the close code to answer with (RFC 6455, 7.4.1)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def accept_key(key: bytes) -> bytes:
    """`Sec-WebSocket-Accept` for a client's `Sec-WebSocket-Key`."""
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())


def frame(opcode: int, payload: bytes) -> bytes:
    """An unmasked frame that is a whole message."""
    size = len(payload)
    if size < 126:
        return b"%c%c%b" % (0x80 | opcode, size, payload)
    if size < 65536:
        return b"%c\x7e%b%b" % (0x80 | opcode, size.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (0x80 | opcode, size.to_bytes(8, "big"), payload)


def close_payload(code: int) -> bytes:
    """The payload of a close frame."""
    return struct.pack(">H", code)


class FrameParser:
    """Feed it bytes, then take `next()` until it gives None. Fragments are joined; control frames come as they are."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._opcode = 0
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        """Adds bytes of the stream."""
        self._buffer += data

    def next(self) -> tuple[int, bytes] | None:
        """The next whole message as (opcode, payload), or None until more bytes are there.

        Raises:
            WebSocketError: unmasked, reserved, oversized or out-of-order frames.
        """
        while True:
            found = self._frame()
            if found is None:
                return None
            final, opcode, payload = found
            if opcode >= CLOSE:
                return opcode, payload
            if (opcode == 0) != bool(self._opcode):
                raise WebSocketError(1002, "fragments out of order")
            self._size += len(payload)
            if self._size > MAX_MESSAGE_BYTES:
                raise WebSocketError(1009, "message too large")
            self._parts.append(payload)
            self._opcode = self._opcode or opcode
            if final:
                message = (self._opcode, payload if len(self._parts) == 1 else b"".join(self._parts))
                self._opcode, self._parts, self._size = 0, [], 0
                return message

    def _frame(self) -> tuple[bool, int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        final, opcode, size = bool(buffer[0] & 0x80), buffer[0] & 0x0F, buffer[1] & 0x7F
        if buffer[0] & 0x70:
            raise WebSocketError(1002, "an extension that was not agreed on")
        if opcode not in (0, TEXT, BINARY, CLOSE, PING, PONG):
            raise WebSocketError(1002, "unknown opcode")
        if not buffer[1] & 0x80:
            raise WebSocketError(1002, "a client's frames are masked")
        if opcode >= CLOSE and (size > 125 or not final):
            raise WebSocketError(1002, "a control frame is short and whole")
        at = 2
        if size == 126:
            at = 4
        elif size == 127:
            at = 10
        if len(buffer) < at + 4:
            return None
        if size >= 126:
            size = int.from_bytes(buffer[2:at], "big")
        if size > MAX_MESSAGE_BYTES:
            raise WebSocketError(1009, "message too large")
        end = at + 4 + size
        if len(buffer) < end:
            return None
        mask = bytes(buffer[at : at + 4])
        payload = _unmask(mask, bytes(buffer[at + 4 : end]))
        del buffer[:end]
        return final, opcode, payload


def _unmask(mask: bytes, data: bytes) -> bytes:
    # one XOR of two long integers is far faster than a loop over bytes
    size = len(data)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")
