"""One connection from outside, over raw sockets and aiohttp. No client can end the server."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import socket
import struct
from urllib.parse import urlsplit

import aiohttp
import pytest
from websockets.protocol import Protocol

from awm_crank.localnet import connection
from awm_crank.localnet.http1 import RequestParser
from awm_crank.localnet.rig import EmbeddedLocalnet
from awm_crank.localnet.server import Localnet, LocalnetOptions

HEALTH = b'{"jsonrpc":"2.0","id":1,"method":"getHealth"}'


def request(body: bytes, extra: bytes = b"Content-Type: application/json\r\n") -> bytes:
    """A POST request."""
    return b"POST / HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b" % (extra, len(body), body)


def connect(url: str) -> socket.socket:
    """A plain connection to an endpoint."""
    parts = urlsplit(url)
    assert parts.hostname and parts.port
    return socket.create_connection((parts.hostname, parts.port), timeout=5)


def exchange(url: str, data: bytes) -> bytes:
    """Returns what arrives until the other side closes or stops sending."""
    with connect(url) as peer:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        received = b""
        while part := peer.recv(65536):
            received += part
        return received


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(HEALTH), b"200"),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"OPTIONS / HTTP/1.1\r\nOrigin: http://a\r\nAccess-Control-Request-Method: POST\r\n\r\n", b"204"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (request(HEALTH, b"Content-Type: text/plain\r\n"), b"415"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", b"426"),
    ],
)
def test_http_status(net: EmbeddedLocalnet, data: bytes, status: bytes) -> None:
    """Each kind of request has its status, on both ports."""
    for url in (net.http, net.ws):
        assert exchange(url, data).split(b" ", 2)[1] == status


def test_pipelining_and_close(net: EmbeddedLocalnet) -> None:
    """Requests of one connection are answered in order, and `Connection: close` closes after its answer."""
    closing = request(HEALTH.replace(b'"id":1', b'"id":3'), b"Content-Type: application/json\r\nConnection: close\r\n")
    received = exchange(net.http, request(HEALTH) + closing + request(HEALTH))
    assert received.count(b'"result":"ok"') == 2
    assert received.index(b'"id":1') < received.index(b'"id":3')


def test_expect_continue(net: EmbeddedLocalnet) -> None:
    """A client that waits before it sends its body gets 100 Continue."""
    with connect(net.http) as peer:
        headers = b"Content-Type: application/json\r\nExpect: 100-continue\r\n"
        head, _, body = request(HEALTH, headers).partition(b"\r\n\r\n")
        peer.sendall(head + b"\r\n\r\n")
        assert peer.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sendall(body)
        assert b'"ok"' in peer.recv(1000)


def test_noise_on_both_ports(net: EmbeddedLocalnet) -> None:
    """The server survives hundreds of connections of seeded noise, whole and cut off, over HTTP and WebSocket."""
    chance = random.Random(4)
    handshake = (
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    subscribe = b'{"jsonrpc":"2.0","id":1,"method":"slotSubscribe","params":[]}'
    masked = struct.pack(">BB", 0x81, 0x80 | len(subscribe)) + bytes(4) + subscribe
    good = [request(HEALTH), request(b"[" + HEALTH + b"]"), handshake, handshake + masked, request(b'{"id":1')]
    for index in range(400):
        data = bytearray(chance.choice(good))
        for _ in range(chance.randrange(6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.3:
            del data[chance.randrange(len(data)) :]
        data += chance.randbytes(chance.randrange(40))
        with connect(net.ws if index % 2 else net.http) as peer:
            peer.sendall(data)
            if index % 5 == 0:
                # the server sent a reset instead of closing normally
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert net.call("getHealth") == "ok"
    os.kill(net.pid, 0)


def test_websocket_close_codes(net: EmbeddedLocalnet) -> None:
    """An unmasked frame gets close 1002, a client's close gets its own code, and a ping its pong."""
    key = b"dGhlIHNhbXBsZSBub25jZQ=="
    handshake = (
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: %b\r\n\r\n" % key
    )
    for frame, answer in (
        (b"\x81\x02hi", b"\x88\x13\x03\xeaincorrect masking"),
        (b"\x88\x82\0\0\0\0\x03\xe8", b"\x88\x02\x03\xe8"),
        (b"\x89\x82\0\0\0\0ab" + b"\x88\x80\0\0\0\0", b"\x8a\x02ab\x88\x00"),
    ):
        received = exchange(net.ws, handshake + frame)
        head, _, rest = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert rest == answer


async def test_late_subscriber_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscriber that reads nothing is disconnected at the backlog's limit, and the others go on."""
    monkeypatch.setattr(connection, "MAX_BACKLOG_BYTES", 200_000)
    net = Localnet(LocalnetOptions(port=0, bare=True))
    await net.listen()
    try:
        async with aiohttp.ClientSession() as client:
            lazy = await client.ws_connect(net.ws)
            await lazy.send_json({"jsonrpc": "2.0", "id": 1, "method": "slotSubscribe"})
            await lazy.receive_json()
            (behind,) = [c for c in net.connections if c in net.topics._all]
            lazy._response.connection.transport.pause_reading()  # type: ignore[union-attr]
            for _ in range(20_000):
                behind.push(b'"' + bytes(1000).replace(b"\0", b"x") + b'"')
                behind.flush()
                if behind._closing:
                    break
            assert behind._closing
            for _ in range(100):
                if behind not in net.connections:
                    break
                await asyncio.sleep(0.01)
            assert behind not in net.connections
            async with client.post(net.http, json=json.loads(HEALTH)) as response:
                assert (await response.json())["result"] == "ok"
    finally:
        await net.close()


async def test_closed_connections_leave_nothing_behind() -> None:
    """Every closed connection is freed at once, whether it ended well, broke or was cut off.

    The process never collects its oldest generation of objects, so reference counting must free them.
    """
    net = Localnet(LocalnetOptions(port=0, bare=True))
    await net.listen()
    parts = urlsplit(net.ws)
    handshake = (
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    sent = [request(HEALTH), b"nonsense\r\n\r\n", handshake, handshake + b"\x81\x02hi", handshake + b"\xff" * 20]
    gc.collect()
    gc.disable()
    try:
        for data in sent * 20:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(data)
            await reader.read(20)
            writer.close()
            await writer.wait_closed()
            del reader, writer
        while net.connections:  # noqa: ASYNC110 (asyncio's own callback ends them)
            await asyncio.sleep(0.01)
        left = [thing for thing in gc.get_objects() if type(thing) in (RequestParser, Protocol, connection.Connection)]
        assert left == []
    finally:
        gc.enable()
        await net.close()
