"""The step benchmark gives its figures with PyTorch, and says NOT RUN without it."""

from __future__ import annotations

import sys

import pytest

from awm_crank.bench.step import measure, torch_us


def test_measure_gives_step_and_rest() -> None:
    """A whole step takes longer than the part that remains once the inputs are there."""
    whole, rest = measure(0.05)
    assert whole.ours > rest.ours > 0


def test_without_torch_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyTorch there is no figure, and the text says NOT RUN and the reason."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "awm_crank.bench.torch_step", raising=False)
    figure, how = torch_us((1, 32, 64, 8, 2), 0.01)
    assert figure is None
    assert how.startswith("NOT RUN")
