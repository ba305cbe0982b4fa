"""A world simple enough to show what a key does: the stick moves its fighter sideways, and nothing else happens."""

from __future__ import annotations

from functools import cache

from awm_crank.engine import tables
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.layout import CTRL_DIM
from awm_crank.engine.seeded import SHAPES, cartridge

SPEED = 1.0
"""Game units a frame at a full tilt of 80."""
_UNITS = 256  # positions are in 1/256 units
_STOCKS = (19, 22)  # rows of `heads`
_DELTA_X = (1, 5)
_DELTAS = 18  # continuous and velocity rows come first
_TILT = 80 / 255
_CENTRE = 128 / 255


@cache
def steered() -> Cartridge:
    """Each player's x changes only by their own stick, one unit a frame at full tilt; stocks stay at four.

    Player n's stick is alone in channel n of the last layer's output, and the row of their x reads that channel.
    """
    base = cartridge(SHAPES["tiny"], 1)
    f = base.formats
    arrays = {name: array.copy() for name, array in base.arrays.items()}
    for row in _STOCKS:
        arrays["heads.w"][row] = 0
        arrays["heads.b"][row] = 8 * (1 << f.head_frac[row]) * (1 << f.s_heads) // int(arrays["heads.m"][row])
    arrays["heads.w"][:_DELTAS] = 0
    arrays["heads.b"][:_DELTAS] = 0
    one = 1 << f.f_ctrl
    for player, row in enumerate(_DELTA_X):
        stick = player * (CTRL_DIM // 2)
        # nothing of the frame passes through this channel
        arrays["final_norm"][player] = 0
        arrays["ctrl_proj.w"][player] = 0
        arrays["ctrl_proj.w"][player, stick] = 127
        arrays["ctrl_proj.b"][player] = -round(127 * one * _CENTRE)
        full = 127 * one * _TILT
        arrays["ctrl_proj.m"][player] = round(3000 * (1 << f.s_ctrl_proj) / full)
        arrays["heads.w"][row, player] = 127
        arrays["heads.m"][row] = round(SPEED * _UNITS * (1 << f.head_frac[row]) * (1 << f.s_heads) / (127 * 3000))
    return Cartridge.build(
        name="steered", version=1, shape=base.shape, formats=f, luts=tables.build(), arrays=arrays,
        total_params=base.total_params,
    )  # fmt: skip
