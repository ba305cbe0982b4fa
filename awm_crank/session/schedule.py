"""Decides when frames are due, and whether each tick was on time, late or missed (docs/session.md, "Ticks").

Tick k (k ≥ 1) is due at `t0 + k * period`. Each tick allows at most one frame. After a delay, the schedule does not
send several frames at once to catch up: it skips whole periods, and counts each tick that passed without a frame.
"""

from __future__ import annotations

SECOND_NS = 1_000_000_000
FRAMES_PER_SECOND = 60


class Schedule:
    """One session's ticks. Times are integer nanoseconds of one monotonic clock, passed as arguments.

    Args:
        period_us: microseconds from tick to tick; 0 means exactly one sixtieth of a second.
        phase: in ns. Ticks are due at `phase` plus whole periods of the clock, so that sessions with the same phase are
            due together. None: tick 1 is due when the schedule starts.

    A tick is *open* from the time it is due until its frame is sent or the next tick is due.
    """

    def __init__(self, period_us: int = 0, phase: int | None = None) -> None:
        # a fraction: a sixtieth of a second is not a whole number of nanoseconds, and rounding it would make the ticks
        # drift
        self._num, self._den = (period_us * 1000, 1) if period_us else (SECOND_NS, FRAMES_PER_SECOND)
        self._phase = phase
        self.t0: int | None = None
        self.tick = 0
        """The last tick that was due."""
        self.frame_tick = 0
        """The tick that the next frame belongs to."""
        self.open = False
        self.in_flight = False
        self.on_time = 0
        self.late = 0
        self.missed = 0

    def start(self, now: int) -> None:
        """Makes tick 1 due now, or at the next time that has the schedule's phase."""
        self.t0 = now - self._num // self._den
        if self._phase is not None:
            periods = -(-(now - self._phase) * self._den // self._num)
            # rounded up: if tick 1 were before now, it would be overdue at once
            self.t0 = self._phase - (-(periods * self._num) // self._den) - self._num // self._den
        self.tick = 0
        self.open = self.in_flight = False
        self.advance(now)

    @property
    def period_ns(self) -> float:
        """Nanoseconds from one tick to the next."""
        return self._num / self._den

    @property
    def resting(self) -> bool:
        """Whether there is nothing to do before the next tick."""
        return self.t0 is not None and not self.open and not self.in_flight

    def due(self, tick: int) -> int:
        """When tick `k` is due. Call it only after `start`."""
        assert self.t0 is not None
        return self.t0 + tick * self._num // self._den

    def next_due(self) -> int:
        """When the next tick is due. Call it only after `start`."""
        return self.due(self.tick + 1)

    def advance(self, now: int) -> None:
        """Counts all ticks that are due by now. Opens the last of them if no frame is in flight."""
        if self.t0 is None:
            return
        # the largest tick whose due time, rounded down to whole nanoseconds, is not after now
        last = -(-(now - self.t0 + 1) * self._den // self._num) - 1
        passed = last - self.tick
        if passed <= 0:
            return
        self.tick = last
        if self.in_flight:
            self.missed += passed
            return
        self.missed += passed if self.open else passed - 1
        self.open = True
        self.frame_tick = last

    def sent(self) -> None:
        """Notes that the frame of the open tick was sent."""
        self.open = False
        self.in_flight = True

    def landed(self, now: int) -> bool:
        """Notes that the frame in flight landed. Returns whether that was within one period after its tick."""
        # ticks that were due before the frame landed have passed without a frame
        self.advance(now)
        self.in_flight = False
        on_time = now <= self.due(self.frame_tick + 1)
        if on_time:
            self.on_time += 1
        else:
            self.late += 1
        return on_time
