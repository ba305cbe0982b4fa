"""Converts a float checkpoint to a cartridge: number formats from calibrated ranges, int8 rows with a scale each.

Offline. Floats are used here, and nowhere in the steps after it. Quantization rounds half to even. docs/numerics.md,
section 11, says what each integer represents.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from awm_crank.engine import frame, layout, tables
from awm_crank.engine.bounds import ACT_MAX, INT32_MAX, RESIDUAL_MAX, ROW_GAIN_MAX
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.layout import LOW_BITS, Formats, LayerFormats
from awm_crank.engine.offline import balance
from awm_crank.engine.offline.calibrate import MOST_BITS, Calibration, calibrate
from awm_crank.engine.offline.checkpoint import TrainedCheckpoint
from awm_crank.engine.offline.dequantize import joined, output_units
from awm_crank.engine.offline.rounding import compensated
from awm_crank.engine.offline.torch_model import EPS, TorchModel, encoding_units
from awm_crank.errors import CartridgeError, CheckpointError
from awm_crank.wire.contract import OUTPUTS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ACTIVATION_ROOM = 1.5
"""How far beyond the calibrated maximum a 15-bit activation reaches before it saturates."""
WIDE_ROOM = 2.0
"""The same for 16-bit values."""
STATE_ROOM = 2.0
"""The same for the recurrent state, whose slow heads go on filling after calibration ends."""
DRIVE_ROOM = 1.5
"""The same for what a row takes in at once. It is measured high already: push by a power of two above B."""
CONSTANT = 1e-5
"""An input whose variance is below this share of its square is taken for one that never changes."""
RESIDUAL_ROOM = 16.0
F_DT = 20
F_LOGIT = 16
F_CTRL = 13
SH_B_MAX = 6
SH_B_MIN = 3


def quantize(
    checkpoint: TrainedCheckpoint, *, name: str, version: int = 1, frames: int = 400, seed: int = 0,
    blocks: bytes = b"",
    tick: Callable[[str], None] = lambda _what: None,
) -> Cartridge:  # fmt: skip
    """Calibrate a checkpoint and write its cartridge.

    Args:
        checkpoint: the result of `checkpoint.read`.
        name: at most 32 bytes of UTF-8.
        version: the author's, u16.
        frames, seed, blocks: see `calibrate`.
        tick: called with the name of each part as it begins.

    Raises:
        CheckpointError: activations or weights that no format fits, or a bound of docs/numerics.md section 10 that does
            not hold.
    """
    torch.set_num_threads(1)
    # In float64 the last bits, which differ from processor to processor, are too small to decide an integer.
    model = TorchModel.of_checkpoint(checkpoint, torch.float64)
    tick("calibrating")
    calibration = calibrate(model, frames=frames, seed=seed, blocks=blocks)
    tick("rounding the weights")
    return build(checkpoint, calibration, name=name, version=version)


def build(checkpoint: TrainedCheckpoint, calibration: Calibration, *, name: str, version: int) -> Cartridge:
    """The cartridge of a calibrated checkpoint. Raises as `quantize` does."""
    return _Quantizer(checkpoint, calibration).cartridge(name, version)


def fraction_bits(largest: float, limit: float, low: int, high: int) -> int:
    """The most fraction bits within low..high at which `largest` stays within `limit`."""
    if largest <= 0:
        return high
    return max(low, min(high, math.floor(math.log2(limit / largest))))


FORGOTTEN = 2.0**-12
"""What a head that forgets within a frame may keep of its state, as a part of it."""


class _Quantizer:
    def __init__(self, checkpoint: TrainedCheckpoint, calibration: Calibration) -> None:
        self.checkpoint, self.w = checkpoint, dict(checkpoint.weights)
        self.shape = replace(checkpoint.shape, row_gains=True)
        self.ranges, self.moments = dict(calibration.ranges), dict(calibration.moments)
        self.losses = calibration.losses
        self.arrays: dict[str, Ints] = {}

    def cartridge(self, name: str, version: int) -> Cartridge:
        shape, w = self.shape, self.w
        units, ctrl_units = encoding_units(self.checkpoint)
        f_frame, s_frame = self._frame(units)
        s_ctrl = 30 - F_CTRL
        self.arrays["ctrl_mul"] = _nearest(np.ldexp(ctrl_units, s_ctrl + F_CTRL))
        f_final = fraction_bits(max(self._range("final"), self._range("hfin")) * ACTIVATION_ROOM, ACT_MAX, 0, 13)
        f_res = self._residual_bits(f_frame)
        layers = tuple(self._layer(n, f_res) for n in range(shape.num_layers))
        s_frame_proj = self._affine("frame_proj", f_frame, f_res, self.moments["frame"], shift_max=25)
        s_ctrl_proj = self._affine("ctrl_proj", F_CTRL, f_final, self.moments["ctrl"])
        head_frac, s_heads = self._heads(output_units(shape.encoding, units), f_final)
        formats = Formats(
            f_frame=f_frame,
            s_frame=s_frame,
            f_ctrl=F_CTRL,
            s_ctrl=s_ctrl,
            f_res=f_res,
            f_final=f_final,
            f_final_w=self._norm("final_norm", w["final_norm.weight"], f_final),
            s_frame_proj=s_frame_proj,
            s_ctrl_proj=s_ctrl_proj,
            s_heads=s_heads,
            eps_res=round(EPS * shape.d_model * 4.0**f_res),
            head_frac=head_frac,
            layers=layers,
        )
        try:
            return Cartridge.build(
                name=name,
                version=version,
                shape=shape,
                formats=formats,
                luts=tables.build(),
                arrays=self.arrays,
                total_params=self.checkpoint.total_params,
            )
        except CartridgeError as error:
            # the loader's own hint is to quantize again, which would end the same way
            raise CheckpointError(
                f"the checkpoint's weights do not fit a cartridge: {error.what.removeprefix('cartridge: ')}",
                expected=error.expected, found=error.found,
                hint="look for weights that are many times larger than the others",
            ) from None  # fmt: skip

    def _frame(self, units: Floats) -> tuple[int, int]:
        """Write feature table and embeddings, balanced against frame_proj's columns; f_frame and s_frame."""
        shape, s = self.shape, self.checkpoint.scales
        gains = balance.frame_gains(self.w["frame_proj.weight"], shape)
        reach = {
            "percent": 999 * s["percent_scale"], "x": 300 * s["xy_scale"], "y": 300 * s["xy_scale"],
            "shield_strength": 60 * s["shield_scale"], "state_age": 600 * s["state_age_scale"],
            "hitlag": 50 * s["hitlag_scale"], "stocks": 4 * s["stocks_scale"],
            "hitstun": frame.HITSTUN_MAX * s["hitstun_scale"], "combo_count": 50 * s["combo_count_scale"],
            "projectile_x": 128 * s["xy_scale"], "projectile_y": 128 * s["xy_scale"], "projectile_count": 15 * 0.1,
        }  # fmt: skip
        reach |= dict.fromkeys(OUTPUTS["velocity"], 128 * s["velocity_scale"])
        limits = [reach.get(name, 1.0) for name in shape.encoding.float_names] + [1.0] * layout.PLAYER_CONTROLS
        tables_used = [name for name in gains if name != balance.FLOATS]
        largest = [float((np.array(limits) * gains[balance.FLOATS]).max())]
        largest += [float((np.abs(self.w[f"{n}.weight"]) * gains[n]).max()) for n in tables_used]
        f_frame = fraction_bits(max(largest), ACT_MAX, 4, 12)
        s_frame = 30 - LOW_BITS - f_frame
        feature_mul = np.maximum(1, _nearest(np.ldexp(units * gains[balance.FLOATS], 30)))
        self.arrays["feature_mul"] = feature_mul
        gains[balance.FLOATS] = np.ldexp(feature_mul.astype(np.float64), -30) / units
        for table in tables_used:
            self.arrays[table] = _nearest(np.ldexp(self.w[f"{table}.weight"] * gains[table], f_frame))
        columns = balance.frame_columns(gains, shape)
        both = np.append(columns, 1.0)
        self.moments["frame"] = self.moments["frame"] * both[:, None] * both
        weight = self.w["frame_proj.weight"] = self.w["frame_proj.weight"] / columns
        self.w["frame_proj.bias"] = self.w["frame_proj.bias"] + weight @ self._constant_error(f_frame)
        return f_frame, s_frame

    def _constant_error(self, f_frame: int) -> Floats:
        """What rounding takes from each input of frame_proj that never changes. A character's or a stage's embedding is
        the same in all frames, so that its rounding error would be in every one of them."""
        moment = self.moments["frame"]
        mean = moment[-1, :-1]
        constant = np.diag(moment)[:-1] - mean * mean <= CONSTANT * (mean * mean + 4.0**-f_frame)
        return np.where(constant, mean - np.ldexp(_nearest(np.ldexp(mean, f_frame)), -f_frame), 0.0)

    def _range(self, name: str) -> float:
        return float(self.ranges[name].max())

    def _residual_bits(self, f_frame: int) -> int:
        """Fraction bits of the residual: room for what was seen, and every matrix's provable bound below 2^30."""
        w = self.w
        frame_bound = np.abs(w["frame_proj.weight"]).sum(1) * ACT_MAX * 2.0**-f_frame + np.abs(w["frame_proj.bias"])
        bounds = [2 * float(frame_bound.max()), self._range("res") * RESIDUAL_ROOM]
        for n in range(self.shape.num_layers):
            rows = np.abs(w[f"layers.{n}.mamba.out_proj.weight"]).sum(1).max()
            bounds.append(float(rows) * ACT_MAX * 2.0 ** -self._out_bits(n))
        return fraction_bits(max(bounds) * 1.1, RESIDUAL_MAX, 0, 20)

    def _out_bits(self, n: int) -> int:
        return fraction_bits(self._range(f"layers.{n}.out") * ACTIVATION_ROOM, ACT_MAX, 0, 13)

    def _norm(self, at: str, weight: Floats, f_out: int) -> int:
        """Write a norm's weights, scaled by the root of their number; returns their fraction bits."""
        scaled = weight * math.sqrt(weight.size)
        f_w = fraction_bits(float(np.abs(scaled).max()), 32767, f_out - 28, f_out + 4)
        self.arrays[at] = _nearest(np.ldexp(scaled, f_w))
        return f_w

    def _matrix(
        self,
        at: str,
        weight: Floats,
        bias: Floats | None,
        f_in: int,
        f_out: Ints,
        units: Floats,
        moment: Floats,
        shift_max: int = 32,
    ) -> int:
        """Write int8 rows and their multipliers (and biases); returns the shift.

        Row r's outputs are integers of `units[r]·2^-f_out[r]`; `moment` is that of the inputs (`Calibration`).
        """
        magnitude = np.abs(weight)
        scale = np.maximum(magnitude.max(axis=1) / 127, 1e-12)
        if bias is not None:
            # The accumulator holds the bias too, so the scale must leave room for it.
            scale = np.maximum(scale, np.abs(bias) * 2.0**f_in / 2**29)
            budget = INT32_MAX - 2**29 - 2
        else:
            budget = INT32_MAX
        # Each of the K weights is rounded by at most half a step.
        scale = np.maximum(scale, magnitude.sum(axis=1) / max(1.0, budget / ACT_MAX - weight.shape[1] / 2))
        ratio = scale / units * np.exp2(f_out.astype(np.float64) - f_in)
        shift = min(shift_max, 30 - math.floor(math.log2(float(ratio.max()))))
        if shift < 1:
            raise CheckpointError(f"{at}: weights too large for the format", found=float(magnitude.max()))
        m = np.maximum(1, _nearest(np.ldexp(ratio, shift)))
        exact = m * np.exp2(f_in - f_out.astype(np.float64) - shift) * units
        w = np.clip(_nearest(weight / exact[:, None]), -127, 127)
        better, moved = compensated(weight, exact, moment if bias is not None else moment[:-1, :-1], bias)
        # A row whose bound (docs/numerics.md, section 10) holds only for plain rounding keeps that.
        bound = ACT_MAX * np.abs(better).sum(1)
        if bias is not None:
            bound += np.abs(np.ldexp(moved / exact, f_in)) + 1
            moved = np.where(bound <= INT32_MAX, moved, bias)
            self.arrays[at + ".b"] = _nearest(np.ldexp(moved / exact, f_in))
        self.arrays[at + ".w"] = np.where((bound <= INT32_MAX)[:, None], better.astype(np.int64), w)
        self.arrays[at + ".m"] = m
        return shift

    def _affine(self, at: str, f_in: int, f_out: int, moment: Floats, shift_max: int = 32) -> int:
        weight, bias = self.w[f"{at}.weight"], self.w[f"{at}.bias"]
        rows = weight.shape[0]
        return self._matrix(at, weight, bias, f_in, np.full(rows, f_out), np.ones(rows), moment, shift_max)

    def _heads(self, units: Floats, f_final: int) -> tuple[tuple[int, ...], int]:
        encoding = self.shape.encoding
        weight, bias = (joined(self.w, encoding, what) for what in ("weight", "bias"))
        rows = encoding.regression_rows
        bound = np.abs(weight[rows]).sum(1) * ACT_MAX * 2.0**-f_final + np.abs(bias[rows])
        head_frac = tuple(fraction_bits(float(b) * 1.25, 2.0**31, 1, 20) for b in bound / units)
        f_out, all_units = np.full(weight.shape[0], F_LOGIT), np.ones(weight.shape[0])
        f_out[rows], all_units[rows] = head_frac, units
        return head_frac, self._matrix("heads", weight, bias, f_final, f_out, all_units, self.moments["hfin"])

    def _layer(self, n: int, f_res: int) -> LayerFormats:
        shape, w = self.shape, self.w
        at, mamba = f"layers.{n}.", f"layers.{n}.mamba."
        f_in = fraction_bits(self._range(at + "in") * ACTIVATION_ROOM, ACT_MAX, 0, 13)
        f_out = self._out_bits(n)
        f_z = fraction_bits(self._range(at + "z") * WIDE_ROOM, 32767, 5, 13)
        f_x = fraction_bits(self._range(at + "xbc") * WIDE_ROOM, 32767, 0, 14)
        rows = np.full(shape.proj_rows, f_x)
        rows[: shape.d_inner] = f_z
        rows[-shape.num_heads :] = F_DT
        in_proj = w[mamba + "in_proj.weight"]
        moment = self.moments[at + "in"]
        s_in = self._matrix(at + "in_proj", in_proj, None, f_in, rows, np.ones(shape.proj_rows), moment)
        out_proj = w[mamba + "out_proj.weight"]
        f_rows, ones = np.full(shape.d_model, f_res), np.ones(shape.d_model)
        s_out = self._matrix(at + "out_proj", out_proj, None, f_out, f_rows, ones, self.moments[at + "out"])
        f_c, sh_b, hs, gains = self._state_formats(n)
        f_y = self._best_bits(at + "y", -10, 14, gains)
        f_y = min(f_y, int(hs.min()) + f_c - shape.read_shift - 1)
        f_d = fraction_bits(float(np.abs(w[mamba + "D"]).max()), 32767, f_y - f_c + 1, 14)
        self.arrays[at + "hs"] = hs
        self.arrays[at + "row_gain"] = gains
        self.arrays[at + "d"] = _nearest(np.ldexp(w[mamba + "D"], f_d))
        self.arrays[at + "dt_bias"] = _nearest(np.ldexp(w[mamba + "dt_bias"], F_DT))
        self.arrays[at + "alpha"] = self._decay_rates(n)
        return LayerFormats(
            f_in=f_in,
            f_in_w=self._norm(at + "norm", w[at + "norm.weight"], f_in),
            s_in=s_in,
            f_z=f_z,
            f_x=f_x,
            f_conv_w=self._conv(n, f_x, f_c),
            f_c=f_c,
            sh_b=sh_b,
            f_y=f_y,
            f_d=f_d,
            f_out=f_out,
            f_out_w=self._norm(at + "gate_norm", w[mamba + "norm.weight"], f_out),
            s_out=s_out,
            eps_gate=round(EPS * shape.d_inner * 4.0 ** (f_y + f_z)),
        )

    def _decay_rates(self, n: int) -> Ints:
        """|A|·log2 e of each head in Q20, which holds rates below 2,048.

        The largest integer means every larger rate: such a head forgets its whole state within a frame
        (docs/numerics.md, section 6.4). A larger rate whose dt is so short that something is left cannot be held.
        """
        with np.errstate(over="ignore"):
            rates = np.exp(self.w[f"layers.{n}.mamba.A_log"]) / math.log(2)
        beyond = rates * 2**20 >= INT32_MAX
        shortest = 1 / self.ranges[f"layers.{n}.shortest"].numpy().astype(np.float64)
        left = np.exp2(-np.minimum(rates * shortest, 1000)) * beyond
        if left.max() > FORGOTTEN:
            head = int(left.argmax())
            raise CheckpointError(
                f"layer {n}, head {head}: it forgets at a rate that the format does not hold",
                expected=f"an A_log of at most {math.log(2048 * math.log(2)):.2f}, or a dt at which nothing is left",
                found=f"A_log {self.w[f'layers.{n}.mamba.A_log'][head]:.2f}, dt {shortest[head]:.1e}",
            )
        held = _nearest(np.ldexp(np.where(beyond, 0.0, rates), 20)).clip(1, INT32_MAX - 1)
        return np.where(beyond, INT32_MAX, held)

    def _conv(self, n: int, f_x: int, f_c: int) -> int:
        at, mamba = f"layers.{n}.", f"layers.{n}.mamba."
        taps, bias = self.w[mamba + "conv1d.weight"][:, 0, :], self.w[mamba + "conv1d.bias"]
        # 32768·Σ|w| + |bias| must stay below 2^30, in units of 2^-(f_x + f_conv_w); 2 for rounding the four taps.
        sums = np.abs(taps).sum(1) + np.abs(bias) * 2.0**f_x / 32768
        f_conv_w = fraction_bits(float(sums.max()), 32768 - 4, f_c - f_x + 1, 14)
        self.arrays[at + "conv_w"] = _nearest(np.ldexp(taps, f_conv_w))
        self.arrays[at + "conv_b"] = _nearest(np.ldexp(bias, f_x + f_conv_w))
        return f_conv_w

    def _best_bits(self, name: str, low: int, high: int, gains: Ints | int = 0) -> int:
        """Fraction bits of 16 that lose least, if anything is within reach of them; else those that hold the range.
        Channel i has `gains[i]` more of them.

        A trained layer's rare peaks are a hundred times its usual frames: a format that holds them with room to spare
        leaves too little to the usual ones.
        """
        losses = self.losses[name]
        range_ = self.ranges[name].numpy().ravel().astype(np.float64)
        room = fraction_bits(float(np.ldexp(range_, gains).max()) * WIDE_ROOM, 32767, low, high)
        channels = np.arange(losses.shape[1])
        total = [losses[np.clip(bits + gains, 0, MOST_BITS - 1), channels].sum() for bits in range(16)]
        best = int(np.argmin(total))
        return max(room, min(best, high)) if best else room

    def _state_formats(self, n: int) -> tuple[int, int, Ints, Ints]:
        """f_c, sh_b, hs of each head and the gain of each row: as fine as the rows of the state, what they take in,
        and the shifts' limits allow."""
        at = f"layers.{n}."
        h, drive, x = (self.ranges[at + name].double().numpy() for name in ("h", "drive", "x"))
        rows = np.minimum(_bits(h * STATE_ROOM), _bits(drive * DRIVE_ROOM))
        for f_c in range(self._best_bits(at + "conv", 5, 13), 4, -1):
            hs = np.minimum(rows.min(1), 2 * f_c - 3)
            sh_b = min(SH_B_MAX, int(hs.min()) + 19 - 2 * f_c)
            if sh_b >= SH_B_MIN:
                gains = np.minimum(rows - hs[:, None], _bits(x * WIDE_ROOM) - f_c)
                return f_c, sh_b, hs, gains.clip(0, ROW_GAIN_MAX).ravel()
        raise CheckpointError(
            f"layer {n}: recurrent state too large for 16 bits",
            expected="a magnitude below 1,000",
            found=float(h.max()),
        )


def _bits(largest: Floats) -> Ints:
    """The number of fraction bits with which each value fits into 16 bits."""
    return np.floor(np.log2(32767 / np.maximum(largest, 1e-12))).astype(np.int64)


def _nearest(value: Floats) -> Ints:
    return np.rint(value).astype(np.int64)
