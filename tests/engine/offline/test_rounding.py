"""Rounding that minimizes the error of products."""

import numpy as np

from awm_crank.engine.offline.rounding import compensated

RNG = np.random.default_rng(3)
K, ROWS = 96, 40
MIX = RNG.normal(size=(12, K))
INPUTS = RNG.normal(size=(4000, 12)) @ MIX + 0.3 * RNG.normal(size=(4000, K)) + 1.0
WEIGHT = RNG.normal(size=(ROWS, K))
SCALE = np.abs(WEIGHT).max(1) / 127
MOMENT = INPUTS.T @ INPUTS / len(INPUTS)


def error(weight: np.ndarray, bias: np.ndarray | float = 0.0) -> float:
    return float((((INPUTS @ (weight - WEIGHT).T) + bias) ** 2).mean())


def test_products_are_nearer_than_with_plain_rounding() -> None:
    """On correlated inputs, the products' error falls to a third or less of that with plain rounding."""
    q, none = compensated(WEIGHT, SCALE, MOMENT)
    plain = np.rint(WEIGHT / SCALE[:, None]) * SCALE[:, None]
    assert none.size == 0
    assert (q == np.rint(q)).all()
    assert np.abs(q).max() <= 127
    assert error(q * SCALE[:, None]) < error(plain) / 3


def test_a_bias_takes_the_mean_over() -> None:
    """The adjusted bias makes the products right on average."""
    bias = RNG.normal(size=ROWS)
    ones = np.concatenate([INPUTS, np.ones((len(INPUTS), 1))], 1)
    q, moved = compensated(WEIGHT, SCALE, ones.T @ ones / len(ones), bias)
    off = INPUTS.mean(0) @ (q * SCALE[:, None] - WEIGHT).T
    assert np.abs(off + moved - bias).max() < 0.2 * SCALE.max()
    assert np.abs(off).max() > np.abs(off + moved - bias).max()


def test_whole_numbers_stay() -> None:
    """Weights on the grid are returned unchanged, whatever the inputs."""
    whole = np.rint(WEIGHT / SCALE[:, None])
    q, _ = compensated(whole * SCALE[:, None], SCALE, MOMENT)
    assert (q == whole).all()


def test_inputs_never_seen_are_rounded_plainly() -> None:
    """If the inputs' second moments are all zero, the result is plain rounding."""
    q, _ = compensated(WEIGHT, SCALE, np.zeros((K, K)))
    assert (q == np.rint(WEIGHT / SCALE[:, None])).all()
