"""The floating-point step compared with a plain transcription of the layer's equations."""

import numpy as np
import pytest
import torch

from awm_crank.engine import frame
from awm_crank.engine.layout import Shape
from awm_crank.engine.offline import checkpoint, seeded_checkpoint
from awm_crank.engine.offline.torch_model import TorchModel, rms_norm
from awm_crank.engine.seeded import Stream, random_inputs

START = frame.start_block(32, (1, 2))
SHAPE = Shape(64, 96, 8, 24, 2)
SOURCE = checkpoint.read(seeded_checkpoint.checkpoint(SHAPE, 5))


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


def norm(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x * x).mean() + 1e-5) * weight


def by_hand(vectors: list[np.ndarray]) -> np.ndarray:
    """The final norm's output after these frame vectors, in loops over heads, straight from the equations."""
    w = SOURCE.weights
    s = SHAPE
    h = np.zeros((s.num_layers, s.num_heads, s.headdim, s.d_state))
    history = [[np.zeros(s.conv_dim)] * 3 for _ in range(s.num_layers)]
    for vec in vectors:
        residual = w["frame_proj.weight"] @ vec + w["frame_proj.bias"]
        for n in range(s.num_layers):
            m = f"layers.{n}.mamba."
            p = w[m + "in_proj.weight"] @ norm(residual, w[f"layers.{n}.norm.weight"])
            z, xbc, dt = p[: s.d_inner], p[s.d_inner : s.d_inner + s.conv_dim], p[-s.num_heads :]
            window = [*history[n], xbc]
            history[n] = window[1:]
            kernel = w[m + "conv1d.weight"][:, 0]
            act = silu(sum(kernel[:, k] * window[k] for k in range(4)) + w[m + "conv1d.bias"])
            x, b, c = act[: s.d_inner], act[s.d_inner : -s.d_state], act[-s.d_state :]
            y = np.zeros(s.d_inner)
            for head in range(s.num_heads):
                step = np.log1p(np.exp(dt[head] + w[m + "dt_bias"][head]))
                rows = slice(head * s.headdim, (head + 1) * s.headdim)
                decay = np.exp(-np.exp(w[m + "A_log"][head]) * step)
                h[n, head] = decay * h[n, head] + step * np.outer(x[rows], b)
                y[rows] = h[n, head] @ c + w[m + "D"][head] * x[rows]
            residual = residual + w[m + "out_proj.weight"] @ norm(y * silu(z), w[m + "norm.weight"])
    return norm(residual, w["final_norm.weight"])


def test_backbone_is_the_equations() -> None:
    """Over twelve frames the backbone agrees with the transcription, apart from rounding."""
    model = TorchModel.of_checkpoint(SOURCE)
    state = model.zero_state()
    block = START
    vectors = []
    for pads in random_inputs(Stream(2), "torch", 12):
        vectors.append(model.frame_vector(block).numpy())
        ctx = model.backbone(state, block)
        assert np.allclose(ctx.numpy(), by_hand(vectors), rtol=1e-9, atol=1e-9)
        block = model.heads(ctx, block, pads)


def test_frame_vector_has_the_encoding_s_columns() -> None:
    """The vector holds scaled floats of both players, then embedding rows, in the described order."""
    vec = TorchModel.of_checkpoint(SOURCE).frame_vector(START).numpy()
    assert vec.shape == (182,)
    half = 128 / 255
    assert np.allclose(
        vec[:29],
        [0, -1.5, 0, 0.6, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, half, half, half, half, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    )
    assert vec[30] == pytest.approx(1.5)
    assert np.allclose(vec[58:90], SOURCE.weights["action_embed.weight"][14])
    assert np.allclose(vec[94:102], SOURCE.weights["character_embed.weight"][1])
    assert np.allclose(vec[-4:], SOURCE.weights["stage_embed.weight"][32])


def test_inputs_enter_only_through_ctrl_proj() -> None:
    """The outputs are a linear function of the next controllers, given the context."""
    model = TorchModel.of_checkpoint(SOURCE)
    ctx = model.backbone(model.start_state(START), START)
    pads = bytes([100] + [0] * 15)
    change = model.outputs(ctx, bytes(16), pads) - model.outputs(ctx, bytes(16), bytes(16))
    expected = model.head_weight @ (model.w["ctrl_proj.weight"][:, 0] * 100 / 255)
    assert torch.allclose(change, expected)


def test_other_dtypes_run() -> None:
    """The controls in FP32 and bf16 follow FP64, each within its precision."""
    exact = TorchModel.of_checkpoint(SOURCE)
    real = exact.backbone(exact.start_state(START), START)
    for dtype, limit in ((torch.float32, 1e-4), (torch.bfloat16, 0.2)):
        model = TorchModel.of_checkpoint(SOURCE, dtype)
        found = model.backbone(model.start_state(START), START)
        assert found.dtype == dtype
        error = float((found.double() - real).norm() / real.norm())
        assert 0 < error < limit


def test_rms_norm_of_zero_is_zero() -> None:
    """eps keeps the norm of a zero vector finite."""
    assert not rms_norm(torch.zeros(4), torch.ones(4)).any()
