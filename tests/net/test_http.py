"""HTTP/1.1 for JSON-RPC: what is sent, which connections are kept, and endpoints that break the rules."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.endpoint import Endpoint
from awm_crank.errors import ConfigError
from awm_crank.net import http
from awm_crank.net.http import Pool, request_head

Handler = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The endpoint's side of one connection; `heads` and `bodies` hold what it read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []

    async def read(self) -> bytes:
        """Reads the next request's body. Raises IncompleteReadError at the end."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        self.heads.append(head)
        self.bodies.append(await self.reader.readexactly(length))
        return self.bodies[-1]

    def answer(self, body: bytes, *, more: bytes = b"") -> None:
        """Sends a correct answer, with `more` among its headers."""
        self.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), more, body))


@asynccontextmanager
async def serving(handler: Handler, connections: int = 4) -> AsyncIterator[tuple[Pool, list[Peer]]]:
    """A pool, the test's server, and the connections that the pool has made."""
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
    pool = Pool(Endpoint.parse(f"http://127.0.0.1:{port}/"), connections)
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
    """Consecutive requests use one connection, and each body comes back whole, even an empty one."""
    async with serving(echo) as (pool, peers):
        for body in (b"{}", b"", b"x" * 300_000, b"[1]"):
            assert await pool.post(body, 5) == (200, body, None)
    assert len(peers) == 1
    assert peers[0].heads[0].startswith(b"POST / HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"Content-Type: application/json\r\n" in peers[0].heads[0]


async def test_requests_at_once() -> None:
    """Concurrent requests use one connection each, up to the limit, and each gets its own answer."""
    async with serving(echo, connections=3) as (pool, peers):
        bodies = [b"%d" % number for number in range(20)]
        answers = await asyncio.gather(*(pool.post(body, 5) for body in bodies))
        assert [answer.body for answer in answers] == bodies
    assert len(peers) == 3


async def test_answer_in_pieces() -> None:
    """A body reads the same in chunks, byte by byte, and after a 100 Continue."""
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
        assert await pool.post(b"1", 5) == (200, b"abcde", None)
        assert await pool.post(b"2", 5) == (200, b"abcde", None)
    assert len(peers) == 1


@pytest.mark.parametrize(("said", "pause_s"), [(b"Connection: close\r\n", 0.0), (b"", 0.05)])
async def test_endpoint_that_closes(said: bytes, pause_s: float) -> None:
    """After an endpoint closes a connection, announced or not, the next request uses a new one."""

    async def once(peer: Peer) -> None:
        peer.answer(await peer.read(), more=said)

    async with serving(once) as (pool, peers):
        assert await pool.post(b"a", 5) == (200, b"a", None)
        await asyncio.sleep(pause_s)
        assert await pool.post(b"b", 5) == (200, b"b", None)
    assert len(peers) == 2


async def test_cancelled_request() -> None:
    """The answer to a cancelled request is never taken for the next request's answer."""
    begun = asyncio.Event()

    async def late(peer: Peer) -> None:
        body = await peer.read()
        begun.set()
        if body == b"slow":
            await asyncio.sleep(0.05)
        peer.answer(body)

    async with serving(late) as (pool, peers):
        slow = asyncio.create_task(pool.post(b"slow", 5))
        await begun.wait()
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert await pool.post(b"quick", 5) == (200, b"quick", None)
        await asyncio.sleep(0.1)
        assert await pool.post(b"more", 5) == (200, b"more", None)
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
    """A connection that ends early, or speaks another protocol, raises OSError at once, and the pool goes on."""
    broken = True

    async def strange(peer: Peer) -> None:
        await peer.read()
        if broken:
            peer.writer.write(text)
        else:
            peer.answer(b"fine")

    async with asyncio.timeout(5), serving(strange, connections=1) as (pool, _):
        with pytest.raises(OSError, match=r"closed before|not HTTP"):
            await pool.post(b"1", 5)
        broken = False
        assert await pool.post(b"2", 5) == (200, b"fine", None)


async def test_said_unasked() -> None:
    """Bytes that arrive between two requests end the connection and never become an answer."""
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
        assert await pool.post(b"a", 5) == (200, b"a", None)
        await said.wait()
        await asyncio.sleep(0.02)
        assert await pool.post(b"b", 5) == (200, b"b", None)
    assert len(peers) == 2


async def test_closed_pool() -> None:
    """Closing the pool makes the requests under way fail."""
    begun = asyncio.Event()

    async def never(peer: Peer) -> None:
        await peer.read()
        begun.set()
        await asyncio.sleep(5)

    async with serving(never) as (pool, _):
        request = asyncio.create_task(pool.post(b"", 5))
        await begun.wait()
        pool.close()
        with pytest.raises(ConnectionResetError):
            await request


@pytest.mark.parametrize(
    ("url", "first", "more"),
    [
        ("http://127.0.0.1:8899", "POST / HTTP/1.1", "Host: 127.0.0.1:8899"),
        ("https://rpc.example", "POST / HTTP/1.1", "Host: rpc.example"),
        ("http://h/a/b?key=1&x=%20", "POST /a/b?key=1&x=%20 HTTP/1.1", "Host: h"),
        ("http://[::1]:1/", "POST / HTTP/1.1", "Host: [::1]:1"),
        ("http://me:p%40ss@h:2/", "POST / HTTP/1.1", "Authorization: Basic bWU6cEBzcw=="),
    ],
)
def test_request_head(url: str, first: str, more: str) -> None:
    """A URL's path, host and credentials each go where HTTP wants them, and the Host line holds no password."""
    lines = request_head(Endpoint.parse(url)).decode().split("\r\n")
    assert lines[0] == first
    assert more in lines
    assert lines[-1] == "Content-Length: "
    assert not any("@" in line for line in lines)


@given(st.text())
def test_any_url(url: str) -> None:
    """Whatever text names the endpoint, the request has exactly one head."""
    try:
        found = Endpoint.parse(url)
    except ConfigError:
        return
    assert b"\r\n\r\n" not in request_head(found)


async def test_second_answer_in_one_segment() -> None:
    """A second answer behind the first one, whole or cut anywhere, never becomes the next request's result."""
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nSMUGGLED"

    async def evil(peer: Peer) -> None:
        cut = len(peers_cuts) + 1
        peers_cuts.append(cut)
        peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst" + smuggled[:cut])
        await peer.read()
        await peer.writer.drain()
        await peer.read()
        peer.writer.write(smuggled[cut:])

    async def polite(peer: Peer) -> None:
        body = await peer.read()
        peers_cuts.append(0)
        cut = len(peers_cuts)
        peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst" + smuggled[:cut])
        await peer.writer.drain()
        with contextlib.suppress(asyncio.IncompleteReadError):
            await peer.read()
            peer.writer.write(smuggled[cut:])
        assert body

    peers_cuts: list[int] = []
    async with serving(polite, connections=1) as (pool, peers):
        for _ in range(len(smuggled)):
            assert await pool.post(b"x", 5) == (200, b"first", None)
    assert len(peers) == len(smuggled)
    peers_cuts.clear()
    # a connection that answers before it is asked is not believed either
    async with serving(evil, connections=1) as (pool, _):
        with contextlib.suppress(OSError):
            assert (await pool.post(b"x", 5)).body != b"SMUGGLED"


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("beginning", "again", "says"),
    [
        (HEAD, b"X-Filler: " + b"a" * 1000 + b"\r\n", "head of more than"),
        (HEAD + b"X: ", b"a" * 4096, "head of more than"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "head of more than"),
        (HEAD + b"Content-Length: 99999999999\r\n\r\n", b"a" * 65536, "body of more than"),
        (
            HEAD + b"Content-Length: 9999999999999999999999999\r\n\r\n",
            b"a" * 65536,
            "not HTTP: Content-Length overflow",
        ),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"a" * 65536 + b"\r\n", "body of more than"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 999 + b"\r\na\r\n", "head of more than"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"Trailer: " + b"t" * 1000 + b"\r\n", "head of more"),
        (HEAD + b"\r\n", b"a" * 65536, "body of more than"),
    ],
)
async def test_limits(beginning: bytes, again: bytes, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless answer is given up at its size limit, before the deadline, whichever part of it is endless."""
    monkeypatch.setattr(http, "MAX_BODY_BYTES", 4 << 20)

    async def endless(peer: Peer) -> None:
        await peer.read()
        peer.writer.write(beginning)
        while True:
            peer.writer.write(again)
            await peer.writer.drain()
            # drain alone does not let other tasks run while the buffer has room
            await asyncio.sleep(0)

    async with asyncio.timeout(20), serving(endless) as (pool, _):
        with pytest.raises(OSError, match=says):
            await pool.post(b"x", 15)
        assert pool.held == 0


async def test_all_answers_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many large answers at once share one limit."""
    monkeypatch.setattr(http, "MAX_HELD_BYTES", 1 << 20)

    async def large(peer: Peer) -> None:
        await peer.read()
        peer.writer.write(HEAD + b"Content-Length: 500000\r\n\r\n" + b"a" * 400_000)
        await peer.reader.read(1)

    async with asyncio.timeout(5), serving(large) as (pool, _):
        requests = [asyncio.create_task(pool.post(b"x", 5)) for _ in range(4)]
        done, _ = await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(OSError, match="unfinished answers"):
            done.pop().result()
        pool.close()
        await asyncio.gather(*requests, return_exceptions=True)
        assert pool.held == 0


async def test_overdue_answer_closes_its_connection() -> None:
    """A request that gets no answer costs its deadline, and the next one uses a new connection."""
    swallowing = False

    async def gateway(peer: Peer) -> None:
        while True:
            body = await peer.read()
            if not swallowing:
                peer.answer(body)

    async with serving(gateway) as (pool, peers):
        # the pool keeps several connections
        await asyncio.gather(*(pool.post(b"%d" % number, 5) for number in range(3)))
        swallowing = True
        with pytest.raises(TimeoutError):
            await pool.post(b"lost", 0.1)
        swallowing = False
        assert (await pool.post(b"found", 5)).body == b"found"
    assert [b"found" in peer.bodies for peer in peers] == [False] * 3 + [True]


async def test_late_answers_do_not_starve_others() -> None:
    """Late answers occupy only their own connections; other requests pass."""

    async def late(peer: Peer) -> None:
        while True:
            body = await peer.read()
            await asyncio.sleep(0.3 if body == b"late" else 0)
            peer.answer(body)

    async with asyncio.timeout(5), serving(late, connections=32) as (pool, _):
        slow = [asyncio.create_task(pool.post(b"late", 5)) for _ in range(31)]
        await asyncio.sleep(0)
        assert (await pool.post(b"quick", 5)).body == b"quick"
        assert not any(task.done() for task in slow)
        await asyncio.gather(*slow)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"2", 2.0), (b"0", 0.0), (b"999999999999", 60.0), (b"Wed, 21 Oct 2026", None), (b"-1", None)],
)
async def test_retry_after(value: bytes, seconds: float | None) -> None:
    """The error carries the pause that the endpoint asks for, up to a limit."""

    async def busy(peer: Peer) -> None:
        peer.answer(await peer.read(), more=b"Retry-After: %b\r\n" % value)

    async with serving(busy) as (pool, _):
        assert await pool.post(b"x", 5) == (200, b"x", seconds)


async def test_unknown_host() -> None:
    """A host that does not exist raises OSError."""
    for host in ("no-such-host.invalid", "a" * 60 + ".invalid"):
        with pytest.raises(OSError, match=r"."):
            await Pool(Endpoint.parse(f"http://{host}/"), 1).post(b"", 5)
