"""Writes the reference page of metrics from the families that the crank exports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import Metric

from awm_crank.telemetry.metrics import Metrics
from awm_crank.telemetry.stats import Gauges, Stats

INTRODUCTION = """# Metrics

`telemetry.listen` serves these at `/metrics` in Prometheus' text format ([telemetry](../telemetry.md) has the other
addresses). A counter's name ends in `_total` there. A histogram has `_bucket`, `_sum` and `_count`, in seconds.

| metric | type | labels | meaning |
| --- | --- | --- | --- |
"""


class _Endpoint:
    """A fake endpoint that has failed once, so that the metric shows its labels."""

    def blockhash_age_s(self) -> float:
        return 0.0

    def stream_lag_s(self) -> float:
        return 0.0

    def failures(self) -> dict[tuple[str, str], int]:
        return {("http", "overdue"): 1}


class _Idle:
    """A fake daemon that has counted nothing, for which `Metrics` shows every metric."""

    def __init__(self) -> None:
        self.stats = Stats()
        self.stats.refuse("sessions")
        self.endpoint = _Endpoint()

    def machines(self) -> list[Any]:
        return []

    def queues(self) -> dict[str, int]:
        return {"computing": 0}

    def waiting(self) -> dict[str, int]:
        return {"room": 0, "delegation": 0, "yielded": 0}

    def budgets(self) -> list[Any]:
        return []

    def engine_path(self) -> str:
        return "plain"

    def __getattr__(self, name: str) -> Any:
        """Every further figure of a daemon (`Observed`) is a number."""
        return lambda: 0.0


def metrics_page() -> str:
    """The page, as Markdown."""
    return INTRODUCTION + "".join(_rows())


def _rows() -> Iterator[str]:
    for family in sorted(Metrics(_Idle(), Gauges()).collect(), key=lambda family: family.name):
        suffix = "_total" if family.type == "counter" else ""
        yield f"| `{family.name}{suffix}` | {family.type} | {_labels(family)} | {family.documentation} |\n"


def _labels(family: Metric) -> str:
    names = {name for sample in family.samples for name in sample.labels} - {"le"}
    return ", ".join(f"`{name}`" for name in sorted(names | set(getattr(family, "_labelnames", ()))))
