"""The bot of docs/start/first-bot.md runs exactly as printed, against a crank process."""

from __future__ import annotations

import asyncio
import re
import sys
from itertools import pairwise
from pathlib import Path

from daemon.rig import Place

from awm_crank.client.keys import write_keypair
from awm_crank.client.player import PlayerConnection, ScriptedPlayer
from awm_crank.match.file import player_object
from awm_crank.match.players import agent, controller
from awm_crank.wire.accounts import FrameRecord
from awm_crank.wire.transaction import Signer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "start" / "first-bot.md"
FRAMES = 60


def expected(players: bytes, frame: int) -> bytes:
    """The input that the page's bot sends as player 2 after this frame."""
    gap = player_object(players[:32])["x"] - player_object(players[32:])["x"]
    stick = 0 if abs(gap) < 14 else 80 if gap > 0 else -80
    return controller(stick, buttons=1 if stick == 0 and frame % 4 < 2 else 0)


async def test_ten_line_bot(place: Place, tmp_path: Path) -> None:
    """The bot takes the free seat, plays every frame by its rule, and exits with status 0 when the match ends."""
    blocks = re.findall(r"```python[^\n]*\n(.*?)```", PAGE.read_text(), re.DOTALL)
    source = next(block for block in blocks if "join(" in block)
    assert len([line for line in source.splitlines() if line]) <= 10
    (tmp_path / "bot.py").write_text(source)
    write_keypair(tmp_path / "key.json", place.players[1])
    crank = place.crank()
    await crank.ready()
    match = await place.create(max_frames=FRAMES)
    bot = await asyncio.create_subprocess_exec(
        sys.executable, str(tmp_path / "bot.py"), str(match.session), str(tmp_path / "key.json"), place.net.http
    )
    seat = ScriptedPlayer(Signer(bytes(place.players[0])), 0, agent("spacing"))
    async with PlayerConnection(place.net.http, place.net.ws) as connection:
        await asyncio.wait_for(connection.play(match.entity, place.world, [seat], 5), 60)
    assert await asyncio.wait_for(bot.wait(), 20) == 0
    view = await place.show(match)
    assert view.log is not None
    assert view.session.player2 == place.players[1].pubkey()
    records = [FrameRecord.decode(view.log.record(frame)) for frame in view.log.holds()]
    assert len(records) == FRAMES
    assert records[0].input2 == expected(view.start_players, 0)
    for before, record in pairwise(records):
        assert record.sources == b"\0\0"
        assert record.input2 == expected(before.players, before.frame)
