"""A crank serves forked models: shards of several authorities that form one cartridge."""

from __future__ import annotations

import pytest
from client.test_fork import SHARD, changed
from daemon.rig import Place, expected_records, finished, lasting

from awm_crank.client import fork, publish
from awm_crank.localnet.rig import EmbeddedLocalnet

FRAMES = 40


async def test_forked_model(net: EmbeddedLocalnet, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session on a fork that shares some shards and replaces others is played with the fork's weights."""
    monkeypatch.setattr(publish, "SHARD_SIZE", SHARD)
    made, other = lasting(seed=4), changed(lasting(seed=4), 5000)
    parent = await publish.publish(place.chain, net.faucet, place.world, made)
    forked = await fork.fork(place.chain, net.funded(), place.world, parent.model, cartridge=other)
    assert 0 < len(forked.shared) < len(parent.shards)
    place.model = forked.published.model
    crank = place.crank()
    await crank.ready()
    match = await place.create(max_frames=FRAMES)
    await place.join(match)
    await place.play(match)
    view = await place.when(match, finished)
    assert view.session.model == forked.published.model
    assert view.log is not None
    played = [view.log.record(frame) for frame in view.log.holds()]
    assert played == expected_records(other, view, FRAMES)
    assert played != expected_records(made, view, FRAMES)
