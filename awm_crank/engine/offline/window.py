"""Runs a model as it was trained: each frame from a window of K frames that begins with an empty state.

The engine never empties its state. How far the two are apart depends on the checkpoint, so it is measured. Offline;
needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from awm_crank.engine import frame
from awm_crank.engine.offline.torch_model import TorchModel

Floats = NDArray[np.float64]

BATCH = 64
"""Windows that run side by side."""


@dataclass(frozen=True)
class Difference:
    """The difference between two runs over the same frames.

    Attributes:
        frames: how many frames were compared.
        action: share of the frames in which both choose the same action, of both players' heads the lower one.
        least: the same share of the categorical head with the fewest equal choices.
        regression: RMS difference of a number over its own standard deviation, mean of all numbers.
    """

    frames: int
    action: float
    least: float
    regression: float


def outputs(model: TorchModel, blocks: Sequence[bytes], context_len: int) -> Floats:
    """Head outputs for each frame that ends a whole window: (frames, rows of `heads`).

    The first row is what the window of blocks 0 … K - 1 predicts about block K. The last block only gives its inputs.
    """
    count = len(blocks) - context_len
    vectors, pads = model.frame_vectors(blocks[:-1]), [frame.block_inputs(block) for block in blocks]
    windows = vectors.unfold(0, context_len, 1).transpose(1, 2)
    parts = []
    for begin in range(0, count, BATCH):
        some = windows[begin : begin + BATCH]
        ctx = model.advance(model.zero_state(len(some)), some)[:, -1]
        at = begin + context_len
        parts.append(model.outputs_batch(ctx, pads[at - 1 : at - 1 + len(some)], pads[at : at + len(some)]))
    return torch.cat(parts).double().numpy()


def endless(model: TorchModel, blocks: Sequence[bytes], restart: int = 0) -> Floats:
    """Head outputs of the recurrence that never empties its state, for every block but the last one.

    With `restart` the state is emptied every so many frames.
    """
    vectors, pads = model.frame_vectors(blocks[:-1]), [frame.block_inputs(block) for block in blocks]
    step = restart or len(vectors)
    parts = []
    for begin in range(0, len(vectors), step):
        state = model.zero_state() if restart else model.start_state(blocks[0])
        ctx = model.advance(state, vectors[None, begin : begin + step])[0]
        parts.append(model.outputs_batch(ctx, pads[begin : begin + len(ctx)], pads[begin + 1 : begin + 1 + len(ctx)]))
    return torch.cat(parts).double().numpy()


def compare(model: TorchModel, one: Floats, other: Floats) -> Difference:
    """Compares two runs. The standard deviations come from `one`."""
    slices = model.encoding.head_slices()
    same = {
        name: float((one[:, rows].argmax(1) == other[:, rows].argmax(1)).mean())
        for name, rows in slices.items()
        if name.startswith("p")
    }
    rows = model.encoding.regression_rows
    rms, spread = np.sqrt(((one - other)[:, rows] ** 2).mean(0)), one[:, rows].std(0)
    shares = rms[spread > 0] / spread[spread > 0]
    return Difference(
        frames=len(one),
        action=min(same["p0_action_head"], same["p1_action_head"]),
        least=min(same.values()),
        regression=float(shares.mean()) if shares.size else 0.0,
    )


def difference(model: TorchModel, blocks: Sequence[bytes], context_len: int) -> Difference:
    """Compares the endless recurrence with windows of `context_len` frames, over the same blocks."""
    windowed = outputs(model, blocks, context_len)
    return compare(model, windowed, endless(model, blocks)[-len(windowed) :])
