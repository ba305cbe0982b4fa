"""`awm-crank verify SESSION` while a crank is still writing that session."""

from __future__ import annotations

import asyncio
import json

import pytest
from daemon.rig import Place, finished

from awm_crank import config
from awm_crank.cli import main


async def test_every_moment_of_a_match_verifies(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """The chain verifies at every moment of a match, while the ring wraps around and checkpoints are replaced."""
    checkpoints = config.CheckpointsConfig(ring_capacity=256, min_interval_frames=60)
    crank = place.crank(place.settings(checkpoints=checkpoints))
    await crank.ready()
    match = await place.create(max_frames=600)
    await place.join(match)
    playing = asyncio.create_task(place.play(match))
    await place.when(match, lambda view: view.session.frame >= 1)
    starts: list[int] = []
    lasts: list[int] = []
    while not lasts or lasts[-1] < 600:
        status = await asyncio.to_thread(main, ["verify", str(match.session), "--rpc", place.net.http, "--json"])
        out, err = capsys.readouterr()
        assert status == 0, err
        told = json.loads(out)
        starts.append(told["start"])
        lasts.append(told["last"])
    await playing
    await place.when(match, finished)
    assert lasts == sorted(lasts)
    assert len(set(lasts)) > 5
    assert starts[0] == 0
    assert starts[-1] > 0
