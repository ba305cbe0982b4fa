"""Prometheus metrics of what the crank counts."""

from __future__ import annotations

import math
import subprocess
from types import SimpleNamespace
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from telemetry.observed import Crank, Machine

from awm_crank.session.settings import Counters
from awm_crank.telemetry.metrics import Metrics
from awm_crank.telemetry.stats import BUCKETS_MS, Gauges


def samples(metrics: Metrics) -> dict[str, float]:
    """Maps a sample, with its labels in braces, to its value."""
    found = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def busy() -> Crank:
    """One live session, and one that is gone."""
    one = Machine("one", "serve", Counters(frames=10, resyncs=1, refusals={"RING_FULL": 2}))
    one.schedule = SimpleNamespace(on_time=8, late=2, missed=3)
    gone: Any = Machine("two", "done", Counters(frames=5, refusals={"RING_FULL": 1, "other": 4}))
    crank = Crank(one, Machine("three", "restore"))
    crank.stats.gone(gone)
    crank.stats.gone(Machine("four", "done", Counters()), error=True)  # type: ignore[arg-type]
    crank.stats.disconnections = 7
    crank.stats.refused_frames = 4
    return crank


def test_counts() -> None:
    """Counters cover live and past sessions, stages, queues, and refusals by reason."""
    found = samples(Metrics(busy(), Gauges()))
    assert found["awm_ticks_total{outcome=on_time}"] == 8
    assert found["awm_ticks_total{outcome=late}"] == 2
    assert found["awm_ticks_total{outcome=missed}"] == 3
    assert found["awm_frames_total"] == 15
    assert found["awm_resyncs_total"] == 1
    assert found["awm_reconnects_total"] == 7
    assert found["awm_sessions_released_total{outcome=ended}"] == 1
    assert found["awm_sessions_released_total{outcome=error}"] == 1
    assert found["awm_frames_refused_total"] == 4
    assert found["awm_transactions_refused_total{reason=RING_FULL}"] == 3
    assert found["awm_transactions_refused_total{reason=other}"] == 4
    assert found["awm_sessions{stage=serve}"] == 1
    assert found["awm_sessions{stage=restore}"] == 1
    assert found["awm_sessions{stage=join}"] == 0
    assert found["awm_queue_depth{queue=computing}"] == 3
    assert found["awm_build_info{engine=plain,version=0.1.0}"] == 1
    assert found["process_resident_memory_bytes"] > 1e6


def test_histograms() -> None:
    """Buckets cumulate, each value is in the first bucket that holds it, and the sum is in seconds."""
    crank = Crank()
    for milliseconds in (1, 4, 4.001, 9_000):
        crank.stats.step.add(round(milliseconds * 1e6))
    found = samples(Metrics(crank, Gauges()))
    assert found["awm_step_seconds_bucket{le=0.001}"] == 1
    assert found["awm_step_seconds_bucket{le=0.004}"] == 2
    assert found["awm_step_seconds_bucket{le=0.008}"] == 3
    assert found["awm_step_seconds_bucket{le=5.0}"] == 3
    assert found["awm_step_seconds_bucket{le=+Inf}"] == found["awm_step_seconds_count"] == 4
    assert abs(found["awm_step_seconds_sum"] - 9.009001) < 1e-9
    assert len([name for name in found if name.startswith("awm_sign_seconds_bucket")]) == len(BUCKETS_MS) + 1


def test_gauges() -> None:
    """A value that is not known yet has no sample."""
    gauges = Gauges()
    metrics = Metrics(Crank(), gauges)
    assert "awm_balance_lamports" not in samples(metrics)
    assert "awm_mqtt_connected" not in samples(metrics)
    crank = Crank()
    assert samples(Metrics(crank, Gauges()))["awm_endpoint_failures_total{kind=overdue,side=http}"] == 3
    crank.blockhash_age = math.inf
    assert "awm_blockhash_age_seconds" not in samples(Metrics(crank, Gauges()))
    gauges.balance, gauges.mqtt_connected, gauges.ready, gauges.mqtt_dropped = 10**9, False, True, 5
    found = samples(metrics)
    assert found["awm_balance_lamports"] == 1e9
    assert found["awm_mqtt_connected"] == 0
    assert found["awm_ready"] == 1
    assert found["awm_mqtt_dropped_total"] == 5


def test_promtool_finds_nothing() -> None:
    """Names, units and help texts pass Prometheus' own linter."""
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=Metrics(busy(), Gauges()).render(), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
