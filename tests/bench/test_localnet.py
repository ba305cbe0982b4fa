"""The benchmark measures a match that really runs."""

from __future__ import annotations

import os
import time

from awm_crank.bench.localnet import cpu_seconds, measure


async def test_measure() -> None:
    """A few frames land one by one, and each takes time."""
    figures = await measure(20)
    assert figures["frames"] == 20
    assert figures["cpu_ms_per_frame"] > 0
    assert 0 < figures["send_to_notified_ms"]["p50"] <= figures["send_to_notified_ms"]["p99"]


def test_cpu_seconds() -> None:
    """A process that works uses CPU time, about as much as it reports itself."""
    before, own = cpu_seconds(os.getpid()), time.process_time()
    while time.process_time() - own < 0.2:
        pass
    assert 0.1 < cpu_seconds(os.getpid()) - before < 0.5
