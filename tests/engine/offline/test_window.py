"""Compares windows of K frames from an empty state with the recurrence that never empties its state."""

import numpy as np
import torch

from awm_crank.engine.layout import Shape
from awm_crank.engine.offline import checkpoint, seeded_checkpoint, synthetic, window
from awm_crank.engine.offline.torch_model import TorchModel
from awm_crank.engine.seeded import Stream

SOURCE = checkpoint.read(seeded_checkpoint.checkpoint(Shape(64, 96, 8, 24, 2), 1))
MODEL = TorchModel.of_checkpoint(SOURCE)
BLOCKS = synthetic.lane(Stream(3), "window", 90, 32, (1, 2), MODEL.encoding)


def test_a_window_is_the_model_from_an_empty_state() -> None:
    """Row n of `outputs` is what the model says after frames n … n + K - 1 alone."""
    found = window.outputs(MODEL, BLOCKS, 7)
    assert len(found) == 83
    state = MODEL.zero_state()
    ctx = MODEL.advance(state, MODEL.frame_vectors(BLOCKS[40:47])[None])[0, -1]
    wanted = MODEL.outputs(ctx, BLOCKS[46][80:96], BLOCKS[47][80:96])
    assert np.allclose(found[40], wanted.numpy(), atol=1e-9)


def test_restart_of_the_whole_window_is_the_window() -> None:
    """The recurrence that restarts every K frames ends each K-th frame with the window's outputs."""
    windowed, restarted = window.outputs(MODEL, BLOCKS, 10), window.endless(MODEL, BLOCKS, restart=10)
    assert np.allclose(restarted[9::10], windowed[::10][: len(restarted[9::10])], atol=1e-9)


def test_longer_windows_come_closer() -> None:
    """Against the endless recurrence a long window differs less than a short one, and a forgetful model not at all."""
    short, long = window.difference(MODEL, BLOCKS, 3), window.difference(MODEL, BLOCKS, 60)
    assert short.regression > long.regression
    assert short.frames == 87 and long.frames == 30
    forgetful = dict(SOURCE.weights)
    for n in (0, 1):
        forgetful[f"layers.{n}.mamba.A_log"] = np.full(4, 12.0)
    model = TorchModel.of_checkpoint(checkpoint.from_weights(forgetful, {}), torch.float64)
    found = window.difference(model, BLOCKS, 20)
    assert (found.action, found.least) == (1.0, 1.0) and found.regression < 1e-6
