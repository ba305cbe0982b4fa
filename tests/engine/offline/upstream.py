"""What the prototype's own code computed once, as numbers (tests/golden/upstream/), and the frames that it read.

`base_build.npz` is a model of its base build's flags, 64 x 2 x 16, with random weights: `weight/NAME`,
`encoding_config` (JSON), `raw` and `stage` (97 frames), and the outputs of its modules over the whole prefix from an
empty state, frame by frame: `out/HEAD`, and `out/HEAD_argmax` of the categorical ones. `encodings.npz` has six frames
of seven flag sets as its encoder orders them: `NAME/floats` and `NAME/ctrl`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from awm_crank.engine import frame
from awm_crank.engine.encoding import STATE_FLAGS, Encoding
from awm_crank.engine.offline import checkpoint
from awm_crank.engine.offline.checkpoint import TrainedCheckpoint
from awm_crank.wire import layouts

FOLDER = Path(__file__).resolve().parent.parent.parent / "golden" / "upstream"
SETS = ("age", "base_build", "hitstun", "plain", "projectiles", "state_flags", "threshold")
COLUMNS = (
    "percent", "x", "y", "shield_strength", *frame.SPEEDS, "state_age", "hitlag", "stocks", "combo_count", "hitstun",
    "facing", "invulnerable", "on_ground", "main_x", "main_y", "c_x", "c_y", "trigger", "A", "B", "X", "Y", "Z", "L",
    "R", "D-up", "action_state", "jumps_left", "character", "l_cancel", "hurtbox", "ground", "last_attack",
)  # fmt: skip
"""A player's columns of `raw`, before the 40 state flags."""


def load(name: str) -> dict[str, NDArray[Any]]:
    """The arrays of a file."""
    with np.load(FOLDER / f"{name}.npz") as content:
        return {key: content[key] for key in content.files}


def base_build() -> tuple[TrainedCheckpoint, dict[str, NDArray[Any]]]:
    """The base build's checkpoint, and all arrays of its file."""
    arrays = load("base_build")
    weights = {key.removeprefix("weight/"): value for key, value in arrays.items() if key.startswith("weight/")}
    return checkpoint.from_weights(weights, json.loads(arrays["encoding_config"].tobytes())), arrays


def encoding(arrays: dict[str, NDArray[Any]], name: str) -> Encoding:
    """The flags of one set of `encodings.npz`."""
    return checkpoint.parse_encoding(json.loads(arrays[f"{name}/config"].tobytes()))[1]


def blocks(raw: NDArray[Any], stages: NDArray[Any], flags: Encoding) -> list[bytes]:
    """Frame blocks of the prototype's integers (frames, 154)."""
    out = []
    for players, stage in zip(raw.reshape(len(raw), 2, -1).tolist(), stages.tolist(), strict=True):
        states, feedback, inputs, extra = [], [], [], []
        for values in players:
            p = dict(zip(COLUMNS, values, strict=False))
            bits = values[len(COLUMNS) :]
            assert len(bits) == STATE_FLAGS
            p |= {"percent": p["percent"] >> 8, "percent_frac": p["percent"] & 255, "reserved": 0}
            p |= {"state_flags": sum(bit << i for i, bit in enumerate(bits))}
            p |= {"projectile_x": 0, "projectile_y": 0, "projectile_count": 0}
            states.append(frame.PLAYER.pack(*(p[field] for field in layouts.PLAYER_STATE.names)))
            feedback.append(frame.FEEDBACK.pack(*(p[field] for field in layouts.FEEDBACK.names)))
            held = sum(p[button] << i for i, button in enumerate("ABXYZ"))
            more = p["D-up"] | p["L"] << 2 | p["R"] << 3
            inputs.append(
                frame.CONTROLLER.pack(p["main_x"], p["main_y"], p["c_x"], p["c_y"], p["trigger"], 0, held, more)
            )
            extra.append(frame.write_extra(p, flags))
        out.append(b"".join([*states, *feedback, *inputs, bytes((stage,)), *extra]))
    return out
