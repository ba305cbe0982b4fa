"""The crank collects its money from settled sessions without being asked."""

from __future__ import annotations

import asyncio

from daemon.rig import Place, finished

from awm_crank.client import session
from awm_crank.client.chain import Chain
from awm_crank.wire import layouts


async def test_rent_comes_home(place: Place) -> None:
    """Once a match is settled, the crank closes its checkpoints and ring and gets every lamport back.

    The result and player 1's components stay.
    """
    crank = place.crank(place.settings(collect_interval_s=1))
    await crank.ready()
    match = await place.create(max_frames=10)
    await place.join(match)
    await place.play(match)
    await place.when(match, finished)
    async with Chain(place.net.http, commitment="processed") as chain:
        for _ in range(200):
            view = await session.show(chain, match.session)
            if view.checkpoints == (None, None) and view.log_size == layouts.FRAME_LOG_BYTES:
                break
            await asyncio.sleep(0.1)
        assert view.checkpoints == (None, None)
        assert view.log_size == layouts.FRAME_LOG_BYTES
        assert view.hidden is not None
        assert (view.session.frame, view.hidden.holds) == (10, 0)
