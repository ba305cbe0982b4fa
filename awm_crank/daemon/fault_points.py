"""For crash tests only: the process kills itself when it reaches a named point for the n-th time.

docs/session.md lists the points under "Fault points".
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

_SOON_S = 0.0005


class FaultPoints:
    """Kills the process at a chosen point, for tests.

    Args:
        setting: `fault_kill_at`. `claim:2` kills the process when it reaches `claim` for the second time. Empty never
            kills it.
    """

    def __init__(self, setting: str) -> None:
        self._point, _, count = setting.partition(":")
        self._left = int(count or 0)

    def at(self, point: str) -> None:
        """Notes that the process has reached this point, and kills it if its count is reached."""
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                self._kill()

    def soon(self, point: str) -> None:
        """Like `at`, but the process dies half a millisecond later, while a request is being sent."""
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                asyncio.get_running_loop().call_later(_SOON_S, self._kill)

    def _kill(self) -> None:
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
