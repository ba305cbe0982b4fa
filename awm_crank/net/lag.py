"""Measures how far an endpoint's stream of notifications is behind its answers to requests, and vice versa.

A stream that is seconds late still delivers slots and so looks alive. Therefore its slots are compared with `getSlot`.
The lag is measured in seconds, without knowing how long a slot takes: it is the time since the faster side first showed
a slot that the slower side has not reached.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque

from ..errors import RpcError
from ..wire import jsonrpc
from .pubsub import PubSub
from .rpc import RpcClient

MAX_LAG_S = 2.0
"""A stream that is further behind is not believed: the connection is made again."""
PERIOD_S = 1.0
_PAUSE_FIRST_S = 5.0
_PAUSE_MAX_S = 60.0
_REMEMBERED_S = 120.0


class Pace:
    """When one side showed which slot, and how far another side is behind it."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def saw(self, now: float, slot: int) -> None:
        """Notes that this side shows this slot now."""
        if not self._seen or slot > self._seen[-1][1]:
            self._seen.append((now, slot))
        elif slot < self._seen[-1][1] - 1000:
            # another chain is behind the same address now, so the old slots no longer matter
            self._seen.clear()
            self._seen.append((now, slot))
        while len(self._seen) > 1 and now - self._seen[0][0] > _REMEMBERED_S:
            self._seen.popleft()

    def ahead_of(self, now: float, slot: int) -> float:
        """Seconds since this side first showed a slot later than `slot`; 0.0 if it has shown none."""
        return next((now - at for at, seen in self._seen if seen > slot), 0.0)


class StreamLag:
    """Compares a stream with its endpoint's answers while `run` runs.

    Args:
        rpc: the endpoint's HTTP client.
        pubsub: the endpoint's WebSocket client. It is reconnected when it is more than `max_lag_s` seconds behind. The
            pauses between reconnects grow while new connections are late, too.
    """

    def __init__(
        self, rpc: RpcClient, pubsub: PubSub, *, max_lag_s: float = MAX_LAG_S, period_s: float = PERIOD_S
    ) -> None:
        self._rpc, self._pubsub = rpc, pubsub
        self._max_lag_s, self._period_s = max_lag_s, period_s
        self._answers, self._stream = Pace(), Pace()
        self._late = 0
        self._pause_s = _PAUSE_FIRST_S
        self._not_before = 0.0
        self.lag_s = 0.0
        """Seconds that the stream is behind the answers."""
        self.answers_lag_s = 0.0
        """Seconds that the answers are behind the stream: they come from another node, or one that has stopped."""

    @property
    def problem(self) -> str:
        """Why the stream or the endpoint is late, for readiness; empty if neither is. It has no figures, so that it
        stays constant.
        """
        if self.lag_s > self._max_lag_s:
            return f"the stream of {self._pubsub.url} is more than {self._max_lag_s:g} s behind"
        if self.answers_lag_s > self._max_lag_s:
            return f"the answers of {self._rpc.url} are more than {self._max_lag_s:g} s behind its stream"
        return ""

    async def run(self) -> None:
        """Compares until cancelled."""
        while True:
            # Whether the endpoint answers at all is checked elsewhere. Without an answer, there is nothing to compare.
            with contextlib.suppress(RpcError):
                slot = await self._rpc.ask(jsonrpc.get_slot(), patience_s=0)
                self.compare(time.monotonic(), slot)
            await asyncio.sleep(self._period_s)

    def compare(self, now: float, slot: int) -> None:
        """Compares an answer to getSlot with the slots that the stream has shown so far."""
        stream = self._pubsub.slot
        self._answers.saw(now, slot)
        if stream:
            self._stream.saw(now, stream)
        connected = self._pubsub.connected
        self.lag_s = self._answers.ahead_of(now, stream) if connected and stream else 0.0
        self.answers_lag_s = self._stream.ahead_of(now, slot) if connected else 0.0
        if self.answers_lag_s > self._max_lag_s:
            # Another connection may lead to another node behind the same address.
            self._rpc.drop_idle()
        self._late = self._late + 1 if self.lag_s > self._max_lag_s else 0
        if self._late == 0 and self.lag_s < self._max_lag_s / 2 and now > self._not_before:
            self._pause_s = _PAUSE_FIRST_S
        if self._late > 1 and now >= self._not_before:
            self._not_before = now + self._pause_s
            self._pause_s = min(2 * self._pause_s, _PAUSE_MAX_S)
            self._late = 0
            self._pubsub.reconnect(f"its stream is {self.lag_s:.1f} s behind its answers")
