"""In the HTTP benchmark, both ways get the same answer from a real server, and take time."""

from __future__ import annotations

from awm_crank.bench.http import measure


def test_measure_gives_both_figures() -> None:
    """The result is one row with both figures."""
    (row,) = measure(0.2)
    assert row.ours > 0
    assert row.other is not None
    assert row.other > 0
