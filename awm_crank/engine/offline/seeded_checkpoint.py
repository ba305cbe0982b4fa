"""A checkpoint from a seed: what the demo runs until a trained one exists.

Initialised as Mamba2 is (A in 1..16, dt in 0.001..0.1), with a toy world written into a few residual dimensions that
no layer touches: sticks push, walls and gravity pull back, fighters face each other, damage costs stocks. Everything
else is noise. Needs torch (the extra `model`).
"""

from __future__ import annotations

import io

import numpy as np
import torch
from numpy.typing import NDArray

from awm_crank.engine.encoding import DYNAMICS, FLAGS, STATE_FLAGS
from awm_crank.engine.layout import Shape
from awm_crank.engine.offline.checkpoint import SCALES, names
from awm_crank.engine.seeded import Stream

Floats = NDArray[np.float64]

MIRRORED = (0, 1, 2, 3, 4, 5, 6, 7, 8)
"""Player floats that each get a residual dimension of their own: percent, x, y, shield, five speeds."""
CTRL_DIMS = 3
"""hfin dimensions that carry a player's stick x, stick y and jump button."""
RESERVED = 2 * (len(MIRRORED) + CTRL_DIMS)
LIVELY_ACTIONS = (14, 20, 24, 25, 29, 42, 44, 57, 75, 78, 178, 179)
"""Actions whose logits vary most, so that a match shows moves that viewers know."""


def checkpoint(shape: Shape, seed: int) -> bytes:
    """A `.pt` file's bytes. The toy world needs d_model of 64 or more; below that there is noise only."""
    weights = _noise(shape, Stream(seed))
    if shape.d_model >= 64:
        _write_world(weights, shape)
    buffer = io.BytesIO()
    torch.save(
        {
            "model_state_dict": {n: torch.from_numpy(w.astype(np.float32)) for n, w in weights.items()},
            "encoding_config": {**SCALES, **{name: getattr(shape.encoding, name) for name in FLAGS}},
            "context_len": 10,
        },
        buffer,
    )
    return buffer.getvalue()


def _noise(shape: Shape, stream: Stream) -> dict[str, Floats]:
    weights: dict[str, Floats] = {}
    for name, dims in names(shape).items():
        unit = stream.bell(name, dims) / 37837
        flat = stream.words("flat " + name, int(np.prod(dims))).reshape(dims) / 65536
        if name.endswith("_embed.weight"):
            weights[name] = 0.5 * unit
        elif name.endswith("norm.weight"):
            weights[name] = 0.75 + 0.5 * flat
        elif name.endswith("A_log"):
            weights[name] = np.log(1 + 15 * flat)
        elif name.endswith("dt_bias"):
            dt = 0.001 * 100**flat
            weights[name] = np.log(np.expm1(dt))
        elif name.endswith(".D"):
            weights[name] = 0.5 + flat
        elif name.endswith("conv1d.weight"):
            weights[name] = flat - 0.5
        elif name.endswith(("head.bias", "conv1d.bias")):
            weights[name] = 0.2 * unit
        elif name.endswith(".bias"):
            weights[name] = 0.02 * unit
        else:
            gain = 0.6 if name.endswith("out_proj.weight") else 1.0
            weights[name] = gain * unit / np.sqrt(dims[-1])
    for head, size in (("continuous_head", 0.004), ("velocity_head", 0.02), ("dynamics_head", 0.03)):
        weights[f"{head}.weight"] *= size
        weights[f"{head}.bias"] *= size
    return weights


def _write_world(weights: dict[str, Floats], shape: Shape) -> None:
    for n in range(shape.num_layers):
        weights[f"layers.{n}.mamba.out_proj.weight"][:RESERVED] = 0
    project, project_bias = weights["frame_proj.weight"], weights["frame_proj.bias"]
    ctrl, ctrl_bias = weights["ctrl_proj.weight"], weights["ctrl_proj.bias"]
    project[:RESERVED], project_bias[:RESERVED] = 0, 0
    ctrl[:RESERVED], ctrl_bias[:RESERVED] = 0, 0
    weights["final_norm.weight"][:RESERVED] = 1
    for head in [n for n in weights if "_head." in n and n.endswith("weight")]:
        weights[head][:, :RESERVED] = 0

    continuous, velocity = weights["continuous_head.weight"], weights["velocity_head.weight"]
    dynamics, binary = weights["dynamics_head.weight"], weights["binary_head.weight"]
    bias, dynamics_bias, binary_bias = (weights[f"{h}_head.bias"] for h in ("continuous", "dynamics", "binary"))
    mirror = [[player * len(MIRRORED) + i for i in range(len(MIRRORED))] for player in (0, 1)]
    for player in (0, 1):
        percent, x, y, _shield, *speeds = mirror[player]
        other_x = mirror[1 - player][1]
        stick_x, stick_y, jump = range(RESERVED - (2 - player) * CTRL_DIMS, RESERVED - (1 - player) * CTRL_DIMS)
        for dim, column in zip(mirror[player], MIRRORED, strict=True):
            project[dim, player * shape.player_floats + column] = 1
        first = 13 * player
        for dim, column in ((stick_x, 0), (stick_y, 1), (jump, 7)):
            ctrl[dim, first + column] = 1
        ctrl_bias[stick_x] = ctrl_bias[stick_y] = -0.502

        row = 4 * player
        continuous[row] *= 0.25
        bias[row] = 0.0003
        continuous[row + 1, [x, other_x, stick_x]] = -0.014, 0.002, 0.12
        continuous[row + 2, [y, stick_y, jump]] = -0.12, 0.05, 0.12
        bias[row + 1 : row + 3] = 0
        bias[row + 3] = 0.002
        for i, dim in enumerate(speeds):
            velocity[5 * player + i, dim] = -0.2
        velocity[5 * player, stick_x] = 0.02
        velocity[5 * player + 1, jump] = 0.04
        velocity[5 * player + 2, stick_x] = 0.03
        named = shape.encoding.dynamics
        first = len(named) * player
        dynamics[first + 1, percent] = -0.2
        dynamics_bias[[first + named.index(name) for name in DYNAMICS]] = 0, 1, 0
        first = (3 + STATE_FLAGS * shape.encoding.state_flags) * player
        binary[first, [x, other_x]] = -2, 2
        binary[first + 2, y] = -4
        binary_bias[first : first + 3] = 0, -1.5, 0.5
        weights[f"p{player}_action_head.weight"][list(LIVELY_ACTIONS)] *= 2.5
