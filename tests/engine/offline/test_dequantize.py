"""Dequantized weights: the numbers that a cartridge's integers represent."""

from itertools import pairwise

import numpy as np

from awm_crank.engine.offline import checkpoint
from awm_crank.engine.offline.dequantize import HEAD_SLICES, dequantize, output_units
from awm_crank.engine.seeded import SHAPES, cartridge


def test_every_checkpoint_name_has_its_weights() -> None:
    """A dequantized cartridge has the tensors of a checkpoint of its shape, and the two rows of units."""
    cart = cartridge(SHAPES["tiny"], 1)
    expected = checkpoint.names(cart.shape) | {"feature_units": (29,), "ctrl_units": (13,)}
    assert {name: w.shape for name, w in dequantize(cart).items()} == expected
    assert all(np.isfinite(w).all() for w in dequantize(cart).values())


def test_head_slices_cover_all_rows() -> None:
    """Every row of the heads matrix belongs to exactly one head."""
    rows = sorted(HEAD_SLICES.values())
    assert rows[0][0] == 0 and rows[-1][1] == 1050
    assert all(a[1] == b[0] for a, b in pairwise(rows))


def test_units_are_the_encoding_s_scales() -> None:
    """A raw unit of x weighs 0.05/256 in the frame vector, and in the output that predicts x."""
    cart = cartridge(SHAPES["tiny"], 1)
    units = dequantize(cart)["feature_units"]
    assert np.allclose(
        units[[0, 1, 4, 9, 10, 11, 13, 16]], [1 / 25600, 1 / 5120, 1 / 5120, 0.01, 0.1, 0.25, 1, 1 / 255]
    )
    outputs = output_units(cart.shape, units)
    assert np.allclose(outputs[[0, 1, 5, 8, 17, 18, 19, 20]], units[[0, 1, 1, 4, 8, 10, 11, 12]])
