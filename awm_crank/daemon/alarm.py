"""Wakes the event loop at a given time, to the microsecond where the system can. The loop's own timers count
milliseconds.

uvloop and asyncio round a timer up to the next millisecond, counted from the loop's last look at the clock. With them,
a tick would start half a millisecond late on average, and the rounding would add jitter. On Linux, a timerfd is one
more file descriptor that the loop waits for, set to an absolute time. On other systems the loop's timers are used.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import time
from collections.abc import Callable

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_SECOND_NS = 1_000_000_000


class _Spec(ctypes.Structure):
    """`struct itimerspec`: the interval, which stays zero, and the time to ring."""

    _fields_ = (
        ("interval_s", ctypes.c_long), ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long), ("value_ns", ctypes.c_long),
    )  # fmt: skip


class Alarm:
    """Rings once, at a time on the clock of `time.monotonic_ns`, never early. It belongs to the loop that first sets
    it.

    Args:
        ring: called at that time.
        precise: whether a timerfd may be used.
    """

    def __init__(self, ring: Callable[[], object], *, precise: bool = True) -> None:
        self._ring_now = ring
        self._precise = precise
        self._when: int | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._descriptor = -1
        self._settime: Callable[..., int] | None = None
        self._spec = _Spec()
        self._spec_at = ctypes.byref(self._spec)

    def set(self, when: int) -> None:
        """Sets the time to ring; it replaces an earlier one. A time in the past rings soon. Call it only inside a
        running loop.
        """
        self._when = when
        if self._loop is None:
            self._open()
        if self._settime is not None:
            # a time of 0 would disarm the timer
            self._spec.value_s, self._spec.value_ns = divmod(max(when, 1), _SECOND_NS)
            self._settime(self._descriptor, _ABSOLUTE, self._spec_at, None)
            return
        if self._handle is not None:
            self._handle.cancel()
        assert self._loop is not None
        self._handle = self._loop.call_later(max(0, when - time.monotonic_ns()) / 1e9, self._woken)

    def cancel(self) -> None:
        """Cancels the alarm."""
        self._when = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def close(self) -> None:
        """Closes the file descriptor. The alarm can be set again afterwards."""
        self.cancel()
        if self._descriptor >= 0:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
        self._descriptor, self._settime, self._loop = -1, None, None

    def _open(self) -> None:
        self._loop = asyncio.get_running_loop()
        if not self._precise:
            return
        libc = ctypes.CDLL(None)
        if not hasattr(libc, "timerfd_create"):
            return
        descriptor = libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor < 0:
            return
        self._descriptor, self._settime = descriptor, libc.timerfd_settime
        self._loop.add_reader(descriptor, self._expired)

    def _expired(self) -> None:
        # it was set again in the meantime, and has not expired yet
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 8)
        self._woken()

    def _woken(self) -> None:
        when, self._handle = self._when, None
        if when is None:
            return
        if time.monotonic_ns() < when:
            # it was set to a later time in the meantime, or the loop's clock is too coarse and called too early
            self.set(when)
            return
        self._when = None
        self._ring_now()
