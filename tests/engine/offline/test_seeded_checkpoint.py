"""Seeded checkpoints: the demo's world."""

import numpy as np

from awm_crank.engine import frame
from awm_crank.engine.layout import Shape
from awm_crank.engine.offline import checkpoint, seeded_checkpoint
from awm_crank.engine.offline.calibrate import rollout
from awm_crank.engine.offline.torch_model import TorchModel
from awm_crank.engine.seeded import SHAPES, Stream, random_inputs


def test_same_seed_same_weights() -> None:
    """The same seed gives the same model, and another seed another one."""
    shape = Shape(64, 64, 4, 16, 1)
    first, again, other = (checkpoint.read(seeded_checkpoint.checkpoint(shape, seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(first.weights[n], again.weights[n]) for n in first.weights)
    assert not np.array_equal(first.weights["frame_proj.weight"], other.weights["frame_proj.weight"])


def test_small_models_are_noise_only() -> None:
    """A checkpoint of less than the world's size is noise, and can still be read."""
    assert checkpoint.read(seeded_checkpoint.checkpoint(SHAPES["tiny"], 1)).shape == SHAPES["tiny"]


def test_the_world_obeys_sticks_and_stays_bounded() -> None:
    """Holding right goes right, holding left goes left, and nobody leaves the stage or loses all stocks at once."""
    model = TorchModel.of_checkpoint(checkpoint.read(seeded_checkpoint.checkpoint(SHAPES["demo"], 3)))
    start = frame.start_block(32, (1, 2))
    ends = []
    for stick in (80, -80):
        pad = frame.CONTROLLER.pack(stick, 0, 0, 0, 0, 0, 0, 0)
        *_, last = rollout(model, [start], [[pad + bytes(8)] * 90])[0]
        ends.append(frame.unpack(last)[0]["x"])
    assert ends[0] > ends[1] + 20 * 256
    for block in rollout(model, [start], [random_inputs(Stream(3), "bounded", 300)])[0]:
        for player in frame.unpack(block)[:2]:
            assert abs(player["x"]) < 85 * 256 and -20 * 256 < player["y"] < 60 * 256
            assert player["stocks"] >= 3
