"""Health and readiness, which are two things: a crank whose endpoint is gone is healthy and not ready.

*Healthy*: the loop turns, and no frame that is due and for which all is here has gone unattempted for a second. A
crank that is not healthy is better restarted. *Ready*: connected, subscribed, with a fresh blockhash; nothing that a
restart mends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

STARTING = "starting"
PATIENCE_NS = 1_000_000_000
"""How long a due frame may go unattempted."""
STALLED_NS = 5_000_000_000
"""How long the loop may go without a turn before a later look calls it stalled."""


class Health:
    """What the monitor saw, and what follows from it. Times are ns of one monotonic clock."""

    def __init__(self, now: int) -> None:
        self._turned = now
        self._since: dict[str, tuple[int, int]] = {}
        """session → the frame found due and unattempted, and when that was first seen"""
        self.unready = STARTING
        """why it is not ready; empty when it is"""

    def turned(self, now: int, due: Mapping[str, int], unready: str) -> None:
        """The loop turned.

        Args:
            due: session → frame, for all whose frame is due and not attempted although all it takes is here.
            unready: why the crank is not ready; empty when it is.
        """
        self._turned = now
        self.unready = unready
        before = self._since
        self._since = {
            session: before[session] if before.get(session, (-1, 0))[0] == frame else (frame, now)
            for session, frame in due.items()
        }

    def problems(self, now: int) -> list[str]:
        """Why it is not healthy; empty when it is."""
        found = []
        if now - self._turned > STALLED_NS:
            found.append(f"the loop has not turned for {(now - self._turned) / 1e9:.1f} s")
        found += [
            f"session {session}: frame {frame} has been due for {(now - since) / 1e9:.1f} s without an attempt"
            for session, (frame, since) in self._since.items()
            if now - since >= PATIENCE_NS
        ]
        return found

    def oldest_due_s(self, now: int) -> float:
        """For how long a due frame has gone unattempted, the longest of all sessions; 0 without one."""
        return max((now - since for _, since in self._since.values()), default=0) / 1e9


def summary(problems: Iterable[str]) -> str:
    """One line of several problems."""
    found = list(problems)
    return "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
