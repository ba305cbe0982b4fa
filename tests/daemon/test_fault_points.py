"""Fault points kill the process at the named point, and nowhere else."""

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
    """Only calls with the named point are counted, and the n-th one kills the process."""
    fault_points = FaultPoints("claim:2")
    for point in ("claim", "model", "claim", "claim"):
        assert killed == ([] if point == "model" else killed)
        fault_points.at(point)
    assert killed == [signal.SIGKILL]


def test_none(killed: list[int]) -> None:
    """Without the setting, no point kills."""
    fault_points = FaultPoints("")
    fault_points.at("")
    fault_points.at("claim")
    assert not killed


async def test_soon(killed: list[int]) -> None:
    """`soon` kills a little later, once the work that it announces has begun."""
    FaultPoints("in-flight:1").soon("in-flight")
    assert not killed
    await asyncio.sleep(0.02)
    assert killed == [signal.SIGKILL]
