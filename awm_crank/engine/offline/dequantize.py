"""The float64 weights that a cartridge's integers represent (docs/numerics.md, section 11)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.encoding import Encoding
from awm_crank.engine.layout import EMBEDDINGS, LOW_BITS, Formats, Shape

Floats = NDArray[np.float64]


def feature_units(formats: Formats, feature_mul: NDArray[np.integer]) -> Floats:
    """What one raw unit of each player float weighs in the frame vector: `feature_mul · 2^(-s_frame - f_frame - 7)`."""
    return np.ldexp(feature_mul.astype(np.float64), -(formats.s_frame + formats.f_frame + LOW_BITS))


def output_units(encoding: Encoding, units: Floats) -> Floats:
    """The same for the rows of `heads` that predict numbers: encoded units a block unit."""
    names = encoding.float_names
    return np.array([units[names.index(name)] for _, name in encoding.regression_names])


def joined(parts: Mapping[str, Floats], encoding: Encoding, what: str) -> Floats:
    """A checkpoint's heads (`what`: weight or bias) as rows of the `heads` matrix."""
    slices = encoding.head_slices()
    whole = np.concatenate([np.asarray(parts[f"{name}.{what}"], np.float64) for name in slices])
    out = np.empty_like(whole)
    out[np.concatenate([np.array(rows) for rows in slices.values()])] = whole
    return out


def output_scale(cartridge: Cartridge, units: Floats) -> Floats:
    """What one unit of each output of `heads` is: encoded units, or a logit."""
    encoding = cartridge.shape.encoding
    scale = np.full(encoding.head_rows, 2.0**-16)
    scale[encoding.regression_rows] = np.ldexp(output_units(encoding, units), -np.array(cartridge.formats.head_frac))
    return scale


def dequantize(cartridge: Cartridge) -> dict[str, Floats]:
    """The weights under the checkpoint's state-dict names, shaped as PyTorch holds them, float64.

    Two entries have no counterpart in a checkpoint: `feature_units` (a player's floats) and `ctrl_units` (a player's
    controller features), what one raw unit weighs.
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
    scale = output_scale(cartridge, units)
    for name, rows in shape.encoding.head_slices().items():
        out[f"{name}.weight"] = np.ldexp(weight[rows], f.f_final) * scale[rows, None]
        out[f"{name}.bias"] = bias[rows] * scale[rows]
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
