"""Wakes the loop at one moment, to the microsecond where the system can. An event loop's own timers count milliseconds.

uvloop and asyncio round a timer up to the next millisecond, counted from when the loop last looked at the clock; a tick
would start half a millisecond late on average, and its jitter would be the rounding's. On Linux a timerfd is one more
descriptor that the loop waits for, armed at an absolute time. Elsewhere the loop's timers have to do.
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
    """`struct itimerspec`: the interval, which stays zero, and the moment."""

    _fields_ = (
        ("interval_s", ctypes.c_long), ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long), ("value_ns", ctypes.c_long),
    )  # fmt: skip


class Alarm:
    """Rings once at a moment on `time.monotonic_ns`'s clock, in the loop that first set it, never before that moment.

    Args:
        ring: called when the moment has come.
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
        """Rings at that moment and at none set before; soon where it has passed. Only inside a running loop."""
        self._when = when
        if self._loop is None:
            self._open()
        if self._settime is not None:
            # a moment of 0 would disarm it
            self._spec.value_s, self._spec.value_ns = divmod(max(when, 1), _SECOND_NS)
            self._settime(self._descriptor, _ABSOLUTE, self._spec_at, None)
            return
        if self._handle is not None:
            self._handle.cancel()
        assert self._loop is not None
        self._handle = self._loop.call_later(max(0, when - time.monotonic_ns()) / 1e9, self._woken)

    def cancel(self) -> None:
        """Does not ring."""
        self._when = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def close(self) -> None:
        """Gives the descriptor back; the alarm may be set again."""
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
        # it was set again meanwhile, and has not expired again
        with contextlib.suppress(BlockingIOError):
            os.read(self._descriptor, 8)
        self._woken()

    def _woken(self) -> None:
        when, self._handle = self._when, None
        if when is None:
            return
        if time.monotonic_ns() < when:
            # set to a later moment meanwhile, or a loop whose clock is coarser than the wish
            self.set(when)
            return
        self._when = None
        self._ring_now()
