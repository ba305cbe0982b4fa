"""The gains of matrix columns."""

import numpy as np

from awm_crank.engine.layout import Shape
from awm_crank.engine.offline import balance

SHAPE = Shape(64, 96, 8, 24, 2)
RNG = np.random.default_rng(1)


def test_gains_even_columns_out() -> None:
    """Gains bring columns whose sizes differ eightfold nearer to each other.

    They are powers of two, and the largest is 1. An input that no row reads gets the smallest gain.
    """
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
    """Both players' columns of frame_proj share a gain, which is as large as the player with the larger column
    needs.
    """
    weight = RNG.normal(size=(64, SHAPE.frame_dim)) / 16
    weight[:, SHAPE.player_floats + 1] *= 16
    gains = balance.frame_gains(weight, SHAPE)
    assert gains[balance.FLOATS][1] == 1 > gains[balance.FLOATS][2]
    columns = balance.frame_columns(gains, SHAPE)
    assert columns.shape == (SHAPE.frame_dim,)
    assert columns[1] == columns[SHAPE.player_floats + 1] == 1
    assert (columns[58:118] == columns[118:178]).all()
