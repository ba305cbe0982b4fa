"""The seeded cartridge compared with floating point over 600 teacher-forced frames of two sessions."""

import numpy as np
import pytest
import torch
from engine import golden

from awm_crank.engine import frame
from awm_crank.engine.layout import CLASSES
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.offline import checkpoint, fidelity, seeded_checkpoint
from awm_crank.engine.offline.fidelity import Fidelity
from awm_crank.engine.offline.torch_model import TorchModel
from awm_crank.engine.seeded import SHAPES, Stream, random_inputs

FRAMES = 600
SEED = 3
HEADS = [f"p{p} {name}" for p in (0, 1) for name in CLASSES]


def sessions(frames: int) -> list[list[bytes]]:
    """Two matches of the cartridge's own."""
    starts = [frame.start_block(32, (1, 2)), frame.start_block(31, (18, 22))]
    inputs = [random_inputs(Stream(77), f"fidelity {i}", frames) for i in range(2)]
    return fidelity.play(NativeEngine(golden.seeded_world()), starts, inputs)


def measured(model: TorchModel) -> Fidelity:
    """Compares 600 frames with a model."""
    return fidelity.measure(NativeEngine(golden.seeded_world()), model, sessions(FRAMES), report_at=(10, 100))


@pytest.fixture(scope="module")
def own() -> Fidelity:
    """Compares with FP32 on the cartridge's dequantized weights, and prints the table."""
    result = measured(fidelity.dequantized_model(golden.seeded_world()))
    print(f"against FP32 on the cartridge's own weights: {result}")  # noqa: T201
    return result


@pytest.mark.parametrize("head", HEADS)
def test_every_head_agrees(own: Fidelity, head: str) -> None:
    """Each categorical head agrees on at least 95 % of the frames, the requirement, and on 99 %, the usual figure."""
    assert own.agreement[head] >= 0.99
    assert own.confident_agreement[head] >= 0.999


@pytest.mark.parametrize("head", HEADS)
def test_no_head_is_constant(own: Fidelity, head: str) -> None:
    """The figures mean something: FP32 shows ten actions, and at least two values of every other head."""
    assert own.distinct[head] >= (10 if head.endswith("action") else 2)


def test_numbers_follow(own: Fidelity) -> None:
    """Regressions are within 3 % of their own spread, binaries agree on 99 %, and the state is 40 dB above its
    error.
    """
    assert max(own.regression.values()) <= 0.03, own.regression
    assert (
        min(own.agreement[name] for name in own.agreement if name.split()[1] in ("facing", "invulnerable", "on_ground"))
        >= 0.99
    )
    assert own.state_snr_db[FRAMES] >= 40
    assert own.state_snr_db[FRAMES] >= own.state_snr_db[100] - 3


def test_checkpoint_itself_is_followed() -> None:
    """Rounding the weights changes the model's choices little, compared with the checkpoint's own FP32 weights. Prints
    the table.
    """
    source = checkpoint.read(seeded_checkpoint.checkpoint(SHAPES["demo"], SEED))
    result = measured(fidelity.checkpoint_model(source))
    print(f"against FP32 on the checkpoint's weights: {result}")  # noqa: T201
    assert min(result.agreement[head] for head in HEADS) >= 0.8


def test_a_wrong_model_is_seen() -> None:
    """The comparison can fail: another seed's model agrees on almost nothing."""
    source = checkpoint.read(seeded_checkpoint.checkpoint(SHAPES["demo"], SEED + 1))
    model = fidelity.checkpoint_model(source)
    world = golden.seeded_world()
    result = fidelity.measure(NativeEngine(world), model, sessions(40), own=fidelity.dequantized_model(world))
    assert result.agreement["p0 action"] < 0.5
    assert max(result.regression.values()) > 0.5
    assert result.state_snr_db[40] >= 40
    assert fidelity.measure(NativeEngine(world), model, sessions(40)).state_snr_db[40] < 10


def test_matches_begin_anew() -> None:
    """The frames to compare begin another match when one has lasted long enough, or a player has no stocks left."""
    lane = sessions(fidelity.MATCH_FRAMES + 5)[0]
    assert lane[fidelity.MATCH_FRAMES] == lane[0]
    assert all(block[25] and block[57] for block in lane)
    assert lane[fidelity.MATCH_FRAMES + 1] != lane[1]


def test_sessions_side_by_side_are_what_they_are_alone() -> None:
    """Many sessions at once, in chunks, give the outputs that the model gives frame by frame."""
    model = fidelity.dequantized_model(golden.seeded_world(), torch.float64)
    lanes = sessions(6)
    pads = [[block[80:96] for block in lane[1:]] for lane in lanes]
    whole = fidelity._float_run(model, lanes, pads, None)
    for i, lane in enumerate(lanes):
        state = model.start_state(lane[0])
        for n in range(6):
            out = model.outputs(model.backbone(state, lane[n]), frame.block_inputs(lane[n]), pads[i][n])
            assert np.allclose(whole[6 * i + n], out.numpy(), rtol=1e-9, atol=1e-9)
