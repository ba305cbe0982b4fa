"""HTTP: a stream gives the same requests however it is split, and no stream breaks the parser."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.localnet.http1 import MAX_BODY_BYTES, MAX_HEAD_BYTES, HttpError, HttpRequest, RequestParser, response

BODY = b'{"jsonrpc":"2.0"}'
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
POST = HEAD % len(BODY) + BODY
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n, world...\r\n0\r\n\r\n"
OFFER = (
    b"POST /h2c HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
    b"Content-Length: 5\r\n\r\nfirst"
)
GET = b"GET /health HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"


def parse(*parts: bytes) -> list[HttpRequest]:
    """All requests of a stream that arrives in parts."""
    parser = RequestParser()
    found = []
    for part in parts:
        parser.feed(part)
        while (request := parser.next()) is not None:
            found.append(request)
    return found


@given(st.lists(st.integers(0, len(POST + OFFER + CHUNKED + GET)), max_size=8))
def test_splits(cuts: list[int]) -> None:
    """Pipelined requests come out whole wherever the stream was cut, and an offer of HTTP/2 is ignored."""
    stream = POST + OFFER + CHUNKED + b"\r\n" + GET
    edges = [0, *sorted(cuts), len(stream)]
    found = parse(*(stream[start:end] for start, end in pairwise(edges)))
    assert [request.body for request in found] == [BODY, b"first", b"hello, world...", b""]
    assert [request.keep_alive for request in found] == [True] * 4
    assert found[3].target == b"/health"


@given(st.binary(max_size=200))
def test_noise(data: bytes) -> None:
    """Any bytes give requests, nothing yet, or an HttpError with a 4xx or 5xx status."""
    for stream in (data, POST[:40] + data, CHUNKED[:50] + data):
        try:
            parse(stream)
        except HttpError as error:
            assert 400 <= error.status < 600


@pytest.mark.parametrize(
    ("stream", "status"),
    [
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nspace : x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1_0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), 413),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n" + bytes(MAX_BODY_BYTES + 1), 413),
        (b"A" * (MAX_HEAD_BYTES + 1), 400),
        (b"GET /" + b"a" * MAX_HEAD_BYTES, 431),
        (b"CONNECT a:443 HTTP/1.1\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n", 431),
    ],
)
def test_refusals(stream: bytes, status: int) -> None:
    """Each kind of malformed request has its status."""
    with pytest.raises(HttpError) as caught:
        parse(stream)
    assert caught.value.status == status


def test_close_is_heard() -> None:
    """`Connection: close`, and HTTP/1.0 without keep-alive, end the connection."""
    assert not parse(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")[0].keep_alive
    assert not parse(b"GET / HTTP/1.0\r\n\r\n")[0].keep_alive


def test_expect_is_noticed() -> None:
    """The parser reports a client that waits for 100 Continue before its body has arrived."""
    parser = RequestParser()
    parser.feed(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert parser.next() is None
    assert parser.wants_continue


def test_endless_header_is_refused_while_it_comes() -> None:
    """An endless header is refused at the limit, so that it cannot fill the memory; a large body is allowed."""
    parser = RequestParser()
    parser.feed(b"GET / HTTP/1.1\r\nx: ")
    with pytest.raises(HttpError) as caught:
        for _ in range(MAX_HEAD_BYTES):
            parser.feed(b"aa")
            parser.next()
    assert caught.value.status == 431
    body = bytes(4 * MAX_HEAD_BYTES)
    assert [request.body for request in parse(HEAD % len(body) + body, POST[:20], POST[20:])] == [body, BODY]


def test_rest_is_kept() -> None:
    """Bytes that follow a WebSocket request are kept for that protocol."""
    parser = RequestParser()
    parser.feed(b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x80")
    assert parser.next() is not None
    assert parser.rest() == b"\x81\x80"


def test_response() -> None:
    """An answer has its length and type, and lets pages of any origin read it."""
    head, _, body = response(200, b"{}", keep_alive=False).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: 2" in head
    assert b"Access-Control-Allow-Origin: *" in head
    assert b"Connection: close" in head
    assert body == b"{}"
