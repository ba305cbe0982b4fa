"""HTTP/1.1 for JSON-RPC: what goes out, kept connections, and endpoints that do not play by the rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.errors import RpcError
from awm_crank.net.http import Endpoint, Pool, endpoint

Handler = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The endpoint's side of one connection; `heads` and `bodies` are what it read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []

    async def read(self) -> bytes:
        """The next request's body. Raises IncompleteReadError at the end."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        self.heads.append(head)
        self.bodies.append(await self.reader.readexactly(length))
        return self.bodies[-1]

    def answer(self, body: bytes, *, more: bytes = b"") -> None:
        """Sends a proper answer, with `more` among its headers."""
        self.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), more, body))


@asynccontextmanager
async def serving(handler: Handler, connections: int = 4) -> AsyncIterator[tuple[Pool, list[Peer]]]:
    """A pool on a server of ours, and the connections that it has made."""
    peers: list[Peer] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        peers.append(peer)
        try:
            await handler(peer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = Pool(endpoint(f"http://127.0.0.1:{port}/"), connections)
    try:
        yield pool, peers
    finally:
        pool.close()
        server.close()


async def echo(peer: Peer) -> None:
    """Answers each request with its own body."""
    while True:
        peer.answer(await peer.read())


async def test_connection_is_kept() -> None:
    """Requests one after the other use one connection; each body comes back whole, the empty one too."""
    async with serving(echo) as (pool, peers):
        for body in (b"{}", b"", b"x" * 300_000, b"[1]"):
            assert await pool.post(body) == (200, body)
    assert len(peers) == 1
    assert peers[0].heads[0].startswith(b"POST / HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"Content-Type: application/json\r\n" in peers[0].heads[0]


async def test_requests_at_once() -> None:
    """Requests at once have a connection each, up to the limit; each gets its own answer."""
    async with serving(echo, connections=3) as (pool, peers):
        bodies = [b"%d" % number for number in range(20)]
        answers = await asyncio.gather(*map(pool.post, bodies))
        assert [answer.body for answer in answers] == bodies
    assert len(peers) == 3


async def test_answer_in_pieces() -> None:
    """A body in chunks, byte by byte and after a 100 Continue, is the same body."""
    text = (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )

    async def slowly(peer: Peer) -> None:
        while True:
            await peer.read()
            for byte in text:
                peer.writer.write(bytes([byte]))
                await peer.writer.drain()
                await asyncio.sleep(0)

    async with serving(slowly) as (pool, peers):
        assert await pool.post(b"1") == (200, b"abcde")
        assert await pool.post(b"2") == (200, b"abcde")
    assert len(peers) == 1


@pytest.mark.parametrize(("said", "pause_s"), [(b"Connection: close\r\n", 0.0), (b"", 0.05)])
async def test_endpoint_that_closes(said: bytes, pause_s: float) -> None:
    """An endpoint may say that it closes after its answer, or close what it kept: the next request has a new
    connection."""

    async def once(peer: Peer) -> None:
        peer.answer(await peer.read(), more=said)

    async with serving(once) as (pool, peers):
        assert await pool.post(b"a") == (200, b"a")
        await asyncio.sleep(pause_s)
        assert await pool.post(b"b") == (200, b"b")
    assert len(peers) == 2


async def test_cancelled_request() -> None:
    """The answer to a request that was given up is never taken for the next one's."""
    begun = asyncio.Event()

    async def late(peer: Peer) -> None:
        body = await peer.read()
        begun.set()
        if body == b"slow":
            await asyncio.sleep(0.05)
        peer.answer(body)

    async with serving(late) as (pool, peers):
        slow = asyncio.create_task(pool.post(b"slow"))
        await begun.wait()
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert await pool.post(b"quick") == (200, b"quick")
        await asyncio.sleep(0.1)
        assert await pool.post(b"more") == (200, b"more")
    assert peers[0].bodies == [b"slow"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_no_answer(text: bytes) -> None:
    """A connection that ends early or speaks something else is an OSError, at once, and the pool goes on."""
    broken = True

    async def strange(peer: Peer) -> None:
        await peer.read()
        if broken:
            peer.writer.write(text)
        else:
            peer.answer(b"fine")

    async with asyncio.timeout(5), serving(strange, connections=1) as (pool, _):
        with pytest.raises(OSError, match=r"closed before|no HTTP"):
            await pool.post(b"1")
        broken = False
        assert await pool.post(b"2") == (200, b"fine")


async def test_said_unasked() -> None:
    """Bytes that come between two requests end the connection instead of becoming an answer."""
    said = asyncio.Event()

    async def chatty(peer: Peer) -> None:
        peer.answer(await peer.read())
        await peer.writer.drain()
        await asyncio.sleep(0.02)
        peer.answer(b"nobody asked")
        await peer.writer.drain()
        said.set()
        peer.answer(await peer.read())

    async with serving(chatty) as (pool, peers):
        assert await pool.post(b"a") == (200, b"a")
        await said.wait()
        await asyncio.sleep(0.02)
        assert await pool.post(b"b") == (200, b"b")
    assert len(peers) == 2


async def test_closed_pool() -> None:
    """Closing fails what is under way."""
    begun = asyncio.Event()

    async def never(peer: Peer) -> None:
        await peer.read()
        begun.set()
        await asyncio.sleep(5)

    async with serving(never) as (pool, _):
        request = asyncio.create_task(pool.post(b""))
        await begun.wait()
        pool.close()
        with pytest.raises(ConnectionResetError):
            await request


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "first", "more"),
    [
        ("http://127.0.0.1:8899", "127.0.0.1", 8899, False, "POST / HTTP/1.1", "Host: 127.0.0.1:8899"),
        ("https://rpc.example", "rpc.example", 443, True, "POST / HTTP/1.1", "Host: rpc.example"),
        ("http://h/a/b?key=1&x=%20", "h", 80, False, "POST /a/b?key=1&x=%20 HTTP/1.1", "Host: h"),
        ("http://[::1]:1/", "::1", 1, False, "POST / HTTP/1.1", "Host: [::1]:1"),
        ("http://me:p%40ss@h:2/", "h", 2, False, "POST / HTTP/1.1", "Authorization: Basic bWU6cEBzcw=="),
    ],
)
def test_endpoint(url: str, host: str, port: int, tls: bool, first: str, more: str) -> None:
    """Host, port, path and credentials of a URL, each where HTTP wants it; no password stands in the Host line."""
    found = endpoint(url)
    assert found[:3] == (host, port, tls)
    lines = found.head.decode().split("\r\n")
    assert lines[0] == first
    assert more in lines
    assert lines[-1] == "Content-Length: "
    assert not any("@" in line for line in lines)


@pytest.mark.parametrize("url", ["", "ftp://h", "h:1", "http://", "http://h:99999", "http://[::1", "http://h/ü"])
def test_no_endpoint(url: str) -> None:
    """Anything but an http or https URL is refused, by name."""
    with pytest.raises(RpcError, match="endpoint"):
        endpoint(url)


@given(st.text())
def test_any_url(url: str) -> None:
    """Whatever is given is an endpoint or an RpcError, and what goes out is one head."""
    try:
        found = endpoint(url)
    except RpcError:
        return
    assert isinstance(found, Endpoint)
    assert b"\r\n\r\n" not in found.head


async def test_unknown_host() -> None:
    """A host that does not exist is an OSError."""
    for host in ("no-such-host.invalid", "a" * 70 + ".invalid"):
        with pytest.raises(OSError, match=r"."):
            await Pool(endpoint(f"http://{host}/"), 1).post(b"")
