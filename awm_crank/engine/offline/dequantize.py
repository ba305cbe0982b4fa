"""The float64 weights that a cartridge's integers represent (docs/numerics.md, section 11)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.layout import CLASSES, EMBEDDINGS, LOW_BITS, Formats, Shape

Floats = NDArray[np.float64]

HEAD_SLICES: dict[str, tuple[int, int]] = {
    "continuous_head": (0, 8),
    "velocity_head": (8, 18),
    "dynamics_head": (18, 24),
    "binary_head": (24, 30),
}
"""Rows of the `heads` matrix that each head of the checkpoint takes."""
_row = 30
for _player in ("p0", "p1"):
    for _name, _classes in CLASSES.items():
        HEAD_SLICES[f"{_player}_{_name}_head"] = (_row, _row + _classes)
        _row += _classes

OUTPUT_FEATURES = [0, 1, 2, 3] * 2 + [4, 5, 6, 7, 8] * 2 + [10, 11, 12] * 2
"""For each regression row the frame-vector float (numerics.md 6.1, state_age counted) whose unit it predicts in."""


def feature_units(formats: Formats, feature_mul: NDArray[np.integer]) -> Floats:
    """What one raw unit of each player float weighs in the frame vector: `feature_mul · 2^(-s_frame - f_frame - 7)`."""
    return np.ldexp(feature_mul.astype(np.float64), -(formats.s_frame + formats.f_frame + LOW_BITS))


def output_units(shape: Shape, units: Floats) -> Floats:
    """The same for the 24 regression rows: encoded units a block unit."""
    return np.array([units[i - (shape.state_age_as_embed and i > 9)] for i in OUTPUT_FEATURES])


def dequantize(cartridge: Cartridge) -> dict[str, Floats]:
    """The weights under the checkpoint's state-dict names, shaped as PyTorch holds them, float64.

    Two entries have no counterpart in a checkpoint: `feature_units` (a player's floats) and `ctrl_units` (a player's 13
    controller floats), what one raw unit weighs.
    """
    shape, f, arrays = cartridge.shape, cartridge.formats, cartridge.arrays
    units = feature_units(f, arrays["feature_mul"])
    out: dict[str, Floats] = {
        "feature_units": units,
        "ctrl_units": np.ldexp(arrays["ctrl_mul"].astype(np.float64), -(f.s_ctrl + f.f_ctrl)),
        "final_norm.weight": np.ldexp(arrays["final_norm"].astype(np.float64), -f.f_final_w) / np.sqrt(shape.d_model),
    }
    for name in EMBEDDINGS:
        if arrays[name].size:
            out[f"{name}.weight"] = np.ldexp(arrays[name].astype(np.float64), -f.f_frame)
    for name, f_in, f_out, s in (
        ("frame_proj", f.f_frame, f.f_res, f.s_frame_proj),
        ("ctrl_proj", f.f_ctrl, f.f_final, f.s_ctrl_proj),
    ):
        weight, bias = _affine(arrays, name, s)
        out[f"{name}.weight"] = np.ldexp(weight, f_in - f_out)
        out[f"{name}.bias"] = np.ldexp(bias, -f_out)
    weight, bias = _affine(arrays, "heads", f.s_heads)
    frac = np.array([*f.head_frac] + [16] * (weight.shape[0] - len(f.head_frac)))
    scale = np.ldexp(1.0, -frac)
    scale[: len(f.head_frac)] *= output_units(shape, units)
    for name, (begin, end) in HEAD_SLICES.items():
        out[f"{name}.weight"] = np.ldexp(weight[begin:end], f.f_final) * scale[begin:end, None]
        out[f"{name}.bias"] = bias[begin:end] * scale[begin:end]
    for n in range(shape.num_layers):
        _layer(n, shape, f, arrays, out)
    return out


def _affine(arrays: Mapping[str, NDArray[np.integer]], name: str, s: int) -> tuple[Floats, Floats]:
    w, m, b = (arrays[f"{name}.{part}"].astype(np.float64) for part in "wmb")
    scale = np.ldexp(m, -s)
    return w * scale[:, None], b * scale


def _layer(
    n: int, shape: Shape, formats: Formats, arrays: Mapping[str, NDArray[np.integer]], out: dict[str, Floats]
) -> None:
    lf = formats.layers[n]
    at = f"layers.{n}."

    def real(name: str) -> Floats:
        return arrays[at + name].astype(np.float64)

    out[at + "norm.weight"] = np.ldexp(real("norm"), -lf.f_in_w) / np.sqrt(shape.d_model)
    out[at + "mamba.norm.weight"] = np.ldexp(real("gate_norm"), -lf.f_out_w) / np.sqrt(shape.d_inner)
    f_rows = np.full(shape.proj_rows, lf.f_x)
    f_rows[: shape.d_inner] = lf.f_z
    f_rows[-shape.num_heads :] = 20
    out[at + "mamba.in_proj.weight"] = (
        real("in_proj.w") * np.ldexp(real("in_proj.m"), lf.f_in - lf.s_in - f_rows)[:, None]
    )
    scale = np.ldexp(real("out_proj.m"), lf.f_out - formats.f_res - lf.s_out)
    out[at + "mamba.out_proj.weight"] = real("out_proj.w") * scale[:, None]
    out[at + "mamba.conv1d.weight"] = np.ldexp(real("conv_w"), -lf.f_conv_w)[:, None, :]
    out[at + "mamba.conv1d.bias"] = np.ldexp(real("conv_b"), -(lf.f_x + lf.f_conv_w))
    out[at + "mamba.dt_bias"] = np.ldexp(real("dt_bias"), -20)
    out[at + "mamba.A_log"] = np.log(np.ldexp(real("alpha"), -20) * np.log(2))
    out[at + "mamba.D"] = np.ldexp(real("d"), -lf.f_d)
