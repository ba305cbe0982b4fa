"""The environments' benchmark: real frames, at the promised rate."""

from __future__ import annotations

import sys

import pytest

from awm_crank.bench.env import REAL_TIME, SIZES, rate, report


def test_many_times_faster_than_real_time() -> None:
    """One match alone runs at least ten times faster than real time, and a batch is faster still."""
    text, figures = report(1.0)
    assert set(figures) == {"MatchEnv", *(f"Batch of {count}" for count in SIZES)}
    assert figures["MatchEnv"] > 10 * REAL_TIME
    assert figures["Batch of 32"] > figures["MatchEnv"]
    assert text.count("x real time") == 1 + len(SIZES)


def test_rate_counts_calls() -> None:
    """With twice the frames in a call, the rate is twice as high."""
    calls: list[int] = []
    measured = rate(calls.append, 3, 0.02)
    assert measured == pytest.approx((len(calls) - 4) * 3 / 0.02, rel=0.2)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PettingZoo the batches are measured, and the environment's row says what is missing."""
    monkeypatch.setitem(sys.modules, "pettingzoo", None)
    monkeypatch.delitem(sys.modules, "awm_crank.env.match", raising=False)
    monkeypatch.delattr("awm_crank.env.match", raising=False)
    _, figures = report(0.2)
    assert figures["MatchEnv"].startswith("NOT RUN: the environment needs pettingzoo. Try: pip install")
    assert figures["Batch of 8"] > 0
