"""Quantizes a policy: from floating-point weights to the integers of a policy cartridge (docs/numerics.md, "Policies").

Weights become int8 with a scale for each row; a frame's numbers and what the layers pass on become 16-bit fixed point,
with as many fraction bits as the largest value of the calibration leaves room for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from awm_crank.engine.encoding import EMBEDDINGS, Encoding
from awm_crank.engine.offline.checkpoint import float_units
from awm_crank.engine.policy import F_OUT, MAX_INPUTS, MULTIPLIER_BITS, S_IN, Format, PolicyCartridge
from awm_crank.errors import CheckpointError

Floats = NDArray[np.float64]

F_IN = 11
"""Fraction bits of the frame vector: values up to 16, and steps of 0.0005."""
ROOM = 2.0
"""How much larger than in the calibration a value may become before it is cut."""
_MAX_SHIFT = 60


def quantize_policy(
    weights: Mapping[str, NDArray[np.floating]], scales: Mapping[str, float], flags: Encoding, context_len: int,
    contexts: NDArray[np.floating], *, whole_frames: bool, sampled: bool, bias: float, name: str, version: int,
) -> PolicyCartridge:  # fmt: skip
    """The policy in integers.

    Args:
        weights: state-dict name to array, as match/policy.py names them.
        scales: the encoding's scales.
        flags: the encoding's flags.
        context_len: K.
        contexts: (n, K · frame_dim) frame vectors to calibrate on, each oldest first.
        whole_frames, sampled, bias: the policy's rule.
        name, version: for the header.

    Raises:
        CheckpointError: there are too many inputs, an embedding is beyond ±16, or the bias does not fit.
    """
    w = {key: np.asarray(value, np.float64) for key, value in weights.items()}
    inputs = w["trunk.0.weight"].shape[1]
    if inputs > MAX_INPUTS:
        raise CheckpointError("policy inputs", expected=f"at most {MAX_INPUTS}", found=inputs, hint="a smaller K")
    arrays: dict[str, Any] = {"frame_mul": _multipliers(scales, flags)}
    tables = {}
    for table in EMBEDDINGS:
        if table in (*flags.player_embeddings, "stage_embed"):
            values = w[f"{table}.weight"]
            arrays[table] = _fixed(f"{table}.weight", values, F_IN, 1 << 15)
            tables[table] = values.shape
    hidden = np.maximum(contexts @ w["trunk.0.weight"].T + w["trunk.0.bias"], 0)
    trunk = np.maximum(hidden @ w["trunk.3.weight"].T + w["trunk.3.bias"], 0)
    f_hidden, f_trunk = _fraction_bits(hidden), _fraction_bits(trunk)
    heads = np.concatenate([w["analog_head.weight"], w["button_head.weight"]])
    heads_bias = np.concatenate([w["analog_head.bias"], w["button_head.bias"]])
    shifts = {}
    for layer, matrix, offset, before, after in (
        ("hidden", w["trunk.0.weight"], w["trunk.0.bias"], F_IN, f_hidden),
        ("trunk", w["trunk.3.weight"], w["trunk.3.bias"], f_hidden, f_trunk),
        ("heads", heads, heads_bias, f_trunk, F_OUT),
    ):
        arrays[f"{layer}.w"], arrays[f"{layer}.mul"], shifts[layer] = _matrix(matrix, after - before)
        arrays[f"{layer}.b"] = _fixed(f"{layer} bias", offset, after, 1 << 31)
    form = Format(
        flags, whole_frames, sampled, int(_fixed("button bias", np.array(bias), F_OUT, 1 << 31)), context_len,
        len(hidden[0]), len(trunk[0]), F_IN, f_hidden, f_trunk, shifts["hidden"], shifts["trunk"], shifts["heads"],
        tables,
    )  # fmt: skip
    total = sum(value.size for value in w.values())
    return PolicyCartridge.build(form, arrays, name=name, version=version, total_params=total)


def _multipliers(scales: Mapping[str, float], flags: Encoding) -> NDArray[np.int64]:
    units = float_units(scales, flags)[: len(flags.float_names)]
    found: NDArray[np.int64] = np.rint(np.ldexp(units, F_IN + S_IN)).astype(np.int64)
    return found


def _fixed(what: str, values: Floats, fraction: int, limit: int) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.rint(np.ldexp(values, fraction)).astype(np.int64)
    if np.abs(found).max(initial=0) >= limit:
        raise CheckpointError(
            f"policy {what} does not fit its format", expected=f"a magnitude below {math.ldexp(limit, -fraction):g}",
            found=f"{np.abs(values).max():g}",
        )  # fmt: skip
    return found


def _fraction_bits(values: Floats) -> int:
    """Fraction bits of a layer's outputs, 0..15."""
    most = max(float(values.max(initial=0)) * ROOM, 2.0**-15)
    return max(0, min(15, math.floor(math.log2(32767 / most))))


def _matrix(matrix: Floats, gain: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """int8 rows, each row's multiplier, and the shift that all multipliers share. `gain`: bits that outputs have more
    than inputs.
    """
    scales = np.abs(matrix).max(1) / 127
    rows = np.rint(matrix / np.where(scales > 0, scales, 1)[:, None]).astype(np.int64)
    real = np.ldexp(scales, gain)
    largest = max(float(real.max()), 2.0**-37)
    shift = max(1, min(_MAX_SHIFT, math.floor(MULTIPLIER_BITS - math.log2(largest) - 1e-9)))
    multipliers = np.rint(np.ldexp(real, shift)).astype(np.int64)
    if multipliers.max() > 1 << MULTIPLIER_BITS:
        raise CheckpointError(
            "policy weights do not fit the format", expected="outputs of a layer within a million times its inputs",
            found=f"a weight of {np.abs(matrix).max():g}",
        )  # fmt: skip
    return rows, multipliers, shift
