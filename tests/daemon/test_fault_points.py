"""Fault points: the process dies at the passage that was named, and at no other."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from awm_crank.daemon.fault_points import FaultPoints


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals that the process sent itself."""
    sent: list[int] = []

    def kill(pid: int, number: int) -> None:
        assert pid == os.getpid()
        sent.append(number)

    monkeypatch.setattr(os, "kill", kill)
    return sent


def test_at(killed: list[int]) -> None:
    """FaultPoints of the named point are counted, others not, and the n-th kills."""
    fault_points = FaultPoints("claim:2")
    for point in ("claim", "model", "claim", "claim"):
        assert killed == ([] if point == "model" else killed)
        fault_points.at(point)
    assert killed == [signal.SIGKILL]


def test_none(killed: list[int]) -> None:
    """Without a setting nothing kills."""
    fault_points = FaultPoints("")
    fault_points.at("")
    fault_points.at("claim")
    assert not killed


async def test_soon(killed: list[int]) -> None:
    """`soon` kills a little later, when what it announces has begun."""
    FaultPoints("in-flight:1").soon("in-flight")
    assert not killed
    await asyncio.sleep(0.02)
    assert killed == [signal.SIGKILL]
