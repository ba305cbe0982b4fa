"""One match is created, joined, played, watched and recorded, with clear errors when it stalls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from demo.cartridges import enduring

from awm_crank import config
from awm_crank.client.player import PlayerConnection
from awm_crank.client.session import SessionAccounts
from awm_crank.demo.observer import MatchWatch, Observer
from awm_crank.demo.play import play_match
from awm_crank.errors import AwmError
from awm_crank.rig.arena import Arena, open_arena


@pytest.fixture
async def arena(tmp_path: Path) -> AsyncIterator[Arena]:
    """A localnet and a crank, four times as fast as live."""
    settings = config.Config(crank=config.CrankConfig(late_policy="wait", frame_period_us=4000))
    async with open_arena(tmp_path, enduring("tiny"), crank=settings) as arena:
        yield arena


async def test_match_is_watched_and_recorded_to_its_end(arena: Arena) -> None:
    """Every frame is seen and recorded, both callbacks are called, and t0 lies before the first frame."""
    seen: list[str] = []

    async def on_created(match: SessionAccounts) -> None:
        seen.append(str(match.session))

    def on_refresh(match: SessionAccounts, watch: MatchWatch) -> None:
        seen.append(f"{watch.accounting.last_frame <= 60} {match.session}")

    async with Observer(arena.http, arena.ws) as observer, PlayerConnection(arena.http, arena.ws) as connection:
        played = await play_match(
            arena, observer, connection, seed=3, max_frames=60, on_refresh=on_refresh, on_created=on_created
        )
    assert played.watch.accounting.last_frame == len(played.recorder.records) == 60
    assert played.watch.accounting.faults == []
    assert 0 < played.seconds < 20
    assert set(seen) == {str(played.match.session), f"True {played.match.session}"}


async def test_match_without_a_crank_is_told(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no frame arrives, the error names the last frame and shows the crank's last words."""
    monkeypatch.setattr("awm_crank.demo.play._STALL_S", 0.5)
    await arena.crank_process.stop()
    async with Observer(arena.http, arena.ws) as observer, PlayerConnection(arena.http, arena.ws) as connection:
        with pytest.raises(AwmError, match=r"(?s)no frame for 0.5 s after frame 0.*stopped"):
            await play_match(arena, observer, connection, seed=3, max_frames=60)


async def test_crank_that_ends_by_itself_is_told(arena: Arena) -> None:
    """A process that ends in the middle of a match raises an error at once, instead of a stall."""
    await arena.crank_process.stop()

    async def on_created(_: SessionAccounts) -> None:
        arena.start_crank(fault_kill_at="confirm:5")

    async with Observer(arena.http, arena.ws) as observer, PlayerConnection(arena.http, arena.ws) as connection:
        with pytest.raises(AwmError, match="crank process ended by itself with status -9"):
            await play_match(arena, observer, connection, seed=3, max_frames=600, on_created=on_created)
