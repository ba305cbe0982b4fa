"""`awm-crank bench` runs the right benchmarks and writes their table."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from awm_crank.cli import main
from awm_crank.cli.bench import BENCHES, REPORTS


@pytest.mark.parametrize("name", BENCHES)
def test_every_benchmark_is_there(name: str) -> None:
    """Each row of the table names a module that measures."""
    assert callable(importlib.import_module(f"awm_crank.bench.{name}").measure)


def test_report_is_printed_and_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A benchmark with its own report prints its text, and its figures are written under its name."""
    module = SimpleNamespace(report=lambda seconds: (f"measured for {seconds} s\n", {"step": 1.5}))
    monkeypatch.setitem(sys.modules, "awm_crank.bench.own", module)
    monkeypatch.setitem(REPORTS, "own", "a test's")
    out = tmp_path / "bench.json"
    assert main(["bench", "own", "--seconds", "3", "--json", "--output", str(out)]) == 0
    assert capsys.readouterr().out == "measured for 3.0 s\n"
    assert json.loads(out.read_text())["own"] == {"step": 1.5}


def test_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown benchmark is refused with a list of the known ones."""
    assert main(["bench", "speed"]) == 2
    assert "no benchmark is called 'speed'. Try: one of step, codec, http, latency, engine" in capsys.readouterr().err


def test_figures_are_printed_and_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The table goes to standard output, and the same rows go to the JSON file."""
    out = tmp_path / "bench.json"
    assert main(["bench", "codec", "--seconds", "0.02", "--json", "--output", str(out)]) == 0
    table = capsys.readouterr().out
    for row in json.loads(out.read_text())["rows"]:
        assert row["name"] in table
        assert row["ratio"] > 0
