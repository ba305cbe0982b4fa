"""Repeated attempts while a rollup is not ready."""

from __future__ import annotations

import pytest

from awm_crank.bench import place
from awm_crank.errors import ProgramError, RpcError


@pytest.mark.parametrize("failures", [0, 3])
async def test_patiently(failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt is repeated after an RpcError, until it succeeds."""
    monkeypatch.setattr(place, "_PAUSE_S", 0)
    made = 0

    async def attempt() -> None:
        nonlocal made
        made += 1
        if made <= failures:
            raise RpcError("not yet")

    await place.patiently(attempt)
    assert made == failures + 1


async def test_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last attempt's error is raised, and a program's refusal is raised at once."""
    monkeypatch.setattr(place, "_PAUSE_S", 0)
    made: list[Exception] = []

    async def attempt(error: Exception) -> None:
        made.append(error)
        raise error

    with pytest.raises(RpcError):
        await place.patiently(lambda: attempt(RpcError("never")))
    assert len(made) == place._TRIES
    with pytest.raises(ProgramError):
        await place.patiently(lambda: attempt(ProgramError("no")))
    assert len(made) == place._TRIES + 1
