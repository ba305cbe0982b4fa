"""Decides whether there is room for one more session, given the configured limits and the load of machine and endpoint.

A session that there is no room for is refused with a reason, and served as soon as there is room. Sessions that are
already served come first. The load is measured while they run, so the operator need not know what a frame costs on this
machine.
"""

from __future__ import annotations

from typing import NamedTuple

from solders.pubkey import Pubkey

from ..config import CrankConfig

PERIOD_S = 1.0
"""Seconds between two measurements of the load."""
_SMOOTHING = 0.3
"""The weight of the newest measurement."""
_SLOW_SHARE, _QUICK_SHARE = 0.05, 0.02
"""Shares of frames that take longer than a period to land. Above the first, new sessions wait; below the second, they
are taken again. A busy host alone makes a percent late."""
_FIRST_TRIAL_NS, _LONGEST_TRIAL_NS = 10_000_000_000, 300_000_000_000
"""How long late frames keep a session out before it is taken all the same. The wait doubles with each one so taken."""
_MIN_FRAMES = 30
_KNOWN = 2
"""How many times `max_sessions` sessions are looked after, with those that wait for a deposit, rent or a model."""


class LoadSample(NamedTuple):
    """One measurement. All numbers are totals since the process started."""

    wall_ns: int
    cpu_ns: int
    frames: int
    slow: int
    """Frames that landed more than a period after they were sent."""


class Admission:
    """Decides which sessions are refused, and remembers the refused ones.

    Args:
        limits: `max_sessions`, `max_load_percent`.
    """

    def __init__(self, limits: CrankConfig) -> None:
        self._limits = limits
        self._last: LoadSample | None = None
        self._load = 0.0
        """The share of one core, smoothed."""
        self._serving = 0
        self._late = 0.0
        """The share of late frames, smoothed."""
        self._slow = False
        self._now = self._trial_at = 0
        self._trial_ns = _FIRST_TRIAL_NS
        self.refused: dict[Pubkey, bytes] = {}
        """Hidden-state account → its data, for sessions that wait for room."""

    def sampled(self, look: LoadSample, *, serving: int, opening: int) -> None:
        """Takes a measurement. Ignores it while sessions are being opened, because opening costs more than
        frames do.
        """
        last, self._last = self._last, look
        if last is None:
            return
        frames = look.frames - last.frames
        if frames >= _MIN_FRAMES:
            share = (look.slow - last.slow) / frames
            self._late += _SMOOTHING * (share - self._late)
        elif not frames:
            self._late = 0.0
        self._judge(look.wall_ns)
        if opening or look.wall_ns <= last.wall_ns:
            return
        load = (look.cpu_ns - last.cpu_ns) / (look.wall_ns - last.wall_ns)
        self._load = load if serving != self._serving else self._load + _SMOOTHING * (load - self._load)
        self._serving = serving

    def _judge(self, now: int) -> None:
        """Decides whether late frames keep new sessions out, and when to admit one in spite of them as a trial."""
        self._now = now
        if self._late > _SLOW_SHARE and not self._slow:
            self._slow, self._trial_at = True, now + self._trial_ns
        elif self._late < _QUICK_SHARE:
            self._slow, self._trial_ns = False, _FIRST_TRIAL_NS

    def took(self) -> None:
        """Notes that a session was admitted. If that was a trial in spite of late frames, the next trial waits
        longer.
        """
        if self._slow:
            self._trial_ns = min(2 * self._trial_ns, _LONGEST_TRIAL_NS)
            self._trial_at = self._now + self._trial_ns

    @property
    def load(self) -> float:
        """The load as last measured, as a share of one core."""
        return self._load

    def crowded(self, sessions: int, known: int) -> bool:
        """Whether there are as many sessions as may be.

        Args:
            sessions: being served or opened now.
            known: those, and the ones that wait for something of their own.
        """
        return sessions >= self._limits.max_sessions or known >= _KNOWN * self._limits.max_sessions

    def full(self, sessions: int, known: int = 0) -> tuple[str, str] | None:
        """Why a session beyond these is refused: a word for it, and the sentence; None: it is taken.

        Args:
            sessions: being served or opened now.
            known: those, and the ones that wait for something of their own.
        """
        limits = self._limits
        if known >= _KNOWN * limits.max_sessions:
            return "sessions", f"{known} sessions are served or wait; crank.max_sessions is {limits.max_sessions}"
        if sessions >= limits.max_sessions:
            return "sessions", f"{sessions} sessions are served, crank.max_sessions allows no more"
        if not self._serving or not limits.max_load_percent:
            return None
        wanted = self._load / self._serving * (sessions + 1)
        if wanted * 100 > limits.max_load_percent:
            return "load", (
                f"{self._serving} sessions take {self._load:.0%} of a core; with this one it would be {wanted:.0%}, "
                f"crank.max_load_percent allows {limits.max_load_percent}%"
            )
        if self._slow and self._now < self._trial_at:
            return "slow", f"{self._late:.0%} of the frames land later than a period after they were sent"
        return None

    def keep(self, key: Pubkey, data: bytes) -> bool:
        """Remembers a refused session. Returns whether it is new."""
        fresh = key not in self.refused
        self.refused[key] = data
        return fresh
