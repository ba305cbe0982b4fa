"""Models from a seed: cartridges for golden vectors and kernel fuzzing, without a file and without a float.

`SHAKE-256("awm:seeded:v1" ‖ seed ‖ tensor name)` gives every number, so that a 19.9 M model is the same on every
machine. The weights are noise with sane magnitudes: activations stay alive, saturate now and then, and heads of every
decay occur.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from awm_crank.engine import frame, layout, tables
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.encoding import BUTTONS, PLAIN, STATE_FLAGS, Encoding
from awm_crank.engine.layout import EMBEDDINGS, LOW_BITS, Formats, LayerFormats, Shape

SHAPES = {
    "tiny": Shape(d_model=32, d_inner=64, d_state=8, headdim=16, num_layers=2),
    "demo": Shape(d_model=128, d_inner=256, d_state=16, headdim=64, num_layers=2),
    "4.3M": Shape(d_model=384, d_inner=768, d_state=64, headdim=64, num_layers=4),
    "15.8M": Shape(d_model=768, d_inner=1536, d_state=64, headdim=64, num_layers=4),
    "19.9M": Shape(d_model=512, d_inner=1024, d_state=16, headdim=64, num_layers=12),
}
"""The shapes that golden vectors and benches name."""

INPUT_HOLD_FRAMES = 6


class Stream:
    """Named integer noise of one seed."""

    def __init__(self, seed: int) -> None:
        self._prefix = b"awm:seeded:v1" + seed.to_bytes(8, "little")

    def words(self, name: str, count: int) -> NDArray[np.int64]:
        """`count` values uniform in 0..65535."""
        raw = hashlib.shake_256(self._prefix + name.encode()).digest(2 * count)
        return np.frombuffer(raw, "<u2").astype(np.int64)

    def uniform(self, name: str, dims: tuple[int, ...], low: int, high: int) -> NDArray[np.int64]:
        """Integers in low..high, both included, high - low ≤ 2^31."""
        steps: NDArray[np.int64] = (self.words(name, math.prod(dims)) * (high - low + 1)) >> 16
        steps += low
        return steps.reshape(dims)

    def bell(self, name: str, dims: tuple[int, ...]) -> NDArray[np.int64]:
        """Roughly normal integers with standard deviation 37,837: the sum of four uniform words."""
        sums: NDArray[np.int64] = self.words(name, 4 * math.prod(dims)).reshape(-1, 4).sum(axis=1) - 131070
        return sums.reshape(dims)


def _feature_muls(s: int, f: int, encoding: Encoding) -> tuple[list[int], list[int]]:
    scales = [Fraction(1, 25600), Fraction(1, 5120), Fraction(1, 5120), Fraction(1, 25600)] + [Fraction(1, 5120)] * 5
    scales += [Fraction(1, 100)] * (not encoding.state_age_as_embed) + [Fraction(1, 10), Fraction(1, 4)]
    scales += [Fraction(1, 50)] * encoding.hitstun + [Fraction(1, 10)]
    scales += [Fraction(1, 5120), Fraction(1, 5120), Fraction(1, 2560)] * encoding.projectiles
    binary = [Fraction(1)] * (3 + STATE_FLAGS * encoding.state_flags)
    controls = [Fraction(1, span) for span in frame.spans(encoding.stick_range)] + [Fraction(1)] * BUTTONS
    muls = [round(v * 2 ** (s + f)) for v in [*scales, *binary, *controls]]
    controls += [Fraction(1)] * (encoding.player_controls - len(controls))
    return muls, [round(v * 2**29) for v in controls]


def formats(shape: Shape) -> Formats:
    """The number formats of every seeded cartridge. They suit noise of unit variance."""
    layer = LayerFormats(
        f_in=11, f_in_w=9, s_in=24, f_z=12, f_x=12, f_conv_w=13, f_c=12, sh_b=3, f_y=11, f_d=12, f_out=10, f_out_w=9,
        s_out=24, eps_gate=shape.d_inner * 703687442,
    )  # fmt: skip
    return Formats(
        f_frame=10, s_frame=13, f_ctrl=13, s_ctrl=16, f_res=16, f_final=11, f_final_w=9, s_frame_proj=24,
        s_ctrl_proj=24, s_heads=24, eps_res=shape.d_model * 42950, head_frac=(8,) * len(shape.encoding.regression_rows),
        layers=(layer,) * shape.num_layers,
    )  # fmt: skip


def cartridge(shape: Shape, seed: int, name: str = "seeded") -> Cartridge:
    """The cartridge of a shape and seed, the same bytes everywhere.

    Raises CartridgeError where the shape is outside of the format, or too wide for noise of full range (K > 1,900).
    """
    draw = Stream(seed)
    f = formats(shape)
    d, i, h, c = shape.d_model, shape.d_inner, shape.num_heads, shape.conv_dim
    feature_mul, ctrl_mul = _feature_muls(f.s_frame, f.f_frame + LOW_BITS, shape.encoding)
    arrays: dict[str, NDArray[np.int64]] = {"feature_mul": np.array(feature_mul), "ctrl_mul": np.array(ctrl_mul)}
    for table, dims in EMBEDDINGS.items():
        if table != "state_age_embed" or shape.state_age_as_embed:
            arrays[table] = draw.uniform(table, dims, -2048, 2048)

    def matrix(at: str, rows: int, k: int, target: int | NDArray[np.int64], sigma: int) -> None:
        """Rows whose outputs have about the standard deviation `target`, fed with activations of `sigma`."""
        arrays[at + ".w"] = draw.uniform(at + ".w", (rows, k), -127, 127)
        scale = np.asarray(target, np.int64) * 2**24 // (73 * sigma * math.isqrt(k))
        arrays[at + ".m"] = np.maximum(1, scale * draw.uniform(at + ".m", (rows,), 192, 320) // 256)

    def biased(at: str, rows: int, k: int, target: int | NDArray[np.int64], sigma: int) -> None:
        matrix(at, rows, k, target, sigma)
        spread = 20 * sigma * math.isqrt(k)
        arrays[at + ".b"] = draw.uniform(at + ".b", (rows,), -spread, spread)

    def norm(at: str, k: int) -> None:
        arrays[at] = draw.uniform(at, (k,), 384, 640) * math.isqrt(k * 65536) // 256

    logits = np.full(shape.encoding.head_rows, 2 << 16)
    logits[shape.encoding.regression_rows] = 64 << 8
    biased("frame_proj", d, shape.frame_dim, 1 << 16, 900)
    norm("final_norm", d)
    biased("ctrl_proj", d, shape.encoding.ctrl_dim, 600, 4096)
    biased("heads", shape.encoding.head_rows, d, logits, 2100)
    for n in range(shape.num_layers):
        at = f"layers.{n}."
        rows = np.full(shape.proj_rows, 1 << 12)
        rows[-h:] = 1 << 20
        norm(at + "norm", d)
        matrix(at + "in_proj", shape.proj_rows, d, rows, 2048)
        arrays[at + "conv_w"] = draw.uniform(at + "conv_w", (c, layout.D_CONV), -6000, 6000)
        arrays[at + "conv_b"] = draw.uniform(at + "conv_b", (c,), -(2**23), 2**23)
        arrays[at + "dt_bias"] = draw.uniform(at + "dt_bias", (h,), -7 << 20, -1 << 20)
        arrays[at + "alpha"] = draw.uniform(at + "alpha", (h,), 3 << 18, 24 << 20)
        arrays[at + "d"] = draw.uniform(at + "d", (h,), 2048, 6144)
        # A fast head takes in more at once than a slow one, which fills its range over time.
        finer = (-arrays[at + "dt_bias"] * 1549082005) >> 50
        arrays[at + "hs"] = np.minimum(13, 10 + finer)
        if shape.row_gains:
            arrays[at + "row_gain"] = draw.uniform(at + "row_gain", (i,), 0, 5)
        norm(at + "gate_norm", i)
        matrix(at + "out_proj", d, i, 20000, 1024)
    params = sum(int(np.prod(v.shape)) for k, v in arrays.items() if not k.endswith((".m", "_mul", ".hs")))
    return Cartridge.build(
        name=name, version=1, shape=shape, formats=f, luts=tables.build(), arrays=arrays, total_params=params
    )


def random_inputs(stream: Stream, name: str, frames: int) -> list[bytes]:
    """Inputs of both players: sticks within ±80, triggers now and then, buttons one in four, held for a while."""
    holds = -(-frames // INPUT_HOLD_FRAMES)
    out = []
    words = stream.words(name, holds * 16).reshape(holds, 16)
    for row in words.tolist():
        pads = []
        for w in (row[:8], row[8:]):
            sticks = [(w[0] % 161) - 80, (w[1] % 161) - 80, (w[2] % 161) - 80, (w[3] % 161) - 80]
            triggers = [w[4] % 256 if w[4] >> 14 == 0 else 0, w[5] % 256 if w[5] >> 14 == 0 else 0]
            pads.append(frame.CONTROLLER.pack(*sticks, *triggers, w[6] & w[6] >> 8 & 31, w[7] & w[7] >> 8 & 13))
        out += [b"".join(pads)] * INPUT_HOLD_FRAMES
    return out[:frames]


STOCK_ROWS = (19, 22)
"""Rows of the heads that predict both players' stocks (docs/numerics.md, section 7)."""


def lasting(shape: str = "tiny", seed: int = 1, encoding: Encoding = PLAIN) -> Cartridge:
    """As `cartridge`, but nobody ever loses a stock: matches end by max_frames only.

    `encoding` replaces the shape's own.
    """
    noise = cartridge(replace(SHAPES[shape], encoding=encoding), seed)
    arrays = {name: np.array(array) for name, array in noise.arrays.items()}
    for row in STOCK_ROWS:
        arrays["heads.w"][row] = 0
        arrays["heads.b"][row] = np.abs(arrays["heads.b"]).max()
        arrays["heads.m"][row] = arrays["heads.m"].max()
    return Cartridge.build(
        name="lasting", version=1, shape=noise.shape, formats=noise.formats, luts=noise.luts, arrays=arrays,
        total_params=noise.total_params,
    )  # fmt: skip
