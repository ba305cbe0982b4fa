"""The engine benchmark gives every figure of every path that runs, and reports the other paths as NOT RUN."""

from __future__ import annotations

import sys

import pytest

from awm_crank.bench import engine
from awm_crank.engine.native import paths
from awm_crank.engine.seeded import SHAPES

HERE = [name for name, lacks in paths().items() if not lacks]


def test_figures_of_a_path() -> None:
    """A step takes longer than its bare loops, and than the part that remains once the inputs are there."""
    found = engine.measure_path("demo", HERE[-1], 0.2)
    assert found["step"] > found["S"] > 0
    assert found["step"] > found["inputs_on"] > 0
    assert set(engine.PARTS) <= set(found["breakdown"])
    assert min(found["breakdown"].values()) >= 0
    assert found["step_ratio"] == found["step"] / found["S"]


def test_report_names_every_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths that this CPU lacks are in the table with what is missing, and so is PyTorch."""
    monkeypatch.setattr(engine, "NAMES", ("tiny",))
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "awm_crank.bench.torch_engine", raising=False)
    monkeypatch.delitem(sys.modules, "awm_crank.bench.torch_step", raising=False)
    text, data = engine.report(0.05)
    for name, lacks in paths().items():
        assert f"{name:<9} NOT RUN: lacks {lacks}" in text if lacks else f"tiny {name}" in text
    assert [run["path"] for run in data["runs"]] == HERE
    assert data["torch"]["tiny"]["PyTorch"].startswith("NOT RUN")


def test_shapes_are_known() -> None:
    """The shapes in the goals are among the seeded ones."""
    assert set(engine.NAMES) <= set(SHAPES)
