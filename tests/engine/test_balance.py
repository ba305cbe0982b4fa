"""Gains of matrix columns."""

import numpy as np

from awm_crank.engine import balance
from awm_crank.engine.layout import Shape

SHAPE = Shape(64, 96, 8, 24, 2)
RNG = np.random.default_rng(1)


def test_gains_even_columns_out() -> None:
    """Columns eight times apart are within about a factor of two of each other afterwards; the largest gain is 1."""
    weight = RNG.normal(size=(200, 6)) * np.array([1, 1 / 2, 1 / 4, 1 / 8, 1, 1 / 3])
    gains = balance.column_gains(weight)
    sizes = np.sqrt(((weight / gains) ** 2).mean(0))
    assert sizes.max() / sizes.min() < 2.1
    assert gains.max() == 1
    assert (np.log2(gains) == np.rint(np.log2(gains))).all()


def test_empty_columns_keep_a_least_gain() -> None:
    """A column of zeros (an input that is never seen), and a matrix of them, have a gain that divides."""
    weight = RNG.normal(size=(8, 3)) * np.array([1, 0, 1])
    assert balance.column_gains(weight)[1] == 2.0**balance.LEAST
    assert (balance.column_gains(np.zeros((4, 4))) > 0).all()


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
