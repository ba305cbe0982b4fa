"""The daemon's counters and latency percentiles, as plain values for the log and for `--stats`."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import msgspec

from ..session.commands import Landed
from ..session.machine import SessionMachine

_KEPT = 16_384
_PERCENTILES = (50, 90, 99, 100)
BUCKETS_MS = (0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8, 12, 16.667, 25, 50, 100, 250, 500, 1000, 5000)
"""Upper bounds of the histograms' buckets."""
_BOUNDS_NS = tuple(round(bound * 1e6) for bound in BUCKETS_MS)


class Latencies:
    """Durations of one stage, in ns: the last 16,384 of them, and count, sum and histogram of all."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0
        self.buckets = [0] * (len(_BOUNDS_NS) + 1)
        """Durations between each bound of BUCKETS_MS and the one before; the last counts those above all."""
        self._values: deque[int] = deque(maxlen=_KEPT)

    def add(self, nanoseconds: int) -> None:
        """Adds a duration, in ns."""
        self.count += 1
        self.sum += nanoseconds
        self.buckets[bisect_left(_BOUNDS_NS, nanoseconds)] += 1
        self._values.append(nanoseconds)

    def report(self) -> dict[str, float]:
        """Milliseconds by percentile (nearest rank); empty if there are no durations."""
        values = sorted(self._values)
        if not values:
            return {}
        ranks = {f"p{p}": values[max(0, math.ceil(p / 100 * len(values)) - 1)] for p in _PERCENTILES}
        return {name: round(value / 1e6, 3) for name, value in ranks.items()}


class Stats:
    """Everything that the daemon counts. Sessions that have left stay counted."""

    def __init__(self) -> None:
        self.step = Latencies()
        self.sign = Latencies()
        self.send = Latencies()
        self.land = Latencies()
        self.tick = Latencies()
        self.loop_lag = Latencies()
        self.timer_lag = Latencies()
        self.decide = Latencies()
        self.known = Latencies()
        self.disconnections = 0
        self.journal_failures = 0
        self.refused_frames = 0
        self.slow_frames = 0
        """Frames that landed more than a period after they were sent."""
        self.refused_sessions: dict[str, int] = {}
        """reason (`sessions`, `load`, `endpoint`, `rent`, `budget`) → how many sessions were refused for it"""
        self._gone: dict[str, Any] = {}
        self.released = {"ended": 0, "error": 0}
        """How many sessions were let go: because of an error of the crank, or for any other reason."""

    def landed(self, frame: Landed) -> None:
        """A frame landed."""
        self.land.add(frame.landed_at - frame.sent_at)
        self.tick.add(frame.landed_at - frame.tick_due)
        self.decide.add(frame.sent_at - frame.ready_at)
        self.known.add(frame.known_at - frame.wanted_at)

    def refuse(self, reason: str) -> None:
        """A session is not served yet, since there is no room or no rent for it."""
        self.refused_sessions[reason] = self.refused_sessions.get(reason, 0) + 1

    def gone(self, machine: SessionMachine, *, error: bool = False) -> None:
        """Counts a session that is no longer served. `error`: an error of the crank was the reason."""
        self.released["error" if error else "ended"] += 1
        _add(self._gone, _counts(machine))

    @property
    def stages(self) -> dict[str, Latencies]:
        """Maps a stage's name to its durations: `step` (backbone), `sign` (frame), `send` (request to answer),
        `send_to_land`, `tick_to_land`.
        """
        return {
            "step": self.step, "sign": self.sign, "send": self.send, "send_to_land": self.land,
            "tick_to_land": self.tick,
        }  # fmt: skip

    def journal_failed(self) -> None:
        """Something could not be written to the journal."""
        self.journal_failures += 1

    def counts(self, machines: Iterable[SessionMachine]) -> dict[str, Any]:
        """Counters summed over all sessions, those that are gone included."""
        counts: dict[str, Any] = {"sessions": 0, "sessions_ended": sum(self.released.values())}
        _add(counts, self._gone)
        for machine in machines:
            counts["sessions"] += 1
            _add(counts, _counts(machine))
        return {
            **counts, "disconnections": self.disconnections,
            "journal_failures": self.journal_failures, "refused_frames": self.refused_frames,
            "slow_frames": self.slow_frames, "refused_sessions": dict(self.refused_sessions),
        }  # fmt: skip

    def report(self, machines: Iterable[SessionMachine]) -> dict[str, Any]:
        """The counters, and percentiles by stage in ms."""
        stages = {
            **self.stages, "ready_to_sent": self.decide, "wanted_to_known": self.known, "timer_lag": self.timer_lag,
            "loop_lag": self.loop_lag,
        }  # fmt: skip
        return {**self.counts(machines), "latency_ms": {name: stage.report() for name, stage in stages.items()}}


class Gauges:
    """Numbers that other parts set, and that metrics read at each scrape."""

    def __init__(self) -> None:
        self.ready = False
        self.healthy = True
        self.oldest_due_s = 0.0
        self.stalled = 0
        """Sessions that make no frames although they should, for no reason that the crank knows."""
        self.balance: int | None = None
        """Lamports; None until the endpoint has answered."""
        self.mqtt_connected: bool | None = None
        """None without a broker"""
        self.mqtt_published = 0
        self.mqtt_dropped = 0


class Budget(NamedTuple):
    """The current state of a budget, in lamports."""

    name: str
    limit: int
    spent: int
    waiting: int
    """What the matches that wait for this budget would cost."""


class ObservedEndpoint(Protocol):
    """The parts of the sessions' endpoint that metrics read."""

    def blockhash_age_s(self) -> float:
        """Seconds since it last gave another blockhash; infinite before the first."""

    def stream_lag_s(self) -> float:
        """Seconds that its notifications are behind its answers."""

    def failures(self) -> dict[tuple[str, str], int]:
        """How often a request or a connection failed, by side and kind."""


class Observed(Protocol):
    """The parts of the daemon that metrics and health read."""

    stats: Stats

    @property
    def endpoint(self) -> ObservedEndpoint:
        """The endpoint that sessions are on."""

    def machines(self) -> Iterable[SessionMachine]:
        """The machines of all sessions served."""

    def queues(self) -> dict[str, int]:
        """Queue → how many are in it."""

    def waiting(self) -> dict[str, int]:
        """Reason → sessions that wait for it without a machine of their own."""

    def budgets(self) -> Iterable[Budget]:
        """The current state of each budget that has a limit."""

    def engine_path(self) -> str:
        """The engine's instruction set; empty before the first model."""


def _counts(machine: SessionMachine) -> dict[str, Any]:
    schedule = machine.schedule
    ticks = {"on_time": schedule.on_time, "late": schedule.late, "missed": schedule.missed}
    return {**msgspec.structs.asdict(machine.counters), **ticks}


def _add(total: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict):
            _add(total.setdefault(name, {}), value)
        else:
            total[name] = total.get(name, 0) + value
