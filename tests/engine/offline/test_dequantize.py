"""Dequantized weights: the numbers that a cartridge's integers represent."""

import numpy as np
import pytest
from engine import golden

from awm_crank.engine.encoding import Encoding
from awm_crank.engine.offline import checkpoint
from awm_crank.engine.offline.dequantize import dequantize, output_units
from awm_crank.engine.seeded import SHAPES, cartridge


def test_every_checkpoint_name_has_its_weights() -> None:
    """A dequantized cartridge has the tensors of a checkpoint of its shape, and the two rows of units."""
    cart = cartridge(SHAPES["tiny"], 1)
    expected = checkpoint.names(cart.shape) | {"feature_units": (29,), "ctrl_units": (13,)}
    assert {name: w.shape for name, w in dequantize(cart).items()} == expected
    assert all(np.isfinite(w).all() for w in dequantize(cart).values())


@pytest.mark.parametrize("encoding", golden.ENCODINGS.values(), ids=golden.ENCODINGS)
def test_heads_cover_all_rows(encoding: Encoding) -> None:
    """Every row of the heads matrix belongs to exactly one head of the checkpoint, whatever the flags."""
    rows = sorted(row for rows in encoding.head_slices().values() for row in rows)
    assert rows == list(range(encoding.head_rows))
    assert sorted(encoding.regression_rows + encoding.binary_rows) == encoding.number_rows


def test_units_are_the_encoding_s_scales() -> None:
    """One raw unit of x equals 0.05/256 in the frame vector, and also in the output that predicts x."""
    cart = cartridge(SHAPES["tiny"], 1)
    units = dequantize(cart)["feature_units"]
    assert np.allclose(
        units[[0, 1, 4, 9, 10, 11, 13, 16]], [1 / 25600, 1 / 5120, 1 / 5120, 0.01, 0.1, 0.25, 1, 1 / 255]
    )
    outputs = output_units(cart.shape.encoding, units)
    assert np.allclose(outputs[[0, 1, 5, 8, 17, 18, 19, 20]], units[[0, 1, 1, 4, 8, 10, 11, 12]])
