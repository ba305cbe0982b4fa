"""Our models against numbers that the prototype's own code computed: the order of every column and row, and INT8."""

from __future__ import annotations

import numpy as np
import pytest
from engine.offline import upstream

from awm_crank.engine import frame
from awm_crank.engine.offline import checkpoint
from awm_crank.engine.offline.dequantize import output_scale
from awm_crank.engine.offline.quantize import quantize
from awm_crank.engine.offline.torch_model import TorchModel
from awm_crank.engine.reference import ReferenceEngine
from awm_crank.engine.seeded import cartridge

SOURCE, ARRAYS = upstream.base_build()
FLAGS = SOURCE.shape.encoding
BLOCKS = upstream.blocks(ARRAYS["raw"], ARRAYS["stage"], FLAGS)
PADS = [frame.block_inputs(block) for block in BLOCKS]
NUMBERS = ("continuous_head", "velocity_head", "dynamics_head", "binary_head")


@pytest.mark.parametrize("name", upstream.SETS)
def test_inputs_are_the_prototype_s(name: str) -> None:
    """For every flag set a frame's floats and the conditioning controllers are its encoder's, column by column. This
    is where hitstun's place (before combo_count) comes from."""
    arrays = upstream.load("encodings")
    flags = upstream.encoding(arrays, name)
    blocks = upstream.blocks(arrays[f"{name}/raw"], arrays[f"{name}/stage"], flags)
    units = checkpoint.float_units(checkpoint.SCALES, flags)
    for n, block in enumerate(blocks):
        floats = []
        for i, player in enumerate(frame.unpack(block, flags)[:2]):
            floats.append((frame.player_raws(player, flags) + frame.controls(frame.block_inputs(block, i))) * units)
        assert np.allclose(np.concatenate(floats), arrays[f"{name}/floats"][n], atol=1e-6)
        if n:
            before, now = frame.block_inputs(blocks[n - 1]), frame.block_inputs(block)
            weights = np.concatenate([units[-13:], np.ones(flags.player_controls - 13)])[flags.control_columns]
            found = frame.conditions(before, now, flags) * weights
            assert np.allclose(found, arrays[f"{name}/ctrl"][n - 1], atol=1e-6)


def test_float_model_is_the_prototype_s() -> None:
    """Over 96 teacher-forced frames from an empty state, every number is within 1e-4 and every choice the same."""
    model = TorchModel.of_checkpoint(SOURCE)
    ctx = model.advance(model.zero_state(), model.frame_vectors(BLOCKS[:-1])[None])[0]
    out = model.outputs_batch(ctx, PADS[:-1], PADS[1:]).numpy()
    for head, rows in FLAGS.head_slices().items():
        if head in NUMBERS:
            assert np.abs(out[:, rows] - ARRAYS[f"out/{head}"]).max() < 1e-4
        else:
            assert np.array_equal(out[:, rows].argmax(1), ARRAYS[f"out/{head.removesuffix('_head')}_argmax"])


def test_integers_agree_with_the_prototype() -> None:
    """The quantized model, on the same frames: numbers at most 3 % off, 99 % of all choices the same, and every
    choice whose margin is above the head's 10th percentile."""
    made = quantize(SOURCE, name="base build", frames=100)
    engine = ReferenceEngine(made)
    state = engine.load(bytes(engine.state_size))
    outputs = np.stack([
        engine.outputs(engine.backbone(state, block), PADS[n], PADS[n + 1]) for n, block in enumerate(BLOCKS[:-1])
    ]) * output_scale(made, checkpoint.float_units(SOURCE.scales, FLAGS))  # fmt: skip
    same, clear = [], []
    for head, rows in FLAGS.head_slices().items():
        found = outputs[:, rows]
        if head == "binary_head":
            assert ((found > 0) == (ARRAYS[f"out/{head}"] > 0)).mean() >= 0.99
        elif head in NUMBERS:
            wanted = ARRAYS[f"out/{head}"]
            assert (np.sqrt(((found - wanted) ** 2).mean(0)) <= 0.03 * wanted.std(0)).all()
        else:
            name = f"out/{head.removesuffix('_head')}"
            equal, margin = found.argmax(1) == ARRAYS[f"{name}_argmax"], ARRAYS[f"{name}_margin"]
            same.append(equal.mean())
            clear.append(equal[margin > np.percentile(margin, 10)].mean())
    assert np.mean(same) >= 0.99
    assert np.mean(clear) >= 0.999


def test_seeded_cartridge_of_these_flags_has_these_outputs() -> None:
    """The rows of a flagged cartridge's heads are as many as the prototype's heads have."""
    made = cartridge(SOURCE.shape, 1)
    assert made.extra_size == 6 and made.shape.encoding == FLAGS
    assert len(made.arrays["heads.w"]) == sum(ARRAYS[f"out/{head}"].shape[1] for head in NUMBERS) + 1020
