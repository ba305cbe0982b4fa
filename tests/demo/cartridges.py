"""Seeded cartridges in which no player is ever knocked out, so that a match lasts as long as a test wants."""

from __future__ import annotations

from functools import cache

from awm_crank.engine import tables
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.seeded import SHAPES, cartridge

# the rows of `heads` that predict each player's stocks, after 8 continuous rows, 10 velocity rows and hitlag
_STOCK_ROWS = (19, 22)


@cache
def enduring(shape: str = "tiny", seed: int = 1) -> Cartridge:
    """A seeded cartridge whose stock heads predict four or more, whatever they read."""
    base = cartridge(SHAPES[shape], seed)
    arrays = {name: array.copy() for name, array in base.arrays.items()}
    for row in _STOCK_ROWS:
        arrays["heads.w"][row] = 0
        scale = 1 << base.formats.s_heads
        arrays["heads.b"][row] = 8 * (1 << base.formats.head_frac[row]) * scale // int(arrays["heads.m"][row])
    return Cartridge.build(
        name="enduring", version=1, shape=base.shape, formats=base.formats, luts=tables.build(), arrays=arrays,
        total_params=base.total_params,
    )  # fmt: skip


@cache
def knockout() -> Cartridge:
    """An unchanged seeded cartridge. Its noise leaves a player without stocks after a few frames."""
    return cartridge(SHAPES["tiny"], 1)
