"""WebSocket: a stream gives the same messages however it is split or fragmented, and no stream breaks the server."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.localnet.http1 import HttpRequest
from awm_crank.localnet.websocket import MAX_MESSAGE_BYTES, MessageStream, handshake

CONTINUE, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9


def client_frame(opcode: int, payload: bytes, *, final: bool = True, mask: bytes = b"\1\2\3\4") -> bytes:
    """A frame as a client sends it, built byte by byte as RFC 6455 5.2 says."""
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", final << 7 | opcode, 0x80 | size)
    elif size < 65536:
        head = struct.pack(">BBH", final << 7 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack(">BBQ", final << 7 | opcode, 0x80 | 127, size)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    st.binary(min_size=4, max_size=4),
    st.lists(st.integers(0, 1300), max_size=6),
)
def test_fragments_and_splits(pieces: list[bytes], mask: bytes, cuts: list[int]) -> None:
    """A message in fragments, with a ping in between, comes out whole wherever the stream was cut."""
    raw = b""
    for index, piece in enumerate(pieces):
        last = index == len(pieces) - 1
        raw += client_frame(TEXT if index == 0 else CONTINUE, piece, final=last, mask=mask)
        if not last:
            raw += client_frame(PING, b"hi", mask=mask)
    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    stream = MessageStream()
    found = [message for start, end in pairwise(edges) for message in stream.receive(raw[start:end])]
    assert found == [b"".join(pieces)]
    assert b"".join(stream.take()) == b"\x8a\x02hi" * (len(pieces) - 1)
    assert stream.open


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, MAX_MESSAGE_BYTES])
def test_sizes(size: int) -> None:
    """All three forms of the length work, up to the largest message."""
    payload = (bytes(range(256)) * (size // 256 + 1))[:size]
    assert MessageStream().receive(client_frame(BINARY, payload)) == [payload]


@given(st.binary(max_size=100))
def test_noise(data: bytes) -> None:
    """Any bytes give messages, or end the stream with a close frame; nothing is raised, then or later."""
    stream = MessageStream()
    stream.receive(data)
    written = b"".join(stream.take())
    assert stream.open or b"\x88" in written
    stream.receive(data)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"\x81\x01a", 1002),
        (client_frame(3, b""), 1002),
        (b"\xc1" + client_frame(TEXT, b"")[1:], 1002),
        (client_frame(CONTINUE, b"a"), 1002),
        (client_frame(TEXT, b"a", final=False) + client_frame(TEXT, b"b"), 1002),
        (client_frame(PING, b"a", final=False), 1002),
        (client_frame(CLOSE, bytes(126)), 1002),
        (b"\x81\xff" + (MAX_MESSAGE_BYTES + 1).to_bytes(8, "big") + bytes(4), 1009),
        (client_frame(TEXT, bytes(MAX_MESSAGE_BYTES), final=False) + client_frame(CONTINUE, b"a"), 1009),
    ],
)
def test_refusals(raw: bytes, code: int) -> None:
    """Each way to break the protocol has its close code."""
    stream = MessageStream()
    assert stream.receive(raw) == []
    assert not stream.open
    written = b"".join(stream.take())
    assert written[0] == 0x88
    assert int.from_bytes(written[2:4], "big") == code


def test_handshake() -> None:
    """RFC 6455's own example is accepted, and an old version is refused with 426."""
    headers = {
        b"host": b"x",
        b"upgrade": b"websocket",
        b"connection": b"keep-alive, Upgrade",
        b"sec-websocket-version": b"13",
        b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ==",
    }
    answer, accepted = handshake(HttpRequest(b"GET", b"/", headers, b"", True))
    assert accepted
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    answer, accepted = handshake(HttpRequest(b"GET", b"/", {**headers, b"sec-websocket-version": b"8"}, b"", True))
    assert not accepted
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_server_frames(size: int) -> None:
    """A frame of the server is unmasked, and holds its length in the form that the RFC asks for."""
    stream = MessageStream()
    stream.send(bytes(size))
    sent = b"".join(stream.take())
    head = {0: 2, 125: 2, 126: 4, 65535: 4, 65536: 10}[size]
    assert len(sent) == head + size
    assert sent[0] == 0x81
    assert not sent[1] & 0x80
    if head > 2:
        assert int.from_bytes(sent[2:head], "big") == size
