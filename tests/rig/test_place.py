"""A place to play: keys, sessions and cranks on a running localnet."""

from __future__ import annotations

import stat
from pathlib import Path

from awm_crank.client import session
from awm_crank.engine.seeded import lasting
from awm_crank.localnet.rig import EmbeddedLocalnet
from awm_crank.rig.place import Place


async def test_sessions_of_other_players(tmp_path: Path) -> None:
    """A session belongs to the named players, accepts the crank's frames, and begins when player 2 joins."""
    async with EmbeddedLocalnet() as net, await Place.make(net, tmp_path, lasting()) as place:
        assert stat.S_IMODE(place.key_path.stat().st_mode) == 0o600
        assert not place.in_rollup
        one, two = net.funded(), net.funded()
        match = await place.create(3, 5, players=(one, two))
        await place.join(match, two)
        view = await session.show(place.chain, match.session)
        state = view.session
        assert view.hidden is not None
        assert view.hidden.writer == place.crank_key.pubkey()
        assert (state.player1, state.player2) == (one.pubkey(), two.pubkey())
        assert (state.seed, state.max_frames, state.status) == (3, 5, 2)
