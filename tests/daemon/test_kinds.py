"""The same daemon, unchanged, against each validator that operators run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from daemon.rig import Place, expected_records, finished, lasting, until
from localnet.kinds.validators import CACHE, SOLANA

from awm_crank.localnet.rig import LocalnetProcess


class Case(NamedTuple):
    """A kind of localnet, and the settings of a match that is slow enough for it."""

    kind: str
    options: tuple[str, ...]
    frames: int
    settings: dict[str, Any]


CASES = [
    Case("embedded", (), 120, {}),
    Case("magicblock", ("--cache", str(CACHE)), 120, {}),
    # a frame needs two slots of this validator (for the inputs, then for the frame); it notifies at the end of a slot
    Case(
        "solana",
        ("--validator", str(SOLANA), "--slot-ms", "50"),
        24,
        {"frame_period_us": 300_000, "send_timeout_ms": 2000},
    ),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.kind)
def running(request: pytest.FixtureRequest) -> Iterator[tuple[LocalnetProcess, Case]]:
    """A localnet of each kind. A kind that is not installed is an error, never a skip."""
    case: Case = request.param
    with LocalnetProcess(case.kind, *case.options) as net:
        yield net, case


@pytest.fixture
async def spot(running: tuple[LocalnetProcess, Case], tmp_path: Path) -> AsyncIterator[tuple[Place, Case]]:
    """A published cartridge on this localnet, and fresh keys."""
    net, case = running
    place = await Place.make(net, tmp_path)
    yield place, case
    await place.close()


async def test_a_match(spot: tuple[Place, Case]) -> None:
    """A session is claimed, prepared, played, checkpointed and released, and every record is the one computed here."""
    place, case = spot
    crank = place.crank(place.settings(**case.settings))
    await crank.ready()
    match = await place.create(max_frames=case.frames)
    await place.join(match)
    async with asyncio.timeout(60):
        await place.play(match)
    view = await place.when(match, finished)
    assert view.log is not None
    assert [view.log.record(frame) for frame in view.log.holds()] == expected_records(lasting(), view, case.frames)
    await until(lambda: bool(crank.lines("released")))
    assert await crank.stop() == 0
    stats = json.loads(crank.stats_path.read_text())
    assert stats["frames"] == case.frames


async def test_killed_and_resumed(spot: tuple[Place, Case]) -> None:
    """After SIGKILL while a frame is being sent, the next process continues the match, and no record differs."""
    place, case = spot
    settings = place.settings(**case.settings, fault_kill_at=f"in-flight:{case.frames // 2}")
    first = place.crank(settings, name="first")
    await first.ready()
    match = await place.create(max_frames=case.frames)
    await place.join(match)
    playing = asyncio.create_task(place.play(match))
    assert await first.ended(60, what="its end by the fault") == -9
    place.crank(place.settings(**case.settings), name="second")
    async with asyncio.timeout(60):
        await playing
    view = await place.when(match, finished)
    assert view.log is not None
    assert [view.log.record(frame) for frame in view.log.holds()] == expected_records(lasting(), view, case.frames)
