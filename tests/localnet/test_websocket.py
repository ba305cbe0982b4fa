"""The WebSocket frames: any split and any fragmentation give the same messages, and no stream breaks the parser."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.localnet.websocket import (
    BINARY,
    CLOSE,
    MAX_MESSAGE_BYTES,
    PING,
    TEXT,
    FrameParser,
    WebSocketError,
    accept_key,
    close_payload,
    frame,
)


def client_frame(opcode: int, payload: bytes, *, final: bool = True, mask: bytes = b"\1\2\3\4") -> bytes:
    """A frame as a client sends it, byte by byte as RFC 6455 5.2 says."""
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", final << 7 | opcode, 0x80 | size)
    elif size < 65536:
        head = struct.pack(">BBH", final << 7 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack(">BBQ", final << 7 | opcode, 0x80 | 127, size)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def parse(*parts: bytes) -> list[tuple[int, bytes]]:
    """All messages of a stream that arrives in parts."""
    parser = FrameParser()
    found = []
    for part in parts:
        parser.feed(part)
        while (message := parser.next()) is not None:
            found.append(message)
    return found


@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    st.binary(min_size=4, max_size=4),
    st.lists(st.integers(0, 1300), max_size=6),
)
def test_fragments_and_splits(pieces: list[bytes], mask: bytes, cuts: list[int]) -> None:
    """A message in fragments, with a ping between them, comes out whole wherever the stream was cut."""
    stream = b""
    for index, piece in enumerate(pieces):
        last = index == len(pieces) - 1
        stream += client_frame(TEXT if index == 0 else 0, piece, final=last, mask=mask)
        if not last:
            stream += client_frame(PING, b"hi", mask=mask)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    found = parse(*(stream[start:end] for start, end in pairwise(edges)))
    assert found == [(PING, b"hi")] * (len(pieces) - 1) + [(TEXT, b"".join(pieces))]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, MAX_MESSAGE_BYTES])
def test_sizes(size: int) -> None:
    """All three forms of the length, up to the largest message."""
    payload = bytes(range(256)) * (size // 256 + 1)
    assert parse(client_frame(BINARY, payload[:size])) == [(BINARY, payload[:size])]


@given(st.binary(max_size=100))
def test_noise(data: bytes) -> None:
    """Any bytes give messages, nothing yet, or WebSocketError with a close code."""
    try:
        parse(data)
    except WebSocketError as error:
        assert error.code in (1002, 1009)


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (b"\x81\x01a", 1002),
        (client_frame(3, b""), 1002),
        (b"\xc1" + client_frame(TEXT, b"")[1:], 1002),
        (client_frame(0, b"a"), 1002),
        (client_frame(TEXT, b"a", final=False) + client_frame(TEXT, b"b"), 1002),
        (client_frame(PING, b"a", final=False), 1002),
        (client_frame(CLOSE, bytes(126)), 1002),
        (b"\x81\xff" + (MAX_MESSAGE_BYTES + 1).to_bytes(8, "big") + bytes(4), 1009),
        (client_frame(TEXT, bytes(MAX_MESSAGE_BYTES), final=False) + client_frame(0, b"a"), 1009),
    ],
)
def test_refusals(stream: bytes, code: int) -> None:
    """Each way to break the protocol has its close code."""
    with pytest.raises(WebSocketError) as caught:
        parse(stream)
    assert caught.value.code == code


def test_accept_key() -> None:
    """RFC 6455's own example."""
    assert accept_key(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_server_frames(size: int) -> None:
    """A frame of ours holds its length in the form the RFC asks for, unmasked."""
    sent = frame(TEXT, bytes(size))
    head = {0: 2, 125: 2, 126: 4, 65535: 4, 65536: 10}[size]
    assert len(sent) == head + size
    assert sent[0] == 0x81
    assert not sent[1] & 0x80
    if head > 2:
        assert int.from_bytes(sent[2:head], "big") == size
    assert close_payload(1002) == b"\x03\xea"
