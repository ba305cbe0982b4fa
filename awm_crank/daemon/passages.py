"""For crash tests only: the process kills itself at a named point's n-th passage (docs/session.md, "Fault points")."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

_SOON_S = 0.0005


class Passages:
    """Counts passages of one point.

    Args:
        setting: `fault_kill_at`, "point:n"; empty for none.
    """

    def __init__(self, setting: str) -> None:
        self._point, _, count = setting.partition(":")
        self._left = int(count or 0)

    def at(self, point: str) -> None:
        """The path passes this point now."""
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                self._kill()

    def soon(self, point: str) -> None:
        """As `at`, but dies half a millisecond later, with a request under way."""
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                asyncio.get_running_loop().call_later(_SOON_S, self._kill)

    def _kill(self) -> None:
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
