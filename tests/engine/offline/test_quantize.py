"""Quantization: the integers are close to the floats, and unusable checkpoints are refused."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine import golden

from awm_crank.engine import frame, native
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.encoding import PLAIN, Encoding
from awm_crank.engine.layout import Shape
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.offline import balance, checkpoint, seeded_checkpoint
from awm_crank.engine.offline.calibrate import calibrate, rollout
from awm_crank.engine.offline.dequantize import dequantize, output_units
from awm_crank.engine.offline.fidelity import row_bits
from awm_crank.engine.offline.quantize import fraction_bits, quantize
from awm_crank.engine.offline.torch_model import TorchModel
from awm_crank.engine.reference import ReferenceEngine
from awm_crank.engine.seeded import Stream, random_inputs
from awm_crank.errors import AwmError, CheckpointError

SHAPE = Shape(64, 96, 8, 24, 2)
SOURCE = checkpoint.read(seeded_checkpoint.checkpoint(SHAPE, 5))
CART = quantize(SOURCE, name="small", version=7, frames=20)


def test_fraction_bits_are_the_most_that_fit() -> None:
    """One more fraction bit would exceed the limit, unless the range of bits ends there."""
    assert fraction_bits(1.0, 32767, 0, 20) == 14
    assert fraction_bits(1.1, 32767, 0, 20) == 14
    assert fraction_bits(2.1, 32767, 0, 20) == 13
    assert fraction_bits(0.0, 32767, 0, 9) == 9
    assert fraction_bits(1e9, 32767, 3, 9) == 3


def test_products_come_back() -> None:
    """The cartridge's model differs from the checkpoint's by at most half a percent of an output's variance."""
    model, own = TorchModel.of_checkpoint(SOURCE), TorchModel(dequantize(CART), SHAPE)
    blocks = rollout(model, [frame.start_block(32, (1, 2))], [random_inputs(Stream(5), "products", 40)])[0]
    said = []
    for each in (model, own):
        ctx = each.advance(each.zero_state(), each.frame_vectors(blocks)[None])[0]
        out = each.outputs_batch(ctx, *[[block[80:96] for block in blocks]] * 2).numpy()
        out[:, :24] /= output_units(SHAPE.encoding, each.units)
        said.append(out)
    error = ((said[1] - said[0]) ** 2).mean(0)
    share = error / said[0].var(0)
    assert np.quantile(share, 0.95) < 0.05
    assert np.median(share) < 0.005


def test_weights_on_the_grid_stay_there() -> None:
    """A matrix that is already rounded to int8 rows stays as it is."""
    name = "layers.0.mamba.out_proj.weight"
    weight = SOURCE.weights[name]
    scale = np.maximum(1e-12, np.abs(weight).max(axis=1, keepdims=True) / 127)
    rounded = np.rint(weight / scale) * scale
    cart = quantize(checkpoint.from_weights(SOURCE.weights | {name: rounded}, {}), name="grid", frames=20)
    assert np.abs(dequantize(cart)[name] - rounded).max() < 1e-6 * np.abs(rounded).max()


def test_constant_inputs_leave_no_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bias compensates the rounding error of inputs that are the same in all frames, as character and stage are."""
    weight = SOURCE.weights["frame_proj.weight"]
    columns = balance.frame_columns(balance.frame_gains(weight, SHAPE), SHAPE)
    scale = np.maximum(np.abs(weight / columns).max(axis=1, keepdims=True), 1e-12) / 127
    on_grid = np.rint(weight / columns / scale) * scale * columns
    source = checkpoint.from_weights(SOURCE.weights | {"frame_proj.weight": on_grid}, {})
    model = TorchModel.of_checkpoint(source)
    blocks = rollout(model, [frame.start_block(32, (1, 2))], [random_inputs(Stream(6), "constant", 60)])[0]

    def offset() -> float:
        cart = quantize(source, name="constant", frames=2, blocks=b"".join(blocks))
        residuals = []
        for each in (model, TorchModel(dequantize(cart), SHAPE)):
            constant = each.frame_vectors(blocks)
            mean, same = constant.mean(0), constant.var(0) < 1e-12
            residuals.append((mean * same) @ each.w["frame_proj.weight"].T + each.w["frame_proj.bias"])
        return float((residuals[1] - residuals[0]).double().pow(2).mean().sqrt())

    given_back = offset()
    monkeypatch.setattr("awm_crank.engine.offline.quantize.CONSTANT", -1.0)
    assert given_back < 0.8 * offset()


def test_small_tensors_are_nearly_exact() -> None:
    """Convolutions, D, A, dt and norms lose less than a thousandth of their tensor's size."""
    real = dequantize(CART)
    for name, weight in SOURCE.weights.items():
        if name.endswith(("conv1d.weight", "conv1d.bias", ".D", "A_log", "dt_bias", "norm.weight")):
            assert np.abs(real[name] - weight).max() <= 1e-3 * np.abs(weight).max(), name


def test_names_and_parameters_are_kept() -> None:
    """The cartridge carries the name, the version and the checkpoint's parameter count."""
    assert (CART.name, CART.version, CART.total_params) == ("small", 7, SOURCE.total_params)
    assert CART.shape == replace(SHAPE, row_gains=True)


def test_quantizing_twice_gives_the_same_bytes() -> None:
    """The same checkpoint and calibration always give the same bytes."""
    assert quantize(SOURCE, name="small", version=7, frames=20).data == CART.data


def test_other_encodings_reach_the_feature_table() -> None:
    """A checkpoint's own scale changes the weight of a raw unit, apart from the gain that balances its column."""
    other = checkpoint.from_weights(SOURCE.weights, {"xy_scale": 0.025})
    units = dequantize(quantize(other, name="other", frames=4))["feature_units"]
    gain = balance.frame_gains(SOURCE.weights["frame_proj.weight"], SHAPE)[balance.FLOATS][1]
    assert units[1] == pytest.approx(gain * 0.025 / 256, rel=1e-4)


def test_state_age_embedding_quantizes() -> None:
    """A checkpoint with the supported flag gives a cartridge that runs."""
    shape = Shape(64, 64, 4, 16, 1, encoding=Encoding(state_age_as_embed=True))
    cart = quantize(checkpoint.read(seeded_checkpoint.checkpoint(shape, 2)), name="age", frames=4)
    assert cart.shape == replace(shape, row_gains=True)
    assert cart.arrays["state_age_embed"].any()


@pytest.mark.parametrize("name", ["layers.0.mamba.out_proj.weight", "layers.0.mamba.in_proj.weight", "heads"])
def test_huge_weights_are_quantized_or_refused(name: str) -> None:
    """Weights that are a million times too large never give a cartridge without the loader's proof."""
    chosen = "p0_action_head.weight" if name == "heads" else name
    weights = {n: w * (1e6 if n == chosen else 1) for n, w in SOURCE.weights.items()}
    try:
        cart = quantize(checkpoint.from_weights(weights, {}), name="huge", frames=2)
    except AwmError as error:
        assert str(error)
    else:
        assert Cartridge.parse(cart.data).sha256 == cart.sha256


def test_what_does_not_fit_says_where_to_look() -> None:
    """A head beyond the format's range is a fault of the checkpoint: to quantize it again would not help."""
    weights = {n: w * (1e6 if n == "p0_action_head.weight" else 1) for n, w in SOURCE.weights.items()}
    with pytest.raises(
        CheckpointError, match=r"weights do not fit a cartridge: heads row .* many times larger than the"
    ):
        quantize(checkpoint.from_weights(weights, {}), name="huge", frames=2)


def test_rows_of_the_state_have_the_bits_that_they_need() -> None:
    """A row's state has room for twice what calibration saw, and its input for half as much again.

    Rows with small values get more bits.
    """
    seen = calibrate(TorchModel.of_checkpoint(SOURCE, torch.float32), frames=20).ranges
    for n in range(SHAPE.num_layers):
        bits, gains = row_bits(CART, n), CART.arrays[f"layers.{n}.row_gain"].reshape(SHAPE.num_heads, -1)
        for name, room in (("h", 2), ("drive", 1.5)):
            assert (np.ldexp(room * seen[f"layers.{n}.{name}"].numpy(), bits) <= 32767).all(), name
        assert gains.min() == 0 < gains.max()
        largest = seen[f"layers.{n}.h"].numpy()
        for head in range(SHAPE.num_heads):
            small, large = largest[head].argmin(), largest[head].argmax()
            assert gains[head, small] >= gains[head, large]


def _changed(**tensors: float) -> checkpoint.TrainedCheckpoint:
    weights = dict(SOURCE.weights)
    for name, value in tensors.items():
        weights[f"layers.0.mamba.{name}"] = np.full_like(weights[f"layers.0.mamba.{name}"], value)
    return checkpoint.from_weights(weights, {})


def test_a_head_that_never_opens_adds_nothing() -> None:
    """Where dt is zero the state stays zero, and calibration produces no infinite value."""
    quantize(_changed(dt_bias=-20.0), name="narrow", frames=20)
    engine = ReferenceEngine(quantize(_changed(dt_bias=-60.0), name="closed", frames=20))
    assert not engine.start_state(frame.start_block(32, (1, 2))).h[0].any()


def test_a_head_that_forgets_within_a_frame_does_so_in_integers() -> None:
    """A rate beyond the format becomes the largest integer, which makes every path forget everything."""
    block, inputs = frame.start_block(32, (1, 2)), bytes(16)
    for rate in (8.0, 30.0, 100.0, 1000.0):
        cart = quantize(_changed(A_log=rate, dt_bias=-1.0), name="short", frames=20)
        assert (cart.arrays["layers.0.alpha"] == 2**31 - 1).all()
        engine = ReferenceEngine(cart)
        state, other = engine.start_state(block), engine.start_state(block)
        other.h[0][:] = 0
        natives = [NativeEngine(cart, path) for path, missing in native.paths().items() if not missing]
        states = [each.start_state(block) for each in natives]
        expected = engine.heads(engine.backbone(state, block), block, inputs)
        # only the first layer forgets, so only its state is the same with and without a past
        engine.backbone(other, block)
        assert np.array_equal(state.h[0], other.h[0])
        for each, own in zip(natives, states, strict=True):
            assert each.heads(each.backbone(own, block), block, inputs) == expected
            assert each.dump(own) == engine.dump(state)


def test_a_rate_that_the_format_cannot_hold_is_refused() -> None:
    """A head with a large decay rate and a tiny time step is refused: neither integer format can hold both."""
    with pytest.raises(CheckpointError, match="it forgets at a rate that the format does not hold"):
        quantize(_changed(A_log=10.0, dt_bias=-10.0), name="fast", frames=20)


@pytest.mark.parametrize("flags", [PLAIN, golden.BASE_BUILD], ids=["plain", "base build"])
def test_same_cartridge_on_every_processor(flags: Encoding, tmp_path: Path) -> None:
    """The vector instructions that torch, MKL and NumPy choose do not decide a byte of the cartridge."""
    source = tmp_path / "world.pt"
    source.write_bytes(seeded_checkpoint.checkpoint(Shape(64, 96, 8, 24, 2, encoding=flags), 5))
    code = (
        "import sys; from awm_crank.engine.offline import checkpoint, quantize;"
        "data = open(sys.argv[1], 'rb').read();"
        "print(quantize.quantize(checkpoint.read(data), name='same', frames=40).sha256.hex())"
    )
    machines = [
        {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "OPENBLAS_CORETYPE": "Prescott"},
        {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "OPENBLAS_CORETYPE": "Haswell"},
        {"ATEN_CPU_CAPABILITY": "avx512", "MKL_ENABLE_INSTRUCTIONS": "AVX512", "OPENBLAS_CORETYPE": "SkylakeX"},
    ]
    found = [
        subprocess.run(
            [sys.executable, "-c", code, str(source)], env=os.environ | settings, capture_output=True, text=True,
            check=True,
        ).stdout
        for settings in machines
    ]  # fmt: skip
    assert len(found[0]) == 65 and len(set(found)) == 1, found
