"""A crank in a process of its own: its readiness, its log, and its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from awm_crank import config
from awm_crank.engine.seeded import lasting
from awm_crank.errors import AwmError
from awm_crank.localnet.rig import EmbeddedLocalnet
from awm_crank.rig.crank import CrankProcess
from awm_crank.rig.place import Place


async def test_life(tmp_path: Path) -> None:
    """A crank serves, logs events and ends with 0, and a second one of its name sees only its own lines."""
    async with EmbeddedLocalnet() as net, await Place.make(net, tmp_path, lasting()) as place:
        settings = config.Config(chain=place.chains(), crank=config.CrankConfig(keypair=str(place.key_path)))
        first = place.crank(settings)
        await first.ready()
        match = await place.create(max_frames=1)
        line = await first.wait_for("ready", session=str(match.session))
        assert line["waiting_for"] == "player 2"
        with pytest.raises(AwmError, match=r"did not log 'schedule'"):
            await first.wait_for("schedule", timeout_s=0.1)
        assert first.cpu_seconds() > 0
        assert await first.stop() == 0
        assert first.stats_path.exists()
        second = place.crank(settings)
        await second.ready()
        assert [line for line in second.lines() if line["event"] == "stopped"] == []
    assert not second.running


async def test_refused_settings(tmp_path: Path) -> None:
    """A crank that ends at its start raises an error with its last words."""
    crank = CrankProcess(tmp_path, config.Config(crank=config.CrankConfig(keypair="nowhere.json")))
    with pytest.raises(AwmError, match=r"(?s)crank process ended by itself.*nowhere.json"):
        await crank.ready()
    assert await crank.ended() != 0
