"""Trains the demo's world: `python tools/world/train.py --out DIR --minutes N [--resume]`.

Stateful truncated backpropagation over matches that never end: each chunk of T frames starts from the model's state at
the end of the one before. A share of the matches runs *free*: their frames are the model's own predictions, and the
simulator, which is a function of the frame block, says what should have followed each of them (DAgger with an exact
expert). So the model sees the states that it drifts into and learns the way back, which teacher-forced windows never
teach.

Everything follows from the seed and the chunk's number; DIR/last.pt holds all that is needed to go on.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import codec
import numpy as np
import torch
from model import (
    HITLAG_SCALE,
    PERCENT_SCALE,
    SHIELD_SCALE,
    SPREAD,
    STOCKS_SCALE,
    VELOCITY_SCALE,
    XY_SCALE,
    FrameStackMamba2,
    TrainingShape,
)
from numpy.typing import NDArray
from players import StyledPlayers
from rounded import Rounded, settled
from simulator import (
    ACTIONS,
    ATTACKS,
    BLAST_BOTTOM,
    BLAST_LEFT,
    BLAST_RIGHT,
    BLAST_TOP,
    BLOCK_DEPTH,
    CLEAR,
    DAMAGE_LIGHT,
    DEAD,
    FALL,
    GROUND_ACTIONS,
    GROUND_X,
    HEAD,
    LIGHT_TO_MEDIUM,
    REBIRTH,
    STOCK_AGE,
    UNIT,
    WAIT,
    WALL_PUSH,
    Fighters,
    is_in,
    start,
    step,
)
from torch import Tensor
from torch.nn import functional as F

# The precision that matters, as a share of the model's SPREAD: the loss of larger errors grows linearly. Percent is the
# most precise, because its errors add up over a whole match: without a hit, its change must be zero.
PRECISION = {"continuous": (0.002, 0.02, 0.02, 0.03), "velocity": (0.03,) * 5, "dynamics": (0.03,) * 3}
# Height counts more: a grounded fighter is at 0, and a model that is slightly wrong lifts it off the stage, step by
# step. Launches count more, too, because they occur in few frames.
SHARE = {"continuous": (1.0, 1.0, 4.0, 1.0), "velocity": (1, 1, 1, 4.0, 2.0), "dynamics": (1.0, 4.0, 1.0)}
# From time to time, grounded fighters are raised or lowered by up to this much, so that the model learns from the first
# chunk on to bring them back.
LIFT, LIFTED = 3 * UNIT, 0.1
# Whether a blow lands is decided in one frame of some hundred, and is all that a fight is about: frames in which one
# may count this much more, whether it lands or not, so that nothing is learned to be likelier than it is.
BLOW_WEIGHT = 8.0
BLOW_RANGE = 60 * UNIT

# The area that the simulator's fighters never leave. A model's fighter that leaves it is put back at once, because
# nothing can be learned far outside.
LIMITS = {
    "air_x": (-280, 280), "ground_x": (-400, 400), "speed_y": (-540, 710), "attack_x": (-2700, 2700),
    "attack_y": (-2700, 2700), "hitlag": (0, 7), "jumps": (0, 2),
}  # fmt: skip
FAR = 2 * UNIT
BEYOND = 6 * UNIT
_KNOWN = np.zeros(400, bool)
_KNOWN[list(ACTIONS)] = True
_GROUND = np.zeros(400, bool)
_GROUND[list(GROUND_ACTIONS)] = True


def lost(s: Fighters) -> NDArray[np.bool_]:
    """Selects the matches in which a fighter is far outside the area that the simulator covers."""
    sane = repair(s)
    names = ("x", "y", "air_x", "ground_x", "speed_y", "attack_x", "attack_y")
    return np.any([np.abs(getattr(sane, n) - getattr(s, n)) > FAR for n in names], 0).any(1)


def repair(s: Fighters) -> Fighters:
    """Replaces states that only a model can reach by the nearest state that the simulator can handle."""
    s = s.copy()
    for name, (low, high) in LIMITS.items():
        setattr(s, name, np.clip(getattr(s, name), low, high).astype(np.int32))
    s.action = np.where(_KNOWN[s.action], s.action, np.where(s.on_ground == 1, WAIT, FALL))
    grounded_action = _GROUND[s.action]
    over = np.abs(s.x) <= GROUND_X
    gone = is_in(s.action, (DEAD, REBIRTH))
    s.x = np.clip(s.x, BLAST_LEFT - BEYOND, BLAST_RIGHT + BEYOND)
    s.y = np.clip(s.y, BLAST_BOTTOM - BEYOND, BLAST_TOP + BEYOND)
    s.on_ground = np.where(gone, 0, s.on_ground)
    # Near the edge, the wind moves the fighter out; deeper inside the block, it is moved up.
    deep = (s.y > -BLOCK_DEPTH) & (np.abs(s.x) < GROUND_X - WALL_PUSH)
    sunk = (s.y < 0) & ((s.y > -UNIT) | deep) & over & ~gone
    # A fighter next to the floor counts as sliding off the edge.
    s.y = np.where(sunk | (s.on_ground == 1), np.where(over, 0, -UNIT), s.y)
    near = (s.y <= 2 * UNIT) & over & ~gone & grounded_action
    s.on_ground = np.where(near, 1, s.on_ground)
    s.y = np.where(near, 0, s.y)
    s.on_ground = np.where(over | gone, s.on_ground, 0)
    floating = (s.on_ground == 0) & grounded_action
    s.action = np.where(floating, FALL, s.action)
    landed = (s.on_ground == 1) & ~grounded_action & ~is_in(s.action, DAMAGE_LIGHT)
    s.action = np.where(landed, WAIT, s.action)
    s.action = np.where(is_in(s.action, DAMAGE_LIGHT) & (s.on_ground == 0), s.action + LIGHT_TO_MEDIUM, s.action)
    for name in ("action", "on_ground", "x", "y"):
        setattr(s, name, getattr(s, name).astype(np.int32))
    return s


class Matches:
    """A batch of matches in progress: frames, the controllers that led to them, players, the model's state."""

    def __init__(self, count: int, seed: int, model: FrameStackMamba2) -> None:
        self.count = count
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self.frames = start(count)
        self.inputs = np.zeros((count, 2, 8), np.uint8)
        self.players = StyledPlayers(count, seed + 1)
        self.state = model.start(count)
        self.free = np.zeros(count, bool)
        for _ in range(600):  # spread the matches over all of a match
            self.inputs = self.players.controllers(self.frames)
            self.frames = step(self.frames, self.inputs)
            self._renew(self.rng.random(count) < 0.001)

    def _renew(self, rows: np.ndarray) -> None:
        rows = rows | (self.frames.stocks == 0).any(1)
        if not rows.any():
            return
        fresh = start(self.count)
        # Half of the matches begin closer, so that fights come soon.
        closer = (self.rng.random(self.count) < 0.5)[:, None]
        fresh.x = np.where(closer, fresh.x * self.rng.integers(1, 8, (self.count, 1)) // 8, fresh.x).astype(np.int32)
        self.frames.put(rows, fresh)
        self.inputs[rows] = 0
        keep = torch.from_numpy(~rows)
        self.state = [(h * keep[:, None, None, None], t * keep[:, None, None]) for h, t in self.state]
        style = StyledPlayers(self.count, int(self.rng.integers(1 << 62)))
        self.players.style[rows] = style.style[rows]

    def chunk(
        self, model: FrameStackMamba2 | Rounded, frames: int, free: float
    ) -> tuple[list[Tensor], dict[str, Tensor], Tensor]:
        """Plays a chunk. Returns the model's arguments (without state), the targets, and how much each frame counts;
        all are (matches, frames, …)."""
        change = self.rng.random(self.count) < 0.1
        self.free = np.where(change, self.rng.random(self.count) < free, self.free)
        seen, following, wanted, weights = [], [], [], []
        rows = torch.from_numpy(np.flatnonzero(self.free))
        state = [(h[rows], t[rows]) for h, t in self.state]
        for _ in range(frames):
            inputs = self.players.controllers(self.frames)
            self._lift()
            after = step(repair(self.frames), self.inputs)
            weights.append(weight(self.frames))
            seen.append((self.frames, self.inputs))
            following.append(codec.controls(inputs).reshape(self.count, -1))
            wanted.append(codec.targets(self.frames, after))
            if len(rows):
                mine = self.frames.take(rows.numpy())
                with torch.no_grad():
                    arguments = codec.tensors([(mine, self.inputs[self.free])])
                    out, state = model(*arguments, torch.from_numpy(following[-1])[rows, None], state)
                    mine = codec.decode(mine, {k: v[:, 0] for k, v in out.items()})
                after.place(self.free, mine)
                strayed = self.free & lost(after)
                if strayed.any():
                    after.put(strayed, repair(after))
            self.frames, self.inputs = after, inputs
        floats, categories, stage = codec.tensors(seen)
        controls = torch.from_numpy(np.stack(following, 1))
        target = {k: torch.from_numpy(np.stack([w[k] for w in wanted], 1)) for k in wanted[0]}
        return [floats, categories, stage, controls], target, torch.from_numpy(np.stack(weights, 1))  # type: ignore[list-item]

    def _lift(self) -> None:
        shape = self.frames.y.shape
        lifted = (self.rng.random(shape) < LIFTED) & (self.frames.on_ground == 1)
        by = self.rng.integers(-LIFT, LIFT, shape)
        self.frames.y = np.where(lifted, self.frames.y + by, self.frames.y).astype(np.int32)

    def finish(self, state: list[tuple[Tensor, Tensor]]) -> None:
        self.state = [(h.detach(), t.detach()) for h, t in state]
        gone = (np.abs(self.frames.x) > 299 * UNIT).any(1)
        self._renew(gone | (self.rng.random(self.count) < 0.001))


def losses(out: dict[str, Tensor], target: dict[str, Tensor], weight: Tensor) -> dict[str, Tensor]:
    """Returns the mean loss of each head. `weight` (matches, frames) says how much each frame counts.

    Regression: pseudo-Huber in units of SPREAD, so that small errors go on to matter.
    """
    share = weight / weight.sum()
    result = {}
    for name, spread in SPREAD.items():
        error = (out[name] - target[name]) / torch.tensor(spread * 2)
        precision = torch.tensor(PRECISION[name] * 2)
        cost = ((error.pow(2) + precision.pow(2)).sqrt() - precision) * torch.tensor(SHARE[name] * 2)
        result[name] = (3 * cost.mean(-1) * share).sum()
    binary = F.binary_cross_entropy_with_logits(out["binary"], target["binary"], reduction="none")
    result["binary"] = 4 * (binary.mean(-1) * share).sum()
    for name in out:
        if name not in result:
            player, head = int(name[1]), name[3:]
            entropy = F.cross_entropy(out[name].flatten(0, 1), target[head][..., player].flatten(), reduction="none")
            result[name] = (entropy * share.flatten()).sum()
    return result


def weight(s: Fighters) -> NDArray[np.float32]:
    """(matches,): how much the frame after `s` counts. It follows from `s` alone, never from what comes of it."""
    striking = np.any([(s.action == a.action) & (s.age + 1 == a.active) for a in ATTACKS], 0).any(1)
    close = (np.abs(s.x[:, 0] - s.x[:, 1]) < BLOW_RANGE) & (np.abs(s.y[:, 0] - s.y[:, 1]) < BLOW_RANGE)
    # Frames in which a stock is lost, and those around them; also the ledge and the wall, which few fighters touch.
    dying = ((s.action == DEAD) & (s.age < 2 * STOCK_AGE)).any(1)
    beside = (np.abs(np.abs(s.x) - GROUND_X) < CLEAR) & (s.y < 4 * UNIT) & (s.y > -BLOCK_DEPTH - HEAD - 4 * UNIT)
    beside &= s.on_ground == 0
    return 1 + np.float32(BLOW_WEIGHT) * ((striking & close) | dying | beside.any(1))


class Optimizer:
    """Muon for the layers' matrices, AdamW for everything else."""

    def __init__(self, model: FrameStackMamba2, rate: float) -> None:
        matrices = [w for name, w in model.named_parameters() if name.endswith(("in_proj.weight", "out_proj.weight"))]
        others = [w for w in model.parameters() if not any(w is m for m in matrices)]
        self.parts = [
            torch.optim.Muon(matrices, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.01),
        ]

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad()

    def step(self, rate: float) -> None:
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()

    def state_dict(self) -> list[dict[str, object]]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, state: list[dict[str, object]]) -> None:
        for part, kept in zip(self.parts, state, strict=True):
            part.load_state_dict(kept)


def encoding_config() -> dict[str, object]:
    return {
        "percent_scale": PERCENT_SCALE, "xy_scale": XY_SCALE, "shield_scale": SHIELD_SCALE,
        "velocity_scale": VELOCITY_SCALE, "state_age_scale": 0.01, "hitlag_scale": HITLAG_SCALE,
        "stocks_scale": STOCKS_SCALE, "combo_count_scale": 0.1, "state_age_as_embed": True,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--matches", type=int, default=256)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=6000, help="length of the learning-rate schedule")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--d-model", type=int, default=160)
    parser.add_argument("--d-inner", type=int, default=320)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--rounded", action="store_true", help="weights on the int8 grid: for the last part")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    model = FrameStackMamba2(TrainingShape(d_model=args.d_model, d_inner=args.d_inner, layers=args.layers))
    optimizer = Optimizer(model, args.rate)
    number = 0
    if args.resume:
        last = torch.load(args.out / "last.pt", weights_only=True)
        model.load_state_dict(last["training_state_dict"])
        optimizer.load_state_dict(last["optimizer"])
        number = last["chunk"]
    matches = Matches(args.matches, args.seed * 1_000_003 + number, model)
    run = Rounded(model) if args.rounded else model
    began, saved, window = time.monotonic(), time.monotonic(), []

    def save() -> None:
        full: dict[str, object] = {
            "model_state_dict": model.exported(settled(model) if args.rounded else None),
            "encoding_config": encoding_config(),
            "context_len": 10,
        }
        full |= {"training_state_dict": model.state_dict(), "optimizer": optimizer.state_dict(), "chunk": number}
        torch.save(full, args.out / "last.tmp")
        (args.out / "last.tmp").rename(args.out / "last.pt")

    while time.monotonic() - began < args.minutes * 60:
        progress = min(1.0, number / args.steps)
        rate = args.rate * min(1.0, (number + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        free = min(0.7, max(0.0, progress - 0.05) * 3)
        if isinstance(run, Rounded):
            run.update()
        inputs, target, counts = matches.chunk(run, args.frames, free)
        out, state = run(*inputs, matches.state)
        parts = losses(out, target, counts)
        optimizer.zero_grad()
        sum(parts.values()).backward()  # type: ignore[union-attr]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(rate)
        matches.finish(state)
        number += 1
        window.append({k: float(v.detach()) for k, v in parts.items()})
        if number % 50 == 0:
            mean = {k: round(sum(w[k] for w in window) / len(window), 4) for k in window[0]}
            wrong = {
                n: round(float((out[f"p0_{n}"].argmax(-1) != target[n][..., 0]).float().mean()), 4)
                for n in ("action", "jumps")
            }
            line = {"chunk": number, "free": round(free, 3), "rate": round(rate, 6), "loss": mean, "wrong": wrong}
            print(json.dumps(line), flush=True)
            with (args.out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            window = []
        if time.monotonic() - saved > 120:
            save()
            saved = time.monotonic()
    save()


if __name__ == "__main__":
    main()
