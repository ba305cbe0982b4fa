"""Synthetic frames: valid, the same everywhere, and moving as a match does."""

import numpy as np
import pytest
from engine import golden

from awm_crank.engine import frame
from awm_crank.engine.encoding import PLAIN, Encoding
from awm_crank.engine.offline.synthetic import lane
from awm_crank.engine.seeded import Stream


@pytest.mark.parametrize("encoding", [PLAIN, golden.ALL], ids=["plain", "all flags"])
def test_frames_are_valid_and_reproducible(encoding: Encoding) -> None:
    """Every block is one that an engine accepts, and a seed and a name give the same frames again."""
    blocks = lane(Stream(1), "a", 300, 32, (1, 20), encoding)
    assert len(blocks) == 300
    for block in blocks:
        assert len(block) == encoding.block_size
        frame.unpack(block, encoding)
    assert blocks == lane(Stream(1), "a", 300, 32, (1, 20), encoding)
    assert blocks != lane(Stream(1), "b", 300, 32, (1, 20), encoding)


def test_frames_move_as_a_match_does() -> None:
    """Positions move by a few units a frame, an action stays for several frames, and its age counts them."""
    players = [frame.unpack(block, golden.ALL)[0] for block in lane(Stream(2), "m", 600, 32, (1, 20), golden.ALL)]
    x, action, age = (np.array([player[name] for player in players]) for name in ("x", "action_state", "state_age"))
    assert 0 < np.abs(np.diff(x)).max() <= 700 and np.abs(x).max() <= 76 * 256
    changes = np.diff(action) != 0
    assert 10 < changes.sum() < 200
    assert np.array_equal(age[1:], np.where(changes, 0, age[:-1] + 1))
    assert {player["hitstun"] for player in players} > {0} and len({player["state_flags"] for player in players}) > 100
