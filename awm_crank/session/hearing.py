"""Whether notifications still come: a session that misses several in a row subscribes again."""

from __future__ import annotations

from typing import Literal

from .commands import Watch
from .effects import Effects
from .settings import MILLISECOND

FIRST_LOOK_NS = 100 * MILLISECOND
"""How long a session waits for a notification before it reads the accounts. Each further read waits twice as long."""
_DEAF_LOOK_NS = 4 * MILLISECOND
"""The same while inputs are not notified: a quarter of a frame, because only reads show what the players press."""
Kind = Literal["frames", "inputs"]
_UNHEARD_READS = 3
"""Reads in a row that show what was not notified, before the subscriptions are replaced."""
_RESUBSCRIBE_NS = 5_000 * MILLISECOND
"""The shortest time between two replacements of the subscriptions."""


class Hearing:
    """Counts the notifications of one session that did not come."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self._unheard: dict[Kind, int] = {"frames": 0, "inputs": 0}
        """Of each kind, how many changes in a row a read showed that no notification had told."""
        self._resubscribed_at = effects.now

    def deaf(self, kind: Kind) -> bool:
        """Whether notifications of this kind have stopped, so that reads take their place."""
        return self._unheard[kind] >= _UNHEARD_READS

    def patience(self) -> int:
        """How long to wait for the next inputs before the accounts are read, in nanoseconds."""
        return _DEAF_LOOK_NS if self.deaf("inputs") else FIRST_LOOK_NS

    def heard(self, kind: Kind) -> None:
        """A notification came."""
        self._unheard[kind] = 0

    def missed(self, kind: Kind, frame: int) -> None:
        """A read showed something that was not notified.

        Args:
            frame: the session's frame, for the log.
        """
        effects = self._effects
        self._unheard[kind] += 1
        if self.deaf(kind) and effects.now - self._resubscribed_at >= _RESUBSCRIBE_NS:
            self._resubscribed_at = effects.now
            effects.counters.resubscriptions += 1
            effects.log("warning", "notifications are missing: subscribing again", of=kind, frame=frame)
            effects.emit(Watch(every_change=False, distrust=True))
