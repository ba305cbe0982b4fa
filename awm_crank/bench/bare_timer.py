"""`python -m awm_crank.bench.bare_timer SECONDS`: how late an idle event loop's timer fires.

Prints a line of JSON with the lateness in milliseconds (50th and 99th percentile) of a timer that fires 60 times a
second on the crank's kind of event loop. `alarm_p50` and `alarm_p99` are the same for the crank's own timer
(daemon/alarm.py).
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec

from awm_crank.daemon.alarm import Alarm
from awm_crank.demo.accounting import FRAMES_PER_SECOND, percentile
from awm_crank.net.loop import run


async def lags(seconds: float) -> list[float]:
    """How late the loop's timer fired, in milliseconds, for each tick."""
    loop = asyncio.get_running_loop()
    found: list[float] = []
    began = time.monotonic_ns()
    for tick in range(1, round(seconds * FRAMES_PER_SECOND) + 1):
        due = began + tick * 1_000_000_000 // FRAMES_PER_SECOND
        # like the crank's timer: the loop's clock is coarser than the wanted time, and firing early is wrong
        while (now := time.monotonic_ns()) < due:
            woken = loop.create_future()
            loop.call_later((due - now) / 1e9, woken.set_result, None)
            await woken
        found.append((now - due) / 1e6)
    return found


async def alarm_lags(seconds: float) -> list[float]:
    """How late the crank's timer fired, in milliseconds, for each tick."""
    loop = asyncio.get_running_loop()
    found: list[float] = []
    woken = loop.create_future()
    alarm = Alarm(lambda: woken.set_result(None))
    began = time.monotonic_ns()
    for tick in range(1, round(seconds * FRAMES_PER_SECOND) + 1):
        due = began + tick * 1_000_000_000 // FRAMES_PER_SECOND
        woken = loop.create_future()
        alarm.set(due)
        await woken
        found.append((time.monotonic_ns() - due) / 1e6)
    alarm.close()
    return found


async def both(seconds: float) -> tuple[list[float], list[float]]:
    """Measures both timers, one after the other."""
    return await lags(seconds), await alarm_lags(seconds)


def main() -> None:
    """Runs the command."""
    found, alarm = run(both(float(sys.argv[1])))
    line = {
        "p50": percentile(found, 0.5), "p99": percentile(found, 0.99), "ticks": len(found),
        "alarm_p50": percentile(alarm, 0.5), "alarm_p99": percentile(alarm, 0.99),
    }  # fmt: skip
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")


if __name__ == "__main__":
    main()
