"""Balancing frame_proj's columns before its rows are rounded to int8.

A weight row has one scale, so a column of small weights on large inputs (such as a position) would be rounded coarsely,
although it matters most. To scale a column's inputs down and its weights up costs nothing: the inputs are features and
embeddings, which have scales of their own. Gains are powers of two, so that weights which already lie on the int8 grid
stay there. Inputs of the other matrices are norms' outputs, which are even enough: balancing those gained nothing
(docs/fidelity.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from awm_crank.engine.layout import EMBEDDINGS, Shape

Floats = NDArray[np.float64]

LEAST = -5
"""Binary logarithm of the smallest gain, the largest being 1."""
POWER = 8
"""Of the mean over a column's weights: near the largest, since a column that a single row needs must not be shrunk."""
FLOATS = "feature_mul"


def frame_gains(weight: Floats, shape: Shape) -> dict[str, Floats]:
    """The gain of each column's inputs: how large its weights are relative to their rows' largest.

    Maps `FLOATS` (a player's floats) and each embedding table's name to its columns' gains. Both players share them.
    """
    sizes = _sizes(weight)
    return _split(_gains(np.concatenate(list(_split_max(sizes, shape).values()))), shape)


def frame_columns(gains: dict[str, Floats], shape: Shape) -> Floats:
    """`frame_gains` spread over frame_proj's columns (docs/numerics.md, 6.1)."""
    player = np.concatenate([gains[name] for name in shape.player_embeddings])
    return np.concatenate([gains[FLOATS], gains[FLOATS], player, player, gains["stage_embed"]])


def _sizes(weight: Floats) -> Floats:
    share = np.abs(weight) / np.maximum(np.abs(weight).max(axis=1, keepdims=True), 1e-12)
    sizes: Floats = (share**POWER).mean(0) ** (1 / POWER)
    return sizes


def _gains(sizes: Floats) -> Floats:
    largest = max(float(sizes.max()), 1e-12)
    exponents = np.rint(np.log2(np.maximum(sizes / largest, 2.0**LEAST)))
    return np.exp2(exponents)


def _widths(shape: Shape) -> dict[str, int]:
    return {FLOATS: shape.player_floats} | {n: EMBEDDINGS[n][1] for n in [*shape.player_embeddings, "stage_embed"]}


def _split(values: Floats, shape: Shape) -> dict[str, Floats]:
    widths = _widths(shape)
    return dict(zip(widths, np.split(values, np.cumsum(list(widths.values()))[:-1]), strict=True))


def _split_max(sizes: Floats, shape: Shape) -> dict[str, Floats]:
    floats, embedded = shape.player_floats, sum(EMBEDDINGS[n][1] for n in shape.player_embeddings)
    halves = sizes[: 2 * floats].reshape(2, floats), sizes[2 * floats : 2 * (floats + embedded)].reshape(2, embedded)
    return _split(np.concatenate([*(half.max(0) for half in halves), sizes[2 * (floats + embedded) :]]), shape)
