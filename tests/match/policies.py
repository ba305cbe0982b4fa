"""Policy checkpoints with random weights, of any size."""

from __future__ import annotations

import numpy as np

from awm_crank.engine.layout import EMBEDDINGS
from awm_crank.match.policy import Policy

ENCODING = {"percent_scale": 0.01, "xy_scale": 0.05, "state_age_as_embed": False}


def weights(
    seed: int, context_len: int, hidden: int = 24, trunk: int = 12, *, age: bool = False, more: int = 0
) -> dict[str, np.ndarray]:
    """Maps a state-dict name to a random float32 array. `more` is the number of additional floats for each player."""
    rng = np.random.default_rng(seed)
    tables = {n: s for n, s in EMBEDDINGS.items() if n != "state_age_embed" or age}
    columns = sum(s[1] for n, s in tables.items() if n != "stage_embed")
    inputs = context_len * (2 * (29 - age + more + columns) + 4)
    shapes: dict[str, tuple[int, ...]] = {f"{n}.weight": s for n, s in tables.items()}
    layers = [("trunk.0", hidden, inputs), ("trunk.3", trunk, hidden), ("analog_head", 5, trunk)]
    for name, rows, columns in [*layers, ("button_head", 8, trunk)]:
        shapes |= {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}
    return {n: (rng.standard_normal(s) * 2 / np.sqrt(s[-1])).astype(np.float32) for n, s in shapes.items()}


def policy(seed: int = 1, context_len: int = 3, *, age: bool = False) -> Policy:
    """A policy that looks at this many frames."""
    return Policy(weights(seed, context_len, age=age), ENCODING | {"state_age_as_embed": age}, context_len)
