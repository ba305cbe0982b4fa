"""Exports a trained world: `python tools/world/export.py CHECKPOINT -o world.pt [--frames FILE]`.

Writes the checkpoint format that `awm-crank quantize` reads (weights, encoding_config, context_len; no optimizer), and
with `--frames` the frame blocks of simulated matches under the scripted players: `awm-crank quantize --frames`
calibrates on them, `awm-crank fidelity --recorded` compares on them (other seeds, please).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from evaluate import blocks
from model import FrameStackMamba2, TrainingShape
from players import StyledPlayers
from rounded import settled
from simulator import start, step
from train import encoding_config

LONGEST = 3600
CALIBRATION_SEED = 880_001


def clean(path: Path, on_grid: bool) -> dict[str, object]:
    """Converts the trained weights to the checkpoint format: FP32 tensors and nothing else.

    With `on_grid` the weights are rounded as `train.py --rounded` rounds them.
    """
    content = torch.load(path, map_location="cpu", weights_only=True)
    weights = content["training_state_dict"]
    d_inner, d_model = weights["layers.0.mamba.norm.weight"].shape[0], weights["final_norm.weight"].shape[0]
    layers = sum(name.endswith("out_proj.weight") for name in weights)
    model = FrameStackMamba2(TrainingShape(d_model=d_model, d_inner=d_inner, layers=layers))
    model.load_state_dict(weights)
    weights = model.exported(settled(model) if on_grid else None)
    weights = {name: value.float().contiguous() for name, value in weights.items()}
    return {"model_state_dict": weights, "encoding_config": encoding_config(), "context_len": 10}


def matches(frames: int, seed: int) -> bytes:
    """At least `frames` blocks of whole matches, one behind the other, each until a player has no stocks left."""
    out: list[bytes] = []
    number = 0
    while len(out) < frames:
        players, s, led = StyledPlayers(1, seed + number), start(1), np.zeros((1, 2, 8), np.uint8)
        number += 1
        for _ in range(LONGEST):
            out += blocks(s, led)
            if len(out) >= frames or (s.stocks == 0).any():
                break
            s, led = step(s, led), players.controllers(s)
    return b"".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, nargs="?", help="DIR/last.pt of training")
    parser.add_argument("-o", "--output", type=Path, help="checkpoint to write")
    parser.add_argument("--rounded", action="store_true", help="round the weights as train.py --rounded does")
    parser.add_argument("--frames", type=Path, metavar="FILE", help="frame blocks to write")
    parser.add_argument("--count", type=int, default=12_000, help="how many frames (12,000)")
    parser.add_argument("--seed", type=int, default=CALIBRATION_SEED, help="of the first of those matches")
    args = parser.parse_args()
    if (args.checkpoint is None) != (args.output is None) or not (args.output or args.frames):
        parser.error("name a CHECKPOINT with its -o FILE, or --frames FILE, or all three")
    if args.output:
        torch.save(clean(args.checkpoint, args.rounded), args.output)
    if args.frames:
        args.frames.write_bytes(matches(args.count, args.seed))


if __name__ == "__main__":
    main()
