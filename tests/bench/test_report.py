"""Benchmark figures are shown side by side, and a figure that was not measured is marked."""

from __future__ import annotations

import json

from awm_crank.bench.report import Comparison, as_json, median_us, table

ROWS = [
    Comparison(name="step", unit="µs", ours=200.0, ours_how="reference", other=600.0, other_how="PyTorch"),
    Comparison(name="latency", unit="ms", ours=2.5, ours_how="crank", other=None, other_how="NOT RUN: no torch"),
]


def test_table_shows_both_ways_and_their_ratio() -> None:
    """Each row has both figures, and how many times longer the other way takes than ours."""
    lines = table(ROWS).splitlines()
    assert lines[1].split() == ["step", "200.00", "µs", "600.00", "µs", "3.0x"]


def test_table_says_what_was_not_run() -> None:
    """A missing figure is shown as NOT RUN with its reason below, and never as a number."""
    text = table(ROWS)
    assert text.splitlines()[2].split() == ["latency", "2.50", "ms", "NOT", "RUN"]
    assert "NOT RUN: no torch" in text.splitlines()[-1]


def test_json_holds_the_same_figures() -> None:
    """The JSON has every row with its ratio, or null."""
    data = json.loads(as_json(ROWS))
    assert [(row["name"], row["ratio"]) for row in data["rows"]] == [("step", 3.0), ("latency", None)]
    assert data["machine"]["cores"] >= 1


def test_median_counts_real_calls() -> None:
    """The call is repeated until the time is over, and the median is one of the measured times."""
    calls: list[int] = []
    assert median_us(lambda: calls.append(1), 0.01) > 0
    assert len(calls) > 10
