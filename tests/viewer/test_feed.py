"""The frame feed sends each match with its start, each of its frames once and in order, and its end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from client.localnet import Arena
from client.localnet import arena as start
from solders.pubkey import Pubkey

from awm_crank.errors import ConfigError
from awm_crank.match.file import frame_object
from awm_crank.viewer import feed as feed_module
from awm_crank.viewer.feed import Backlog, Feed, Follower
from awm_crank.wire import ids
from awm_crank.wire.accounts import ACTIVE, ENDED, WAITING_PLAYERS, SessionState
from awm_crank.wire.start import start_players

ONE, OTHER = str(Pubkey.new_unique()), str(Pubkey.new_unique())


def session(frame: int, status: int = ACTIVE) -> bytes:
    """A session account at some frame."""
    keys = [Pubkey.new_unique() for _ in range(4)]
    return SessionState(
        status, frame, 0, keys[0], keys[1], 32, start_players(1, 2), keys[2], 0, 0, 7, keys[3], keys[0],
        keys[1], frame, 300, ids.WORLD,
    ).encode()  # fmt: skip


@dataclass
class Case:
    """A sequence of accounts, and the expected messages: the number of each frame, and the starts and ends of
    matches.
    """

    named: str
    seen: list[tuple[str, int, int]]
    sent: list[str | int]


@pytest.mark.parametrize(
    "case",
    [
        Case("", [(ONE, 1, ACTIVE), (ONE, 1, ACTIVE), (ONE, 2, ACTIVE)], [f"start {ONE}", 1, 2]),
        Case("", [(ONE, 5, ACTIVE), (OTHER, 9, ACTIVE), (ONE, 6, ACTIVE)], [f"start {ONE}", 5, 6]),
        Case(
            "", [(ONE, 5, ACTIVE), (ONE, 6, ENDED), (ONE, 6, ENDED), (OTHER, 1, ACTIVE)],
            [f"start {ONE}", 5, 6, "end 6", f"start {OTHER}", 1],
        ),
        Case("", [(ONE, 0, WAITING_PLAYERS), (OTHER, 3, ENDED)], []),
        Case(
            OTHER, [(ONE, 5, ACTIVE), (OTHER, 2, ACTIVE), (OTHER, 2, ENDED), (OTHER, 3, ENDED)],
            [f"start {OTHER}", 2, "end 2", 3],
        ),
        Case(OTHER, [(OTHER, 7, ENDED)], [f"start {OTHER}", 7, "end 7"]),
        Case("", [(ONE, 5, ACTIVE), (ONE, 4, ACTIVE)], [f"start {ONE}", 5]),
    ],
)  # fmt: skip
def test_one_session_is_followed(case: Case) -> None:
    """The feed follows the named session, or the live one and then the next.

    A match begins and ends once, and no frame comes twice, or after a later one.
    """
    follower = Follower(case.named)
    sent: list[str | int] = []
    for key, frame, status in case.seen:
        for message in map(msgspec.json.decode, follower.take(key, session(frame, status))):
            if message.get("type") == "match_start":
                sent.append(f"start {message['meta']['session']}")
            elif message.get("type") == "match_end":
                sent.append(f"end {message['total_frames']}")
            else:
                assert message == frame_object(start_players(1, 2), 32)
                sent.append(follower.frame)
    assert sent == case.sent


def test_new_reader_is_told_the_match() -> None:
    """A reader that connects later gets the match's start, its last frame and, if the match is over, its end."""
    follower = Follower()
    assert follower.greeting() == []
    first = follower.take(ONE, session(4))
    assert follower.greeting() == first
    (frame,) = follower.take(ONE, session(5))
    (end,) = follower.take(ONE, session(5, ENDED))
    assert follower.greeting() == [first[0], frame, end]
    assert [b'"match_id":1' in message for message in follower.greeting()] == [True, False, True]
    assert b'"match_id":2' in follower.take(OTHER, session(1))[0]


def test_closed_session_ends_its_match() -> None:
    """If a session's account is closed before the feed saw its end, the match ends, and the feed follows the
    next one.
    """
    follower = Follower()
    assert follower.gone() == []
    follower.take(ONE, session(4))
    (end,) = follower.gone()
    assert (msgspec.json.decode(end)["total_frames"], follower.gone()) == (4, [])
    assert len(follower.take(OTHER, session(1))) == 2


async def test_slow_reader_loses_frames_only() -> None:
    """A reader that is behind misses the oldest frames, and no start and no end."""
    backlog = Backlog()
    backlog.put(b'{"type":"match_start"}')
    for number in range(200):
        backlog.put(b'{"players":%d}' % number)
    backlog.put(b'{"type":"match_end"}')
    got = [await backlog.get() for _ in range(120)]
    assert got[0] == b'{"type":"match_start"}'
    assert got[1] == b'{"players":82}'
    assert got[-2:] == [b'{"players":199}', b'{"type":"match_end"}']


@pytest.mark.parametrize("data", [b"", bytes(266), session(1)[:-1]])
def test_what_is_no_session_is_left_alone(data: bytes) -> None:
    """Other accounts, closed ones and other layouts send nothing."""
    assert Follower().take(ONE, data) == []


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    """A localnet with a world and a small published model."""
    with start() as made:
        yield made


async def test_spectators_get_each_frame(arena: Arena) -> None:
    """Over a real chain, every frame's players arrive in order as JSON, and a second reader begins with the
    match's start and its last frame.
    """
    async with (
        Feed(arena.net.ws, port=0) as feed, arena.chain() as chain, aiohttp.ClientSession() as http,
        http.ws_connect(feed.url) as first,
    ):  # fmt: skip
        playing = asyncio.create_task(arena.played(chain, 5))
        frames: list[Any] = []
        async with asyncio.timeout(60):
            start = json.loads((await first.receive()).data)
            while len(frames) < 6:
                frames.append(json.loads((await first.receive()).data))
        made, crank, *_ = await playing
        assert (start["type"], start["meta"]["session"]) == ("match_start", str(made.session))
        assert frames[0] == frame_object(start_players(2, 20), 32)
        (data,) = await chain.accounts([made.session])
        assert data is not None
        last = frame_object(SessionState.decode(data.data).players, 32)
        assert frames[5] == last
        async with http.ws_connect(feed.url + "any/path") as second, asyncio.timeout(10):
            assert json.loads((await second.receive()).data) == start
            assert json.loads((await second.receive()).data) == last
            await crank.frames(1)
            assert json.loads((await first.receive()).data) == json.loads((await second.receive()).data) != last


async def test_taken_port() -> None:
    """The message about a port in use names the option to change it."""
    async with Feed("ws://127.0.0.1:9", port=0) as feed:
        port = int(feed.url.rstrip("/").rpartition(":")[2])
        with pytest.raises(ConfigError, match=f"port {port}.*another --feed-port"):
            async with Feed("ws://127.0.0.1:9", port=port):
                pass


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [
        (None, True), ("http://localhost:5173", True), ("https://show.example", True),
        ("https://evil.example", False), ("null", False),
    ],
)  # fmt: skip
async def test_origin(origin: str | None, welcome: bool) -> None:
    """Programs, pages of this machine and the named sites may read the feed; a stranger's page may not."""
    async with Feed("ws://127.0.0.1:9", port=0, names=["show.example"]) as feed, aiohttp.ClientSession() as http:
        if welcome:
            async with http.ws_connect(feed.url, origin=origin) as socket:
                assert not socket.closed
        else:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await http.ws_connect(feed.url, origin=origin)


async def test_readers_have_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of readers is limited, and a reader that sends too much is disconnected."""
    monkeypatch.setattr(feed_module, "MAX_READERS", 2)
    async with Feed("ws://127.0.0.1:9", port=0) as feed, aiohttp.ClientSession() as http, asyncio.timeout(10):
        first, second = await http.ws_connect(feed.url), await http.ws_connect(feed.url)
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            await http.ws_connect(feed.url)
        await first.send_str("x" * 5000)
        assert (await first.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        await first.close()
        while True:
            with contextlib.suppress(aiohttp.WSServerHandshakeError):
                await (await http.ws_connect(feed.url)).close()
                break
        await second.close()


async def test_silent_subscription(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session whose notifications stop is read instead, so its frames still arrive."""
    monkeypatch.setattr(feed_module, "_QUIET_S", 0.05)
    frame = 3

    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        data = [base64.b64encode(session(frame)).decode(), "base64"]
        account = {"data": data, "owner": ONE, "lamports": 1}
        result = 5 if body["method"] == "getSlot" else {"context": {"slot": 1}, "value": account}
        return web.json_response({"id": body["id"], "result": result})

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    rpc = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with (
        asyncio.timeout(10), Feed("ws://127.0.0.1:9", rpc=rpc, session=ONE, port=0) as feed,
        aiohttp.ClientSession() as http, http.ws_connect(feed.url) as reader,
    ):  # fmt: skip
        assert (await reader.receive_json())["type"] == "match_start"
        assert (await reader.receive_json())["stage"] == 32
        frame = 4
        assert (await reader.receive_json())["stage"] == 32
    await runner.cleanup()
