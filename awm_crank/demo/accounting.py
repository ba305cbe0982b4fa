"""Defines on time, late, missed and latency, as a class without clock or socket.

All times are seconds on one clock, the observer's. Tick k (k ≥ 1) is due at `t0 + k * period`. `t0` is the schedule
that the crank reports, so a frame is measured against the time that the crank promised.

A frame belongs to the first tick after the previous frame's tick for which two things hold: the previous frame had
landed by then, and the frame's last input was notified before the end of that tick's period. Every tick in between is
missed.

A delayed observer may see a frame after a tick that the crank served in time, and so give later frames too late a tick.
This shows as soon as a frame lands before its tick. Then the frames before it move back by as much: they count as late,
and the tick does not count as missed. The frames of a crank that catches up in bursts count as late, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

FRAMES_PER_SECOND = 60
PERIOD_S = 1 / FRAMES_PER_SECOND
# Clock readings and t0 pass through floats and JSON. A microsecond is far below anything measured here.
_EPSILON_S = 1e-6


@dataclass(frozen=True, slots=True)
class JudgedFrame:
    """The verdict on one frame. `latency_s` runs from the later of (tick due, last input notified) to landed."""

    number: int
    tick: int
    landed_at: float
    latency_s: float
    on_time: bool
    input_at: float | None


@dataclass(slots=True)
class Tally:
    """Counts over one or more matches."""

    frames: int = 0
    on_time: int = 0
    late: int = 0
    missed: int = 0
    latencies_s: list[float] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Adds another match's counts to these."""
        self.frames += other.frames
        self.on_time += other.on_time
        self.late += other.late
        self.missed += other.missed
        self.latencies_s.extend(other.latencies_s)


def percentile(values: list[float], fraction: float) -> float:
    """The nearest-rank percentile: the smallest value with at least `fraction` of all values at or below it.

    The result is a value that was really measured. Without values it is 0.
    """
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(fraction * len(values)) - 1)]


class MatchAccounting:
    """Judges the frames of one match as they land.

    Call `input_notified` and `landed` in the order of the notifications. Events are kept until `set_schedule` is
    called, and judged at once from then on.
    """

    def __init__(self, period_s: float = PERIOD_S) -> None:
        self.period_s = period_s
        self.tally = Tally()
        self.judged: list[JudgedFrame] = []
        self.faults: list[str] = []
        """a sentence for each frame that came out of order, twice, or after a gap; empty for a good match"""
        self._t0: float | None = None
        self._inputs: dict[int, float] = {}
        self._waiting: list[tuple[int, float]] = []
        self._last_number = 0

    @property
    def last_frame(self) -> int:
        """The number of the last frame that landed in order; 0 before the first."""
        return self._last_number

    def set_schedule(self, t0: float) -> None:
        """Sets t0 (tick k is due at `t0 + k * period`, on the observer's clock) and judges the events kept so far."""
        self._t0 = t0
        waiting, self._waiting = self._waiting, []
        for number, at in waiting:
            self._judge(number, at)

    def input_notified(self, frame: int, at: float) -> None:
        """Records that the last input of `frame` was notified at `at`. Repeated notifications are ignored."""
        self._inputs.setdefault(frame, at)

    def landed(self, frame: int, at: float) -> None:
        """Records that the chain showed `frame` at `at`. A repeated frame is ignored; a gap or step back is a fault."""
        if frame == self._last_number:
            return
        if frame != self._last_number + 1:
            self.faults.append(f"frame {frame} was seen after frame {self._last_number}")
        if frame < self._last_number:
            return
        self._last_number = frame
        if self._t0 is None:
            self._waiting.append((frame, at))
        else:
            self._judge(frame, at)

    def _tick_at_or_after(self, at: float) -> int:
        assert self._t0 is not None
        return math.ceil((at - self._t0 - _EPSILON_S) / self.period_s)

    def _tick_at_or_before(self, at: float) -> int:
        assert self._t0 is not None
        return math.floor((at - self._t0 + _EPSILON_S) / self.period_s)

    def _judge(self, number: int, at: float) -> None:
        before = self.judged[-1] if self.judged else None
        last_tick = before.tick if before else 0
        input_at = self._inputs.pop(number, None)
        tick = last_tick + 1
        if before is not None:
            tick = max(tick, self._tick_at_or_after(before.landed_at))
        if input_at is not None:
            tick = max(tick, self._tick_at_or_before(input_at))
        tick = min(tick, max(1, self._tick_at_or_before(at)))
        self._move_back(tick)
        self.judged.append(self._frame(number, tick, at, input_at))
        self.tally.latencies_s.append(self.judged[-1].latency_s)
        self._count(self.judged[-1], 1)

    def _move_back(self, tick: int) -> None:
        """Makes room for a frame at `tick`: frames at this tick or later move before it."""
        for index in range(len(self.judged) - 1, -1, -1):
            frame = self.judged[index]
            tick -= 1
            if frame.tick <= tick:
                return
            self._count(frame, -1)
            self.judged[index] = frame = self._frame(frame.number, tick, frame.landed_at, frame.input_at)
            self.tally.latencies_s[index] = frame.latency_s
            self._count(frame, 1)

    def _frame(self, number: int, tick: int, at: float, input_at: float | None) -> JudgedFrame:
        assert self._t0 is not None
        due = self._t0 + tick * self.period_s
        latency = at - (due if input_at is None else max(due, input_at))
        return JudgedFrame(number, tick, at, latency, at <= due + self.period_s + _EPSILON_S, input_at)

    def _count(self, frame: JudgedFrame, by: int) -> None:
        tally = self.tally
        tally.frames += by
        if frame.on_time:
            tally.on_time += by
        else:
            tally.late += by
        # all ticks up to the last frame's, minus those with a frame
        tally.missed = max(0, self.judged[-1].tick - len(self.judged))
