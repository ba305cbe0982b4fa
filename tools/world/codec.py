"""Frame blocks to the model's tensors, and predictions back: the float side of docs/numerics.md §6.1, §7."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from model import (
    CATEGORIES,
    HITLAG_SCALE,
    PERCENT_SCALE,
    PLAYER_EMBEDDINGS,
    SHIELD_SCALE,
    STAGE,
    STOCKS_SCALE,
    USED,
    VELOCITY_SCALE,
    XY_SCALE,
)
from numpy.typing import NDArray
from simulator import SHIELD_FULL, Fighters
from torch import Tensor

AGES = 150
SPEEDS = ("air_x", "speed_y", "ground_x", "attack_x", "attack_y")
BUTTONS = ((6, 1), (6, 2), (6, 4), (6, 8), (6, 16), (7, 4), (7, 8), (7, 1))  # A, B, X, Y, Z, L, R, D-up


def controls(inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(…, 8) ControllerInput bytes → (…, 13) floats in 0..1."""
    sticks = (inputs[..., :4].view(np.int8).astype(np.float32) + 128) / 255
    shoulder = inputs[..., 4:6].max(-1, keepdims=True).astype(np.float32) / 255
    buttons = np.stack([(inputs[..., byte] & bit) != 0 for byte, bit in BUTTONS], -1).astype(np.float32)
    return np.concatenate([sticks, shoulder, buttons], -1)


def percent(s: Fighters) -> NDArray[np.int32]:
    """In 1/256 percent."""
    return s.percent * 256 + s.percent_frac


def floats(s: Fighters, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(matches, 2, 28): the frame vector's floats, `inputs` being the controllers that led to this frame."""
    columns: list[NDArray[Any]] = [percent(s) / 256 * PERCENT_SCALE, s.x / 256 * XY_SCALE, s.y / 256 * XY_SCALE]
    columns += [s.shield / 256 * SHIELD_SCALE, *(getattr(s, name) / 256 * VELOCITY_SCALE for name in SPEEDS)]
    columns += [s.hitlag * HITLAG_SCALE, s.stocks * STOCKS_SCALE, s.age * 0]
    columns += [s.facing, s.invulnerable, s.on_ground]
    return np.concatenate([np.stack(columns, -1).astype(np.float32), controls(inputs)], -1)


def categories(s: Fighters) -> dict[str, NDArray[np.int64]]:
    """name → (matches, 2)."""
    zero = np.zeros(s.x.shape, np.int64)
    known = {
        "action": s.action, "jumps": s.jumps, "character": s.character, "state_age": np.minimum(s.age, AGES - 1)
    }  # fmt: skip
    return {name: known[name].astype(np.int64) if name in known else zero for name in PLAYER_EMBEDDINGS}


def _rows(name: str) -> NDArray[np.int64]:
    rows = np.zeros(CATEGORIES[name], np.int64)
    rows[list(USED[name])] = np.arange(len(USED[name]))
    return rows


_ROWS = {name: _rows(name) for name in ("action", "jumps")}


def targets(s: Fighters, after: Fighters) -> dict[str, NDArray[np.float32] | NDArray[np.int64]]:
    """What the heads should say at `s` so that `after` follows; head name → (matches, rows) or (matches, 2)."""

    def flat(columns: list[NDArray[np.int32]], scales: list[float]) -> NDArray[np.float32]:
        stacked = np.stack([c * k for c, k in zip(columns, scales, strict=True)], -1)
        return stacked.reshape(len(stacked), -1).astype(np.float32)

    delta = [percent(after) - percent(s), *(getattr(after, n) - getattr(s, n) for n in ("x", "y", "shield"))]
    speed = [getattr(after, n) - getattr(s, n) for n in SPEEDS]
    return {
        "continuous": flat(delta, [k / 256 for k in (PERCENT_SCALE, XY_SCALE, XY_SCALE, SHIELD_SCALE)]),
        "velocity": flat(speed, [VELOCITY_SCALE / 256] * 5),
        "dynamics": flat([after.hitlag, after.stocks, after.stocks * 0], [HITLAG_SCALE, STOCKS_SCALE, 0.1]),
        "binary": flat([after.facing, after.invulnerable, after.on_ground], [1, 1, 1]),
        "action": _ROWS["action"][after.action],
        "jumps": _ROWS["jumps"][after.jumps],
    }


def decode(s: Fighters, out: dict[str, Tensor]) -> Fighters:
    """The next frame that a prediction (head name → (matches, rows)) makes of `s`."""
    n = s.copy()

    def rows(name: str, width: int) -> NDArray[np.float64]:
        return out[name].double().numpy().reshape(len(s.x), 2, width)

    def whole(values: NDArray[np.float64]) -> NDArray[np.int32]:
        return np.clip(np.rint(values), -1e9, 1e9).astype(np.int32)

    d = rows("continuous", 4)
    total = np.clip(percent(s) + whole(d[..., 0] * 256 / PERCENT_SCALE), 0, 999 * 256)
    n.percent, n.percent_frac = total >> 8, total & 255
    n.x = np.clip(s.x + whole(d[..., 1] * 256 / XY_SCALE), -76800, 76800)
    n.y = np.clip(s.y + whole(d[..., 2] * 256 / XY_SCALE), -51200, 76800)
    n.shield = np.clip(s.shield + whole(d[..., 3] * 256 / SHIELD_SCALE), 0, SHIELD_FULL)
    v = rows("velocity", 5)
    for i, name in enumerate(SPEEDS):
        setattr(n, name, np.clip(getattr(s, name) + whole(v[..., i] * 256 / VELOCITY_SCALE), -32768, 32767))
    y = rows("dynamics", 3)
    n.hitlag = np.clip(whole(y[..., 0] / HITLAG_SCALE), 0, 50)
    n.stocks = np.clip(whole(y[..., 1] / STOCKS_SCALE), 0, 4)
    b = rows("binary", 3) > 0
    n.facing, n.invulnerable, n.on_ground = (b[..., i].astype(np.int32) for i in range(3))
    for name in ("action", "jumps"):
        values = [out[f"{player}_{name}"].argmax(-1).numpy() for player in ("p0", "p1")]
        setattr(n, name, np.array(USED[name], np.int32)[np.stack(values, -1)])
    n.age = np.where(n.action == s.action, np.minimum(s.age + 1, 65535), 0).astype(np.int32)
    return n


def tensors(frames: list[tuple[Fighters, NDArray[np.uint8]]]) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """T frames and the controllers that led to each → the model's first three arguments."""
    f = torch.from_numpy(np.stack([floats(s, i) for s, i in frames], 1))
    per_frame = [categories(s) for s, _ in frames]
    c = {name: torch.from_numpy(np.stack([p[name] for p in per_frame], 1)) for name in PLAYER_EMBEDDINGS}
    return f, c, torch.full(f.shape[:2], STAGE)
