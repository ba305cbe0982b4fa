"""The PyTorch ways run, or fail with an error that the benchmark reports."""

from __future__ import annotations

from awm_crank.bench.torch_engine import ways
from awm_crank.engine.seeded import SHAPES


def test_ways() -> None:
    """The window, the plain step and the quantized one compute a frame of a small shape, and compiling is available."""
    found = ways(SHAPES["tiny"])
    assert len(found) == 4
    for name, make in found.items():
        if "compile" not in name:
            assert make()() is not None
