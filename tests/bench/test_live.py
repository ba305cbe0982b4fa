"""A short live benchmark on the embedded localnet: real processes and transactions, and consistent figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from awm_crank import cli
from awm_crank.bench import live


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The figures of two matches, from the command."""
    path: Path = tmp_path_factory.mktemp("live") / "figures.json"
    words = ["bench", "live", "--sessions", "2", "--seconds", "2", "--shape", "tiny", "--json", "--output", str(path)]
    assert cli.main(words) == 0
    figures: dict[str, Any] = json.loads(path.read_text())["live"]
    return figures


def test_every_session(written: dict[str, Any]) -> None:
    """The demo's accounting counts each session's frames, and each one is either on time or late."""
    assert len(written["each"]) == 2
    for one in written["each"]:
        assert one["frames"] == one["on_time"] + one["late"] > 30
        assert one["fps"] == pytest.approx(one["frames"] / written["seconds"])
        assert not one["faults"]
    assert not written["losses"]


def test_figures(written: dict[str, Any]) -> None:
    """Percentiles of latency rise, every process used CPU time, and the crank lost no frame."""
    assert 0 < written["latency_ms"]["p50"] <= written["latency_ms"]["p99"] <= written["latency_ms"]["p100"]
    for name in (*live._STAGES,):
        assert written["stages_ms"][name]["p50"] > 0, name
    assert all(cpu > 0 for name, cpu in written["cpu"].items() if name != "others")
    assert all(last > 10 for _, last in written["rss_mb"].values())
    assert written["crank"]["frames"] >= sum(one["frames"] for one in written["each"])
    bare = written["bare_timer_ms"]
    assert bare["ticks"] >= 60
    assert 0 < bare["p50"] <= bare["p99"]
    assert 0 < bare["alarm_p50"] <= bare["alarm_p99"]
    assert all(0 <= slow["at_s"] <= written["seconds"] for slow in written["slow"])


def test_limit(written: dict[str, Any]) -> None:
    """All transactions of the bare generator land, and it carries more than the matches needed."""
    limit = written["limit"]
    assert limit["sent"] == limit["landed"] > 0
    assert limit["refused"] == 0
    used = 3 * sum(one["frames"] for one in written["each"]) / written["seconds"]
    assert limit["transactions_per_s"] == pytest.approx(limit["landed"] / limit["seconds"])
    assert limit["transactions_per_s"] > used
    assert limit["validator_cpu"] > 0
    assert limit["generator_cpu"] > 0


def test_text(written: dict[str, Any]) -> None:
    """The report names sessions, stages, processes and the limit."""
    text = live.as_text(written)
    for part in ("2 sessions of the tiny shape on embedded", "ready_to_sent", "validator", "limit:", "bare timer"):
        assert part in text
