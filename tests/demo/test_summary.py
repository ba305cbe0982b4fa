"""The summary says whether the demo passed, and why not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from awm_crank.demo.accounting import Tally
from awm_crank.demo.summary import Latency, Summary, as_text, latency_of

GOOD: dict[str, Any] = {
    "frames": 60, "on_time": 59, "late": 1, "missed": 1, "latency_ms": {"p50": 2.5, "p99": 9.5}, "session": "S",
    "final_state_sha256": "ab" * 32, "match_file": "m.json", "wanted": 60, "in_order": True, "faults": [],
    "matches": 1, "seed": 1, "play_s": 1.01, "fps": 59.4, "cartridge_sha256": "cd" * 32,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "passed"),
    [({}, True), ({"frames": 59}, False), ({"in_order": False}, False), ({"faults": ["frame 3 twice"]}, False)],
)
def test_only_all_frames_in_order_pass(changes: dict[str, Any], passed: bool) -> None:
    """Late frames and missed ticks are reported, but only lost or disordered frames fail."""
    summary = msgspec.convert(GOOD | changes, Summary)
    assert summary.passed is passed
    assert ("NOT all" in as_text(summary)) is not passed


def test_text_names_every_figure_and_fault() -> None:
    """The text shows the counts, the latency, the hash and each fault."""
    text = as_text(msgspec.convert(GOOD | {"faults": ["frame 3 was seen twice"]}, Summary))
    for shown in ("60 of 60", "late 1", "missed ticks 1", "p99 9.50 ms", "ab" * 32, "frame 3 was seen twice"):
        assert shown in text


def test_latency_is_in_milliseconds() -> None:
    """Times are measured in seconds and shown in milliseconds, by nearest rank."""
    assert latency_of(Tally(latencies_s=[0.001, 0.002, 0.003])) == Latency(2.0, 3.0)
