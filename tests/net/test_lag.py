"""A stream that is seconds late is reported, even if slots keep arriving."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from awm_crank.net.lag import Pace, StreamLag
from awm_crank.net.pubsub import Disconnected, PubSub, SlotChanged
from awm_crank.net.rpc import RpcClient

if TYPE_CHECKING:
    from .conftest import Endpoint


class Stream:
    """The part of a PubSub that `StreamLag` uses."""

    url = "ws://here"

    def __init__(self) -> None:
        self.slot, self.connected = 0, True
        self.reasons: list[str] = []

    def reconnect(self, reason: str) -> None:
        self.reasons.append(reason)


class Answers:
    """The part of an RpcClient that `StreamLag` uses."""

    url = "http://here"

    def __init__(self) -> None:
        self.dropped = 0

    def drop_idle(self) -> None:
        self.dropped += 1


def watched(stream_late_s: float, answers_late_s: float, seconds: int, slots_per_s: float = 2.5) -> tuple[Any, ...]:
    """Compares once a second for about a minute. Both sides show the chain's slots, each with its own delay."""
    rpc, stream = Answers(), Stream()
    lag = StreamLag(rpc, stream)  # type: ignore[arg-type]
    for second in range(seconds):
        stream.slot = int(max(0.0, 1000 + (second - stream_late_s) * slots_per_s))
        lag.compare(100.0 + second, int(1000 + (second - answers_late_s) * slots_per_s))
    return lag, rpc, stream


@pytest.mark.parametrize("slots_per_s", [2.5, 20, 100])
@pytest.mark.parametrize("late_s", [0.0, 0.4, 1.0])
def test_in_time(late_s: float, slots_per_s: float) -> None:
    """A stream or answers that are slightly late are trusted, whatever the length of a slot."""
    for lag, rpc, stream in (watched(late_s, 0, 60, slots_per_s), watched(0, late_s, 60, slots_per_s)):
        assert (lag.problem, rpc.dropped, stream.reasons) == ("", 0, [])


@pytest.mark.parametrize("slots_per_s", [2.5, 20, 100])
def test_late_stream(slots_per_s: float) -> None:
    """A stream that is five seconds late is measured, logged and reconnected, with growing pauses."""
    lag, _, stream = watched(5, 0, 60, slots_per_s)
    assert 4.0 <= lag.lag_s <= 5.0
    assert lag.problem.startswith("the stream of ws://here is ")
    # after pauses of 5, 10, 20 and 40 seconds
    assert len(stream.reasons) == 4
    assert "s behind its answers" in stream.reasons[0]


def test_stream_that_stands_still() -> None:
    """Lag grows while the stream repeats the same slot."""
    rpc, stream = Answers(), Stream()
    lag = StreamLag(rpc, stream)  # type: ignore[arg-type]
    stream.slot = 1000
    for second in range(10):
        lag.compare(float(second), 1000 + second)
    assert lag.lag_s == 8.0
    # without a connection there is nothing to compare
    stream.connected = False
    lag.compare(10.0, 1010)
    assert (lag.lag_s, lag.problem) == (0.0, "")


def test_answers_that_stand_still() -> None:
    """When the answers stop while the stream moves, that is logged, and the next requests use other connections."""
    rpc, stream = Answers(), Stream()
    lag = StreamLag(rpc, stream)  # type: ignore[arg-type]
    for second in range(10):
        stream.slot = 1000 + second
        lag.compare(float(second), 1000)
    assert lag.answers_lag_s == 8.0
    assert "the answers of http://here are more than 2 s behind its stream" in lag.problem
    assert rpc.dropped > 0
    assert stream.reasons == []


def test_another_chain() -> None:
    """A validator that was replaced by a fresh one, with slots from 0, does not count as lagging for ever."""
    pace = Pace()
    pace.saw(0.0, 1_000_000)
    pace.saw(1.0, 5)
    assert pace.ahead_of(2.0, 5) == 0.0
    pace.saw(2.0, 6)
    assert pace.ahead_of(3.5, 5) == 1.5


def test_memory_is_bounded() -> None:
    """After an hour of samples, two minutes of them are kept."""
    pace = Pace()
    for second in range(3600):
        pace.saw(float(second), second)
    assert len(pace._seen) < 130


async def test_run(endpoint: Endpoint) -> None:
    """When an endpoint's answers run ahead of its stream, the stream is reconnected."""
    slot = 100

    def answer(body: Any) -> web.Response:
        nonlocal slot
        slot += 1
        return web.json_response({"id": body["id"], "result": slot})

    endpoint.answer = answer
    events: asyncio.Queue[Any] = asyncio.Queue()
    async with RpcClient(endpoint.http) as rpc, asyncio.timeout(10):
        pubsub = PubSub(endpoint.ws, events.put_nowait)
        pubsub.start()
        while not isinstance(await events.get(), SlotChanged):
            pass
        lag = StreamLag(rpc, pubsub, max_lag_s=0.05, period_s=0.02)
        task = asyncio.create_task(lag.run())
        while not isinstance(event := await events.get(), Disconnected):
            pass
        assert "behind its answers" in event.reason
        assert pubsub.failures["lagging"] == 1
        task.cancel()
        await pubsub.close()
