"""Health and readiness, which are two things: a crank whose endpoint is gone is healthy and not ready.

*Healthy*: the loop turns, every frame that is due is attempted within a second, and no session stops for a minute
without a known reason. A restart may mend a crank that is not healthy. *Ready*: the crank is connected and
subscribed, has a fresh blockhash, and every session that should make frames makes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

STARTING = "starting"
PATIENCE_NS = 1_000_000_000
"""How long a due frame may go unattempted."""
STOPPED_NS = 60_000_000_000
"""How long a session may make no frames for no reason that the crank knows."""
STALLED_NS = 5_000_000_000
"""How long the loop may go without a turn before the next look reports it."""


class Health:
    """Decides from the daemon's reports whether it is healthy. Times are in ns on one monotonic clock."""

    def __init__(self, now: int) -> None:
        self._turned = now
        self._since: dict[str, tuple[int, int]] = {}
        """Session → the frame that is due and was not attempted, and when that was first seen."""
        self.stalled: dict[str, tuple[str, int]] = {}
        """Session → why it makes no frames, and since when."""
        self.unready = STARTING
        """Why the crank is not ready; empty when it is."""

    def turned(self, now: int, due: Mapping[str, int], unready: str, stalled: Mapping[str, str]) -> None:
        """Notes that the event loop has turned.

        Args:
            due: session → frame, for each frame that is due and could be computed, but was not sent yet.
            unready: why the crank is not ready; empty when it is.
            stalled: session → why it makes no frames, for each that stopped without an outside cause.
        """
        self._turned = now
        self.stalled = {session: (why, self.stalled.get(session, ("", now))[1]) for session, why in stalled.items()}
        self.unready = unready
        before = self._since
        self._since = {
            session: before[session] if before.get(session, (-1, 0))[0] == frame else (frame, now)
            for session, frame in due.items()
        }

    def problems(self, now: int) -> list[str]:
        """Why the crank is not healthy; empty when it is."""
        found = []
        if now - self._turned > STALLED_NS:
            found.append(f"the loop has not turned for {(now - self._turned) / 1e9:.1f} s")
        found += [
            f"session {session}: frame {frame} has been due for {(now - since) / 1e9:.1f} s without an attempt"
            for session, (frame, since) in self._since.items()
            if now - since >= PATIENCE_NS
        ]
        found += [
            f"session {session}: no frame for {(now - since) / 1e9:.0f} s: {why}"
            for session, (why, since) in self.stalled.items()
            if now - since >= STOPPED_NS
        ]
        return found

    def oldest_due_s(self, now: int) -> float:
        """For how long a due frame has gone unattempted, the longest of all sessions; 0 without one."""
        return max((now - since for _, since in self._since.values()), default=0) / 1e9


def summary(problems: Iterable[str]) -> str:
    """One line of several problems."""
    found = list(problems)
    return "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
