"""Reading checkpoints: valid ones are accepted, and each fault is refused with an error that names it."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine import golden
from hypothesis import given, settings
from hypothesis import strategies as st

from awm_crank.engine.encoding import FLAGS, Encoding
from awm_crank.engine.layout import Shape
from awm_crank.engine.offline import checkpoint, seeded_checkpoint
from awm_crank.engine.offline.checkpoint import SCALES
from awm_crank.errors import CheckpointError

SHAPE = Shape(64, 96, 8, 24, 2)
FILE = seeded_checkpoint.checkpoint(SHAPE, 1)
SOURCE = checkpoint.read(FILE)


def test_read_finds_shape_scales_and_weights() -> None:
    """The tensors determine the sizes, and every parameter is counted and kept."""
    assert SOURCE.shape == SHAPE
    assert SOURCE.scales == SCALES
    content = torch.load(io.BytesIO(FILE), weights_only=True)
    assert SOURCE.total_params == sum(t.numel() for t in content["model_state_dict"].values())
    for name, tensor in content["model_state_dict"].items():
        assert np.array_equal(SOURCE.weights[name], tensor.double().numpy())


def test_state_age_embedding_is_read() -> None:
    """state_age_as_embed adds its table and its columns."""
    shape = Shape(64, 96, 8, 24, 1, encoding=Encoding(state_age_as_embed=True))
    source = checkpoint.read(seeded_checkpoint.checkpoint(shape, 1))
    assert source.shape == shape
    assert source.weights["state_age_embed.weight"].shape == (150, 8)


def test_trained_shapes_have_the_described_parameters() -> None:
    """The two shapes that matter have 4.28 M and 19.9 M parameters."""
    for shape, expected in ((Shape(384, 768, 64, 64, 4), 4.28e6), (Shape(512, 1024, 16, 64, 12), 19.9e6)):
        total = sum(int(np.prod(dims)) for dims in checkpoint.names(shape).values())
        assert total == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize("name", golden.ENCODINGS)
def test_flags_are_read(name: str) -> None:
    """Every flag set gives its shape, with the tensors that its flags ask for."""
    shape = replace(SHAPE, encoding=replace(golden.ENCODINGS[name], stick_range=0))
    assert checkpoint.read(seeded_checkpoint.checkpoint(shape, 1)).shape == shape


@pytest.mark.parametrize("flag", [name for name in FLAGS if name != "state_age_as_embed"])
def test_flag_without_its_tensors_is_refused_by_name(flag: str) -> None:
    """A flag that the tensors contradict is refused, and the flag is named."""
    with pytest.raises(CheckpointError, match=flag):
        checkpoint.from_weights(SOURCE.weights, {**SCALES, flag: True})


def test_unknown_flags_are_refused_by_name() -> None:
    """A setting that is not known is refused by its name, unless it is off."""
    with pytest.raises(CheckpointError, match="never_seen"):
        checkpoint.from_weights(SOURCE.weights, {**SCALES, "never_seen": True})
    assert checkpoint.from_weights(SOURCE.weights, {**SCALES, "never_seen": False}).shape == SHAPE


def test_training_only_settings_are_accepted() -> None:
    """Settings that matter only in training are ignored. If such a setting has changed a tensor's shape, the checkpoint
    is refused.
    """
    settings_ = {**SCALES, "multi_position": True, "ctrl_residual_to_action": True, "focal_offset": 3}
    assert checkpoint.from_weights(SOURCE.weights, settings_).shape == SHAPE
    wide = SOURCE.weights | {"p0_action_head.weight": np.zeros((400, 64 + 26))}
    with pytest.raises(CheckpointError, match=r"p0_action_head.*ctrl_residual_to_action"):
        checkpoint.from_weights(wide, settings_)


@pytest.mark.parametrize("shape", [replace(SHAPE, num_layers=17), Shape(16, 2064, 2, 8, 1), Shape(16, 32, 258, 8, 1)])
def test_shapes_that_no_cartridge_holds_are_refused(shape: Shape) -> None:
    """17 layers, a d_inner beyond 2,048 and a d_state beyond 256 are refused while reading, before any calibration."""
    weights = {name: np.zeros(dims) for name, dims in checkpoint.names(shape).items()}
    with pytest.raises(CheckpointError, match=r"num_layers|d_inner|d_state"):
        checkpoint.from_weights(weights, {})


def test_lookahead_of_one_frame_is_refused() -> None:
    """A lookahead of one frame is refused, although it is a number and not a flag."""
    with pytest.raises(CheckpointError, match="lookahead"):
        checkpoint.from_weights(SOURCE.weights, {"lookahead": 1})


def test_scales_are_read_and_checked() -> None:
    """A checkpoint's own scale is used, and a scale that makes no sense is refused."""
    assert checkpoint.from_weights(SOURCE.weights, {"xy_scale": 0.1}).scales["xy_scale"] == 0.1
    for bad in (0, -1, 50, "much"):
        with pytest.raises(CheckpointError, match="xy_scale"):
            checkpoint.from_weights(SOURCE.weights, {"xy_scale": bad})


def test_other_vocabulary_is_refused() -> None:
    """Embedding sizes are fixed, and settings that matter only in training are ignored."""
    with pytest.raises(CheckpointError, match="action_vocab"):
        checkpoint.from_weights(SOURCE.weights, {"action_vocab": 500})
    assert checkpoint.from_weights(SOURCE.weights, {"action_vocab": 400, "focal_offset": 3}).shape == SHAPE


def test_missing_left_over_misshapen_and_infinite_tensors_are_refused() -> None:
    """A tensor that is missing, left over, misshapen or infinite is refused by name."""
    weights = dict(SOURCE.weights)
    del weights["ctrl_proj.bias"]
    with pytest.raises(CheckpointError, match=r"ctrl_proj\.bias"):
        checkpoint.from_weights(weights, {})
    with pytest.raises(CheckpointError, match="hitstun_head"):
        checkpoint.from_weights({**SOURCE.weights, "hitstun_head.weight": np.zeros(3)}, {})
    with pytest.raises(CheckpointError, match=r"final_norm\.weight"):
        checkpoint.from_weights({**SOURCE.weights, "final_norm.weight": np.zeros(3)}, {})
    with pytest.raises(CheckpointError, match="finite"):
        checkpoint.from_weights({**SOURCE.weights, "final_norm.weight": np.full(64, np.inf)}, {})
    with pytest.raises(CheckpointError, match=r"layers\.0"):
        checkpoint.from_weights({}, {})


@pytest.mark.parametrize("content", [[1, 2], {"model_state_dict": {}}, {"model_state_dict": 3, "encoding_config": {}}])
def test_files_of_another_kind_are_refused(content: object) -> None:
    """A .pt file that is not one of our checkpoints is refused with what it lacks."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with pytest.raises(CheckpointError):
        checkpoint.read(buffer.getvalue())


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, len(FILE)), st.booleans())
def test_damaged_files_raise_only_checkpoint_errors(noise: bytes, cut: int, keep: bool) -> None:
    """Noise and truncated files raise CheckpointError, whatever torch makes of them."""
    data = FILE[:cut] + noise if keep else noise
    try:
        checkpoint.read(data)
    except CheckpointError as error:
        assert str(error)
