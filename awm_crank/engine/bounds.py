"""The proofs that no step of a cartridge can overflow (docs/numerics.md, section 10). Each failure names its tensor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from awm_crank.engine import tables
from awm_crank.engine.layout import EMBEDDINGS, Formats, Shape
from awm_crank.errors import CartridgeError

ACT_MAX = 16383
INT32_MAX = 2**31 - 1
RESIDUAL_MAX = 2**30
MAX_K = 2048
ROW_GAIN_MAX = 10

Arrays = Mapping[str, NDArray[np.integer]]


def _refuse(what: str, expected: object, found: object) -> CartridgeError:
    return CartridgeError(
        f"cartridge: {what}", expected=expected, found=found, hint="quantize the checkpoint again with this version"
    )


def _within(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise _refuse(what, f"{low}..{high}", value)


def check_shape(shape: Shape) -> None:
    """Refuse shapes outside the format's limits. Raises CartridgeError."""
    _within("num_layers", shape.num_layers, 1, 16)
    _within("d_state", shape.d_state, 2, 256)
    if shape.d_state % 2:
        raise _refuse("d_state", "an even number", shape.d_state)
    _within("d_model", shape.d_model, 1, MAX_K)
    _within("d_inner", shape.d_inner, 1, MAX_K)
    if shape.headdim < 1 or shape.d_inner % shape.headdim:
        raise _refuse("headdim", f"a divisor of d_inner {shape.d_inner}", shape.headdim)
    _within("num_heads", shape.num_heads, 1, 255)


def check_scales(formats: Formats) -> None:
    """Refuse activation formats whose scale the header's u16 cannot hold. Raises CartridgeError."""
    for n, lf in enumerate(formats.layers):
        _within(f"layers.{n}.f_in", lf.f_in, 0, 15)
        _within(f"layers.{n}.f_out", lf.f_out, 0, 15)


def check_luts(luts: bytes) -> None:
    """Refuse tables other than those of the format version. Raises CartridgeError."""
    found = hashlib.sha256(luts).hexdigest()
    if found != tables.LUTS_SHA256:
        raise _refuse("function tables (SHA-256)", tables.LUTS_SHA256, found)


def check_matrix(
    name: str, w: NDArray[np.integer], m: NDArray[np.integer], bias: NDArray[np.integer] | None, s: int, limit: int
) -> None:
    """Refuse a matrix whose accumulator or requantized rows can leave int32 (or `limit`). Raises CartridgeError."""
    _within(f"{name} shift", s, 1, 32)
    if w.size and int(w.min()) < -127:
        raise _refuse(f"{name} weight", ">= -127", int(w.min()))
    if m.size and int(m.min()) < 0:
        raise _refuse(f"{name} multiplier", ">= 0", int(m.min()))
    bound = np.abs(w.astype(np.int32)).sum(axis=1, dtype=np.int64) * ACT_MAX
    if bias is not None:
        bound += np.abs(bias.astype(np.int64))
    row = int(bound.argmax())
    if int(bound[row]) > INT32_MAX:
        raise _refuse(f"{name} row {row} accumulator bound", f"<= {INT32_MAX}", int(bound[row]))
    scaled = ((bound * m.astype(np.int64)) >> s) + 1
    row = int(scaled.argmax())
    if int(scaled[row]) > limit:
        raise _refuse(f"{name} row {row} output bound", f"<= {limit}", int(scaled[row]))


def check_norm(name: str, w: NDArray[np.integer], eps: int, f_w: int, f_out: int) -> None:
    """Refuse a norm whose final shift can leave 1..62. Raises CartridgeError."""
    if eps >= 2**56:
        raise _refuse(f"{name} eps", "< 2^56", eps)
    largest = w.size * 2**28 + eps
    j_max = max(-15, (largest.bit_length() - 31) // 2)
    _within(f"{name} smallest shift", 46 - 15 + f_w - f_out, 1, 62)
    _within(f"{name} largest shift", 46 + j_max + f_w - f_out, 1, 62)


def check(shape: Shape, formats: Formats, arrays: Arrays) -> None:
    """Prove every bound of section 10 for parsed tensors, or raise CartridgeError naming the first that fails."""
    f = formats
    check_scales(f)
    for name, shift in (("s_frame", f.s_frame), ("s_ctrl", f.s_ctrl)):
        _within(name, shift, 1, 30)
    _within("s_frame_proj", f.s_frame_proj, 1, 25)
    for i, frac in enumerate(f.head_frac):
        _within(f"head_frac[{i}]", frac, 1, 24)
    for name in EMBEDDINGS:
        table = arrays[name].astype(np.int32)
        if table.size:
            _within(f"{name} largest entry", int(np.abs(table).max()), 0, ACT_MAX)
    for name, s, limit in (
        ("frame_proj", f.s_frame_proj, RESIDUAL_MAX // 2),
        ("ctrl_proj", f.s_ctrl_proj, INT32_MAX - ACT_MAX),
        ("heads", f.s_heads, INT32_MAX),
    ):
        check_matrix(name, arrays[f"{name}.w"], arrays[f"{name}.m"], arrays[f"{name}.b"], s, limit)
    check_norm("final_norm", arrays["final_norm"], f.eps_res, f.f_final_w, f.f_final)
    for n in range(shape.num_layers):
        _check_layer(n, shape, f, arrays)


def _check_layer(n: int, shape: Shape, formats: Formats, arrays: Arrays) -> None:
    lf = formats.layers[n]
    at = f"layers.{n}."
    for name, frac in (("f_z", lf.f_z), ("f_c", lf.f_c)):
        _within(at + name, frac, 5, 15)
    _within(at + "sh_b", lf.sh_b, 0, 10)
    _within(at + "convolution shift", lf.f_x + lf.f_conv_w - lf.f_c, 1, 30)
    _within(at + "skip shift", lf.f_c + lf.f_d - lf.f_y, 1, 30)
    check_norm(at + "norm", arrays[at + "norm"], formats.eps_res, lf.f_in_w, lf.f_in)
    check_norm(at + "gate_norm", arrays[at + "gate_norm"], lf.eps_gate, lf.f_out_w, lf.f_out)
    check_matrix(at + "in_proj", arrays[at + "in_proj.w"], arrays[at + "in_proj.m"], None, lf.s_in, INT32_MAX)
    check_matrix(at + "out_proj", arrays[at + "out_proj.w"], arrays[at + "out_proj.m"], None, lf.s_out, RESIDUAL_MAX)
    taps = np.abs(arrays[at + "conv_w"].astype(np.int64)).sum(axis=1) * 32768
    conv = taps + np.abs(arrays[at + "conv_b"].astype(np.int64)) + 2**30
    channel = int(conv.argmax())
    if int(conv[channel]) > INT32_MAX:
        raise _refuse(f"{at}conv channel {channel} accumulator bound", f"<= {INT32_MAX}", int(conv[channel]))
    if shape.row_gains:
        gains = arrays[at + "row_gain"]
        _within(at + "row_gain smallest", int(gains.min()), 0, ROW_GAIN_MAX)
        _within(at + "row_gain largest", int(gains.max()), 0, ROW_GAIN_MAX)
    for h in range(shape.num_heads):
        hs = int(arrays[at + "hs"][h])
        _within(f"{at}dt_bias[{h}]", int(arrays[at + "dt_bias"][h]), -(2**26), 2**26)
        _within(f"{at}alpha[{h}]", int(arrays[at + "alpha"][h]), 1, INT32_MAX)
        _within(f"{at}hs[{h}] input shift", 11 + 2 * lf.f_c - hs, 14, 30 - lf.sh_b)
        _within(f"{at}hs[{h}] readout shift", hs + lf.f_c - shape.read_shift - lf.f_y, 1, 30)
