"""Calibration ranges."""

import numpy as np
import pytest

from awm_crank.engine import frame
from awm_crank.engine.layout import Shape
from awm_crank.engine.offline import checkpoint, seeded_checkpoint
from awm_crank.engine.offline.calibrate import calibrate, rollout
from awm_crank.engine.offline.torch_model import TorchModel
from awm_crank.engine.seeded import Stream, random_inputs
from awm_crank.errors import CheckpointError

SHAPE = Shape(64, 64, 4, 16, 2)
SOURCE = checkpoint.read(seeded_checkpoint.checkpoint(SHAPE, 1))
MODEL = TorchModel.of_checkpoint(SOURCE)
START = frame.start_block(32, (1, 2))


def test_ranges_name_every_activation_and_states_by_row() -> None:
    """Each layer's activations and the residual have a positive range.

    The state and its input have one for each row.
    """
    ranges = calibrate(MODEL, frames=6).ranges
    for n in range(2):
        for name in ("in", "z", "xbc", "conv", "b", "push", "h", "y", "x", "drive", "out"):
            assert float(ranges[f"layers.{n}.{name}"].max()) > 0
        for name in ("h", "x", "drive", "y"):
            assert ranges[f"layers.{n}.{name}"].shape == (4, 16)
    assert {"res", "final", "hfin"} <= set(ranges)


def test_real_frames_never_shrink_a_range() -> None:
    """Calibrating with real frames gives ranges at least as wide as the model's own play, and moments of the real
    frames only."""
    short = calibrate(MODEL, frames=6, blocks=START)  # one block: its own play alone
    blocks = b"".join(rollout(MODEL, [START], [random_inputs(Stream(4), "real", 9)])[0])
    forced = calibrate(MODEL, frames=6, blocks=blocks)
    for name, value in short.ranges.items():
        assert (forced.ranges[name] >= value).all()
    vectors = MODEL.frame_vectors([blocks[i : i + 97] for i in range(0, len(blocks) - 97, 97)])
    assert np.allclose(forced.moments["frame"][-1, :-1], vectors.mean(0).numpy())
    assert forced.moments["frame"][-1, -1] == short.moments["hfin"][-1, -1] == 1


def test_slow_heads_reach_what_they_reach_in_the_end() -> None:
    """For a head that forgets in 700 frames, twelve frames give about the same range as three hundred."""
    weights = dict(SOURCE.weights)
    for n in range(2):
        weights[f"layers.{n}.mamba.dt_bias"] = np.full(4, -6.5)
        weights[f"layers.{n}.mamba.A_log"] = np.zeros(4)
    model = TorchModel.of_checkpoint(checkpoint.from_weights(weights, {}))
    short, long = (calibrate(model, frames=frames).ranges["layers.0.h"].amax(1) for frames in (12, 300))
    played = rollout(model, [START], [random_inputs(Stream(9), "seen", 12)])[0]
    state = model.zero_state()
    model.advance(state, model.frame_vectors(played)[None])
    assert (short > 4 * state.h[0, 0].abs().flatten(1).amax(1)).all()
    assert ((short / long > 0.5) & (short / long < 4)).all()


def test_part_of_a_frame_is_refused() -> None:
    """Real frames that do not fill whole blocks are refused."""
    with pytest.raises(CheckpointError, match="calibration frames"):
        calibrate(MODEL, frames=1, blocks=START + b"x")


def test_exploding_models_are_refused() -> None:
    """Activations that are not finite raise an error that names one of them."""
    weights = {
        name: w * (1e308 if name == "layers.0.mamba.in_proj.weight" else 1) for name, w in SOURCE.weights.items()
    }
    with pytest.raises(CheckpointError, match="finite"):
        calibrate(TorchModel.of_checkpoint(checkpoint.from_weights(weights, {})), frames=2)
