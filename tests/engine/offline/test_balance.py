"""Gains of matrix columns."""

import numpy as np

from awm_crank.engine.layout import Shape
from awm_crank.engine.offline import balance

SHAPE = Shape(64, 96, 8, 24, 2)
RNG = np.random.default_rng(1)


def test_gains_even_columns_out() -> None:
    """Columns of the frame eight times apart come nearer each other; gains are powers of two, the largest 1; an input
    that no row reads keeps the least."""
    weight = RNG.normal(size=(64, SHAPE.frame_dim)) / 16
    weight[:, : 2 * SHAPE.player_floats] *= 8
    weight[:, 3] = weight[:, SHAPE.player_floats + 3] = 0
    gains = balance.frame_columns(balance.frame_gains(weight, SHAPE), SHAPE)
    read = np.abs(weight).max(0) > 0
    before, after = (np.sqrt((w[:, read] ** 2).mean(0)) for w in (weight, weight / gains))
    assert before.max() / before.min() > 8 > 4 > after.max() / after.min()
    assert gains.max() == 1
    assert (np.log2(gains) == np.rint(np.log2(gains))).all()
    assert gains[3] == 2.0**balance.LEAST
    assert all((g > 0).all() for g in balance.frame_gains(0 * weight, SHAPE).values())


def test_both_players_share_gains() -> None:
    """frame_proj's columns get the same gain for both players, as large as the one of them asks that needs more."""
    weight = RNG.normal(size=(64, SHAPE.frame_dim)) / 16
    weight[:, SHAPE.player_floats + 1] *= 16
    gains = balance.frame_gains(weight, SHAPE)
    assert gains[balance.FLOATS][1] == 1 > gains[balance.FLOATS][2]
    columns = balance.frame_columns(gains, SHAPE)
    assert columns.shape == (SHAPE.frame_dim,)
    assert columns[1] == columns[SHAPE.player_floats + 1] == 1
    assert (columns[58:118] == columns[118:178]).all()
