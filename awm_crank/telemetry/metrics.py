"""Prometheus metrics. They are built from the daemon's counters when somebody asks, so frames pay nothing for them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib.metadata import version
from typing import get_args

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ..session.events import Cause
from ..session.machine import SessionMachine
from . import logs
from .stats import BUCKETS_MS, Gauges, Latencies, Observed

STAGES = ("look", "watch", "assess", "join", "restore", "serve", "done")
"""The stages that `awm_sessions` always has a sample of. Others appear with a session in them."""
# counter of the report -> metric, help
_COUNTERS = {
    "frames": ("awm_frames", "Frames that landed."),
    "replayed": ("awm_frames_replayed", "Frames computed again when a session was restored."),
    "filled_inputs": ("awm_inputs_filled", "Inputs that did not come and were held or set neutral."),
    "slow_frames": ("awm_frames_slow", "Frames that landed more than one period after they were sent."),
    "refused_frames": ("awm_frames_refused", "Frames that the endpoint or a program refused."),
    "timeouts": ("awm_send_timeouts", "Frames that had not landed crank.send_timeout_ms after they were sent."),
    "resyncs": (
        "awm_resyncs",
        "Times that a session started again from the chain, which had gone another way.",
    ),
    "resubscriptions": (
        "awm_resubscriptions",
        "Times that notifications were missing, so that a session's subscriptions were made again.",
    ),
    "journal_failures": ("awm_journal_failures", "Checkpoints that could not be written to the journal, or in part."),
    "ring_full": ("awm_ring_full", "Frames held back until a checkpoint had landed."),
    "checkpoints": ("awm_checkpoints", "Checkpoints that were finalized."),
    "checkpoint_failures": ("awm_checkpoint_failures", "Checkpoints that failed."),
    "disconnections": ("awm_reconnects", "Times that the WebSocket broke and was connected again."),
}
_HISTOGRAMS = {
    "step": ("awm_step_seconds", "Backbone step of one frame."),
    "sign": ("awm_sign_seconds", "Encoding and signing a frame."),
    "send": ("awm_send_seconds", "Sending a frame, until the endpoint's answer."),
    "send_to_land": ("awm_land_seconds", "From a frame's sending to its account's change."),
    "tick_to_land": ("awm_tick_to_land_seconds", "From a frame's due time to its account's change."),
}


class Metrics(Collector):
    """The registry of one daemon.

    Args:
        observed: the daemon whose numbers are exported.
        gauges: the numbers that are read at each scrape (`Gauges`).
    """

    def __init__(self, observed: Observed, gauges: Gauges) -> None:
        self._observed = observed
        self._gauges = gauges
        self._version = version("awm-crank")
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """The families; called by the registry."""
        observed, machines = self._observed, list(self._observed.machines())
        counts = observed.stats.counts(machines)
        ticks = CounterMetricFamily(
            "awm_ticks", "Ticks by how they ended: the frame landed within a period, later, or there was none.",
            labels=["outcome"],
        )  # fmt: skip
        for outcome in ("on_time", "late", "missed"):
            ticks.add_metric([outcome], counts.get(outcome, 0))
        yield ticks
        for counter, (name, text) in _COUNTERS.items():
            yield CounterMetricFamily(name, text, value=counts.get(counter, 0))
        refusals = CounterMetricFamily(
            "awm_transactions_refused", "Refused transactions (frames and checkpoints), by the program's error.",
            labels=["reason"],
        )  # fmt: skip
        for reason, count in counts.get("refusals", {}).items():
            refusals.add_metric([reason], count)
        yield refusals
        turned_away = CounterMetricFamily(
            "awm_sessions_refused", "Sessions refused for want of room (sessions, load, slow) or rent.",
            labels=["reason"],
        )  # fmt: skip
        for reason, count in counts.get("refused_sessions", {}).items():
            turned_away.add_metric([reason], count)
        yield turned_away
        released = CounterMetricFamily(
            "awm_sessions_released", "Sessions that were let go: because of an error of the crank, or as they ended.",
            labels=["outcome"],
        )  # fmt: skip
        for outcome, count in observed.stats.released.items():
            released.add_metric([outcome], count)
        yield released
        for stage, latencies in observed.stats.stages.items():
            yield _histogram(*_HISTOGRAMS[stage], latencies)
        yield _histogram(
            "awm_event_loop_lag_seconds", "How much later than asked for the event loop came back.",
            observed.stats.loop_lag,
        )  # fmt: skip
        yield from self._state(machines)

    def _state(self, machines: list[SessionMachine]) -> Iterator[Metric]:
        gauges = self._gauges
        sessions = GaugeMetricFamily(
            "awm_sessions", "Sessions by stage; those that wait, by reason.", labels=["stage"]
        )  # fmt: skip
        stages = dict.fromkeys(STAGES, 0)
        reasons = {**dict.fromkeys(get_args(Cause), 0), **self._observed.waiting()}
        for machine in machines:
            if (waiting := machine.waiting) is not None:
                reasons[waiting.cause] += 1
            else:
                stages[machine.stage] = stages.get(machine.stage, 0) + 1
        for stage, count in stages.items():
            sessions.add_metric([stage], count)
        for reason, count in reasons.items():
            sessions.add_sample(sessions.name, {"stage": "waiting", "reason": reason}, count)
        yield sessions
        yield GaugeMetricFamily(
            "awm_sessions_stalled", "Sessions that make no frames for no reason that the crank knows.", gauges.stalled
        )
        queues = GaugeMetricFamily("awm_queue_depth", "The length of each queue of the daemon.", labels=["queue"])
        for queue, depth in self._observed.queues().items():
            queues.add_metric([queue], depth)
        yield queues
        yield GaugeMetricFamily(
            "awm_ready", "1: able to serve, and all sessions that should make frames do.", value=gauges.ready
        )
        yield GaugeMetricFamily(
            "awm_healthy",
            "1: due frames are attempted, and no session stopped without a reason.",
            gauges.healthy,
        )
        yield GaugeMetricFamily(
            "awm_due_frame_age_seconds", "For how long the oldest due frame has gone unattempted.", gauges.oldest_due_s
        )
        blockhash = GaugeMetricFamily(
            "awm_blockhash_age_seconds", "Time since the endpoint last gave another blockhash. Absent before the first."
        )
        if math.isfinite(age := self._observed.endpoint.blockhash_age_s()):
            blockhash.add_metric([], age)
        yield blockhash
        yield GaugeMetricFamily(
            "awm_stream_lag_seconds", "How far the notifications are behind the endpoint's answers.",
            self._observed.endpoint.stream_lag_s(),
        )  # fmt: skip
        failures = CounterMetricFamily(
            "awm_endpoint_failures", "Failed requests and connections of the endpoint, by side (http, ws) and kind.",
            labels=["side", "kind"],
        )  # fmt: skip
        for labels, count in self._observed.endpoint.failures().items():
            failures.add_metric(labels, count)
        yield failures
        yield from self._budgets()
        balance = GaugeMetricFamily("awm_balance_lamports", "The balance of the crank's key.")
        if gauges.balance is not None:
            balance.add_metric([], gauges.balance)
        yield balance
        connected = GaugeMetricFamily("awm_mqtt_connected", "1: connected to the MQTT broker. Absent without one.")
        if gauges.mqtt_connected is not None:
            connected.add_metric([], gauges.mqtt_connected)
        yield connected
        yield CounterMetricFamily("awm_mqtt_published", "Messages that the broker took.", gauges.mqtt_published)
        yield CounterMetricFamily(
            "awm_mqtt_dropped", "Messages that were dropped because the broker was slow or gone.", gauges.mqtt_dropped
        )
        yield CounterMetricFamily(
            "awm_log_dropped", "Log lines dropped since the sink took none: nobody read it, or the disk was full.",
            logs.dropped(),
        )  # fmt: skip
        build = GaugeMetricFamily(
            "awm_build_info",
            "Always 1; labels: the version, the engine's instruction set.",
            labels=["version", "engine"],
        )
        build.add_metric([self._version, self._observed.engine_path()], 1)
        yield build

    def _budgets(self) -> Iterator[Metric]:
        texts = {
            "limit": "The most lamports that a budget allows now.",
            "spent": "What counts against a budget now.",
            "waiting": "What the sessions that wait for a budget would cost.",
        }
        families = {
            name: GaugeMetricFamily(f"awm_budget_{name}_lamports", text, labels=["budget"])
            for name, text in texts.items()
        }
        for line in self._observed.budgets():
            families["limit"].add_metric([line.name], line.limit)
            families["spent"].add_metric([line.name], line.spent)
            families["waiting"].add_metric([line.name], line.waiting)
        yield from families.values()


def _histogram(name: str, text: str, latencies: Latencies) -> HistogramMetricFamily:
    cumulated, buckets = 0, []
    for bound, count in zip((*(bound / 1000 for bound in BUCKETS_MS), float("inf")), latencies.buckets, strict=True):
        cumulated += count
        buckets.append(("+Inf" if bound == float("inf") else str(bound), float(cumulated)))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=latencies.sum / 1e9)
