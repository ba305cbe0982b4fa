"""The latency benchmark plays real matches with both cranks."""

from __future__ import annotations

from awm_crank.bench.latency import compare


async def test_both_cranks_bring_every_frame() -> None:
    """Our crank and the off-the-shelf one land the same number of frames, each with a latency."""
    ours, theirs = await compare(60)
    assert ours.frames == theirs.frames == 60
    for tally in (ours, theirs):
        assert len(tally.latencies_s) == 60
        assert min(tally.latencies_s) > 0
