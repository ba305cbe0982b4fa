"""Stream lag: a stream that is seconds late is not believed, however alive it looks."""

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
    """What `StreamLag` needs of a PubSub."""

    url = "ws://here"

    def __init__(self) -> None:
        self.slot, self.connected = 0, True
        self.reasons: list[str] = []

    def reconnect(self, reason: str) -> None:
        self.reasons.append(reason)


class Answers:
    """What `StreamLag` needs of an RpcClient."""

    url = "http://here"

    def __init__(self) -> None:
        self.dropped = 0

    def drop_idle(self) -> None:
        self.dropped += 1


def watched(stream_late_s: float, answers_late_s: float, seconds: int, slots_per_s: float = 2.5) -> tuple[Any, ...]:
    """A minute or so of comparing, once a second; both sides show the chain's slots, each as late as it is."""
    rpc, stream = Answers(), Stream()
    lag = StreamLag(rpc, stream)  # type: ignore[arg-type]
    for second in range(seconds):
        stream.slot = int(max(0.0, 1000 + (second - stream_late_s) * slots_per_s))
        lag.compare(100.0 + second, int(1000 + (second - answers_late_s) * slots_per_s))
    return lag, rpc, stream


@pytest.mark.parametrize("slots_per_s", [2.5, 20, 100])
@pytest.mark.parametrize("late_s", [0.0, 0.4, 1.0])
def test_in_time(late_s: float, slots_per_s: float) -> None:
    """A stream, or answers, that are a little late are believed, whatever a slot takes."""
    for lag, rpc, stream in (watched(late_s, 0, 60, slots_per_s), watched(0, late_s, 60, slots_per_s)):
        assert (lag.problem, rpc.dropped, stream.reasons) == ("", 0, [])


@pytest.mark.parametrize("slots_per_s", [2.5, 20, 100])
def test_late_stream(slots_per_s: float) -> None:
    """A stream five seconds late is measured as that, named, and made again, less and less often."""
    lag, _, stream = watched(5, 0, 60, slots_per_s)
    assert 4.0 <= lag.lag_s <= 5.0
    assert lag.problem.startswith("the stream of ws://here is ")
    # after 5, 10, 20 and 40 seconds' pause
    assert len(stream.reasons) == 4
    assert "s behind its answers" in stream.reasons[0]


def test_stream_that_stands_still() -> None:
    """Lag grows while the stream shows the same slot."""
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
    """Answers that do not move while the stream does are named, and the next ones asked over other connections."""
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
    """A validator that was replaced by a fresh one, with slots from 0, is not seconds of lag for ever."""
    pace = Pace()
    pace.saw(0.0, 1_000_000)
    pace.saw(1.0, 5)
    assert pace.ahead_of(2.0, 5) == 0.0
    pace.saw(2.0, 6)
    assert pace.ahead_of(3.5, 5) == 1.5


def test_memory_is_bounded() -> None:
    """An hour of samples leaves two minutes of them."""
    pace = Pace()
    for second in range(3600):
        pace.saw(float(second), second)
    assert len(pace._seen) < 130


async def test_run(endpoint: Endpoint) -> None:
    """Against an endpoint whose answers run ahead of its stream: the connection is made again."""
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
