"""Rollout coherence, the prototype's metric: the distance between K frames of a closed loop and a replay with the same
inputs.

Offline, needs torch. The position error is the mean over both players, x and y, and frames 1 … K, in game units.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from awm_crank.engine import frame
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.offline.closed_loop import FloatWorld, IntegerWorld, World
from awm_crank.engine.offline.torch_model import TorchModel

HORIZONS = (5, 10, 20)
UNIT = 256


def coherence(
    engine: NativeEngine, model: TorchModel, replays: Sequence[Sequence[bytes]], context: int
) -> dict[str, dict[int, float]]:
    """The mean position error of "FP32" and of "INT8" for each of `HORIZONS`.

    Args:
        engine: the cartridge's engine.
        model: the floating-point model.
        replays: recorded matches as lists of frame blocks, which were used for neither training nor calibration. Each
            has the same number of blocks, at least `context` + 20.
        context: how many blocks both models consume first.
    """
    first = [blocks[0] for blocks in replays]
    worlds: dict[str, World] = {"FP32": FloatWorld(model, first), "INT8": IntegerWorld(engine, first)}
    out = {}
    for name, world in worlds.items():
        for n in range(context - 1):
            world.consume([blocks[n] for blocks in replays])
        errors, now = [], [blocks[context - 1] for blocks in replays]
        for n in range(context, context + HORIZONS[-1]):
            truth = [blocks[n] for blocks in replays]
            now = world.heads(world.consume(now), now, [frame.block_inputs(block) for block in truth])
            errors.append(np.mean([_apart(a, b) for a, b in zip(now, truth, strict=True)]))
        out[name] = {k: float(np.mean(errors[:k])) for k in HORIZONS}
    return out


def _apart(a: bytes, b: bytes) -> float:
    places = [
        [player[axis] for player in frame.unpack(block[: frame.BLOCK_SIZE])[:2] for axis in ("x", "y")]
        for block in (a, b)
    ]
    return float(np.abs(np.diff(places, axis=0)).mean()) / UNIT


def cut(blocks: Sequence[bytes], length: int, count: int) -> list[list[bytes]]:
    """Up to `count` pieces of `length` blocks, evenly spread; none that runs over the end of a match.

    A match ends at the frame in which the stocks rise again.
    """
    ends = {n for n, (a, b) in enumerate(pairwise(blocks), 1) if _other_match(a, b)}
    usable = [n for n in range(len(blocks) - length + 1) if ends.isdisjoint(range(n + 1, n + length))]
    chosen = usable[:: max(1, len(usable) // count)][:count]
    return [list(blocks[n : n + length]) for n in chosen]


def _other_match(a: bytes, b: bytes) -> bool:
    return any(after > before for before, after in zip(frame.block_stocks(a), frame.block_stocks(b), strict=True))
