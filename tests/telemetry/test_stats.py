"""Counters and percentiles."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from awm_crank.session.settings import Counters
from awm_crank.telemetry.stats import Latencies, Stats


def machine(**ticks: int) -> Any:
    """A session's counters: 10 frames and two refusals."""
    counters = Counters(frames=10, refusals={"FRAME_MISMATCH": 2})
    schedule = SimpleNamespace(**{"on_time": 9, "late": 1, "missed": 1, **ticks})
    return SimpleNamespace(counters=counters, schedule=schedule)


def test_percentiles_are_values_that_occurred() -> None:
    """Percentiles are nearest rank, in milliseconds."""
    latencies = Latencies()
    for value in range(1, 101):
        latencies.add(value * 1_000_000)
    assert latencies.report() == {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p100": 100.0}
    assert latencies.count == 100


def test_nothing_measured() -> None:
    """Without a value there is no percentile."""
    assert Latencies().report() == {}


def test_sessions_gone_stay_counted() -> None:
    """The report adds up live and past sessions, and refusals by name."""
    stats = Stats()
    stats.gone(machine())
    frame = SimpleNamespace(
        tick_due=1_000_000, wanted_at=1_250_000, ready_at=1_500_000, sent_at=2_000_000, known_at=3_750_000,
        landed_at=4_000_000,
    )  # fmt: skip
    stats.landed(frame)  # type: ignore[arg-type]
    report = stats.report([machine(missed=5)])
    assert (report["sessions"], report["sessions_ended"]) == (1, 1)
    assert (report["frames"], report["on_time"], report["missed"]) == (20, 18, 6)
    assert report["refusals"] == {"FRAME_MISMATCH": 4}
    assert report["latency_ms"]["send_to_land"]["p50"] == 2.0
    assert report["latency_ms"]["tick_to_land"]["p50"] == 3.0
    assert report["latency_ms"]["wanted_to_known"]["p50"] == 2.5
