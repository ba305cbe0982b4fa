"""Judges a world: `python tools/world/evaluate.py (--checkpoint FILE | --cartridge FILE) [--json]
[--output FILE]`.

Plays 200 closed-loop matches of at most 3,600 frames with the scripted players and seeds that training never used, and
compares them with the simulator. Everything is fixed, so two runs of one world print the same figures. With both files
given, the INT8 figures are printed next to the FP32 ones, with the bootstrap 95 % interval of the latter.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import codec
import numpy as np
import simulator
import torch
from model import FrameStackMamba2, TrainingShape
from numpy.typing import NDArray
from players import StyledPlayers
from simulator import BLOCK_DEPTH, DEAD, GROUND_X, REBIRTH, UNIT, Fighters, is_in, start, step

from awm_crank.env.coding import fighters
from awm_crank.wire import layouts

MATCHES, FRAMES, SEED = 200, 3600, 990_001
FLOAT_FRAMES = 60


class FrameMaker(Protocol):
    """Something that makes the next frame of a batch of matches."""

    def begin(self, matches: int) -> None: ...

    def step(self, s: Fighters, led: NDArray[np.uint8], inputs: NDArray[np.uint8]) -> Fighters:
        """Returns the frame after `s`. `led` are the inputs that led to `s`, and `inputs` are those of the new
        frame.
        """
        ...


class Simulated:
    """The simulator itself."""

    def begin(self, matches: int) -> None:
        pass

    def step(self, s: Fighters, led: NDArray[np.uint8], inputs: NDArray[np.uint8]) -> Fighters:
        return step(s, led)


class Floating:
    """A checkpoint in FP32."""

    def __init__(self, path: Path) -> None:
        file = torch.load(path, weights_only=True)
        weights = file["model_state_dict"]
        d_inner, d_model = weights["layers.0.mamba.norm.weight"].shape[0], weights["final_norm.weight"].shape[0]
        layers = sum(name.endswith("out_proj.weight") for name in weights)
        self.model = FrameStackMamba2(TrainingShape(d_model=d_model, d_inner=d_inner, layers=layers))
        self.model.load_exported(weights)

    def begin(self, matches: int) -> None:
        self.state = self.model.start(matches)
        frames, neutral = start(matches), np.zeros((matches, 2, 8), np.uint8)
        for _ in range(9):
            self.step(frames, neutral, neutral)

    def step(self, s: Fighters, led: NDArray[np.uint8], inputs: NDArray[np.uint8]) -> Fighters:
        with torch.no_grad():
            following = torch.from_numpy(codec.controls(inputs).reshape(len(s.x), 1, -1))
            out, self.state = self.model(*codec.tensors([(s, led)]), following, self.state)
        return codec.decode(s, {name: v[:, 0] for name, v in out.items()})


# the simulator's short names of PlayerState's and Feedback's fields
_SHORT = {
    "shield_strength": "shield", "speed_air_x": "air_x", "speed_ground_x": "ground_x", "speed_attack_x": "attack_x",
    "speed_attack_y": "attack_y", "state_age": "age", "action_state": "action", "jumps_left": "jumps",
}  # fmt: skip
_FIELDS = {name: _SHORT.get(name, name) for name in layouts.PLAYER_STATE.names}


def blocks(s: Fighters, led: NDArray[np.uint8]) -> list[bytes]:
    """Frame blocks (docs/formats.md) of a batch."""
    out = []
    for i in range(len(s.x)):
        players = b"".join(
            layouts.PLAYER_STATE.body.pack(*(getattr(s, name)[i, p] for name in _FIELDS.values())) for p in (0, 1)
        )
        feedback = b"".join(
            layouts.FEEDBACK.write(percent_frac=s.percent_frac[i, p], invulnerable=s.invulnerable[i, p]) for p in (0, 1)
        )
        out.append(players + feedback + led[i].tobytes() + bytes((codec.STAGE,)))
    return out


class Quantized:
    """A cartridge, on the engine that serves it. The blocks travel from frame to frame untouched."""

    def __init__(self, path: Path) -> None:
        from awm_crank.engine.cartridge import Cartridge
        from awm_crank.engine.native import NativeEngine

        self.engine = NativeEngine(Cartridge.parse(path.read_bytes()))

    def begin(self, matches: int) -> None:
        self.blocks = blocks(start(matches), np.zeros((matches, 2, 8), np.uint8))
        self.states = [self.engine.start_state(block) for block in self.blocks]

    def step(self, s: Fighters, led: NDArray[np.uint8], inputs: NDArray[np.uint8]) -> Fighters:
        contexts = self.engine.backbone_batch(self.states, self.blocks)
        given = [inputs[i].tobytes() for i in range(len(inputs))]
        self.blocks = self.engine.heads_batch(contexts, self.blocks, given)
        return self._view()

    def _view(self) -> Fighters:
        rows = fighters(self.blocks)
        place = layouts.FRAME_BLOCK.span("feedback")
        fed_back = np.stack([np.frombuffer(b, np.uint8, place.size, place.offset).reshape(2, -1) for b in self.blocks])
        return Fighters(
            **{short: rows[name].astype(np.int32) for name, short in _FIELDS.items()},
            **{
                name: fed_back[..., layouts.FEEDBACK.offset(name)].astype(np.int32)
                for name in ("percent_frac", "invulnerable")
            },
        )


def play(world: FrameMaker, matches: int, frames: int, seed: int) -> dict[str, Any]:
    """Plays closed-loop matches. Returns figures for each match, as arrays."""
    s, led, players = start(matches), np.zeros((matches, 2, 8), np.uint8), StyledPlayers(matches, seed)
    world.begin(matches)
    length, ended = np.full(matches, frames), np.zeros(matches, bool)
    forbidden, counted, hits = (np.zeros(matches) for _ in range(3))
    below, floating = np.zeros(matches, bool), np.zeros(matches, bool)
    hovering = np.zeros(s.x.shape, int)
    top_percent = np.zeros(matches)
    for frame in range(1, frames + 1):
        inputs = players.controllers(s)
        after = world.step(s, led, inputs)
        live = ~ended
        gone = is_in(after.action, (DEAD, REBIRTH))
        sunk = (after.y < -UNIT) & (after.y > UNIT - BLOCK_DEPTH) & (np.abs(after.x) < GROUND_X - UNIT) & ~gone
        below |= sunk.any(1) & live
        still = (after.on_ground == 0) & (np.abs(after.y - s.y) < UNIT // 8) & ~gone
        hovering = np.where(still, hovering + 1, 0)
        floating |= (hovering > FLOAT_FRAMES).any(1) & live
        forbidden += np.where(live, impossible(s, after).any(1), 0)
        counted += live
        hits += np.where(live, (after.percent > s.percent + 1).any(1), 0)  # a smaller rise of the percent is not a hit
        top_percent = np.where(live, np.maximum(top_percent, after.percent.max(1)), top_percent)
        over = (after.stocks == 0).any(1) & live
        length[over] = frame
        ended |= over
        s, led = after, inputs
        if ended.all():
            break
    return {
        "length": length, "ended": ended, "below": below, "floating": floating, "forbidden": forbidden / counted,
        "hits": hits / counted * 60, "top_percent": top_percent,
    }  # fmt: skip


_KNOWN = np.zeros(400, bool)
_KNOWN[list(simulator.ACTIONS)] = True
_GROUND = np.zeros(400, bool)
_GROUND[[*simulator.GROUND_ACTIONS, *simulator.DAMAGE_LIGHT]] = True
_AIR = np.zeros(400, bool)
_AIR[list(simulator.AIR_ACTIONS)] = True


def impossible(s: Fighters, after: Fighters) -> NDArray[np.bool_]:
    """Counts, for each fighter, the field combinations that the simulator never makes."""
    bad = ~_KNOWN[after.action]
    bad |= (after.on_ground == 1) & _AIR[after.action]
    bad |= (after.on_ground == 0) & _GROUND[after.action]
    bad |= after.stocks > s.stocks
    bad |= (after.stocks < s.stocks) & (after.action != DEAD)
    # a quarter of a percent: smaller drops are rounding noise of the accounts' integers, and not healing
    bad |= (codec.percent(after) < codec.percent(s) - 64) & ~is_in(after.action, (DEAD, REBIRTH))
    return bad | ((after.on_ground == 1) & (np.abs(after.x) > GROUND_X + UNIT))


def probe(world: FrameMaker) -> dict[str, float]:
    """Speed of a held direction (units a frame), jump height (units), and a jab's effect at arm's length."""

    def run(inputs: Callable[[int], tuple[int, int, int]], frames: int) -> list[Fighters]:
        s, led = start(1), np.zeros((1, 2, 8), np.uint8)
        world.begin(1)
        seen = []
        for frame in range(frames):
            given = np.zeros((1, 2, 8), np.uint8)
            stick, buttons, other = inputs(frame)
            given[0, 0, 0], given[0, 0, 6], given[0, 1, 0] = stick & 255, buttons, other & 255
            s, led = world.step(s, led, given), given
            seen.append(s)
        return seen

    right = run(lambda _: (80, 0, 0), 30)
    left = run(lambda _: (0, 0, -80), 30)
    jump = run(lambda f: (0, simulator.X if f < 2 else 0, 0), 70)
    # Both run at each other, then player 1 jabs.
    fight = run(lambda f: (80 if f < 14 else 0, simulator.A if f >= 20 else 0, -80 if f < 14 else 0), 60)
    return {
        "run_right": float(right[-1].x[0, 0] - right[14].x[0, 0]) / 15 / UNIT,
        "run_left": float(left[-1].x[0, 1] - left[14].x[0, 1]) / 15 / UNIT,
        "jump_height": max(int(s.y[0, 0]) for s in jump) / UNIT,
        "jab_percent": float(max(int(s.percent[0, 1]) for s in fight)),
        "jab_push": max(int(s.attack_x[0, 1]) for s in fight) / UNIT,
    }


def summary(figures: dict[str, Any], reference: dict[str, Any]) -> dict[str, float]:
    low, high = np.percentile(reference["length"], [5, 95])
    inside = (figures["length"] >= low) & (figures["length"] <= high)
    return {
        "ended_by_stocks": float(figures["ended"].mean()), "length_p50": float(np.median(figures["length"])),
        "length_in_simulator_range": float(inside.mean()), "matches_below_floor": float(figures["below"].mean()),
        "matches_floating": float(figures["floating"].mean()), "forbidden_frames": float(figures["forbidden"].mean()),
        "hits_a_second": float(figures["hits"].mean()), "top_percent_p50": float(np.median(figures["top_percent"])),
    }  # fmt: skip


def interval(figures: dict[str, Any], reference: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Bootstrap 95 % interval of each figure of `summary`, over matches."""
    rng = np.random.Generator(np.random.PCG64(1))
    draws = []
    for _ in range(1000):
        rows = rng.integers(0, len(figures["length"]), len(figures["length"]))
        draws.append(summary({k: v[rows] for k, v in figures.items()}, reference))
    return {k: tuple(np.percentile([d[k] for d in draws], [2.5, 97.5]).round(5).tolist()) for k in draws[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--cartridge", type=Path)
    parser.add_argument("--matches", type=int, default=MATCHES)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, not as a table")
    parser.add_argument("--output", type=Path, metavar="FILE", help="with --json: write the JSON to FILE")
    args = parser.parse_args()
    if args.output and not args.json:
        parser.error("--output goes with --json")
    reference = play(Simulated(), args.matches, args.frames, SEED)
    result: dict[str, Any] = {"simulator": summary(reference, reference) | probe(Simulated())}
    if args.checkpoint:
        floating = Floating(args.checkpoint)
        figures = play(floating, args.matches, args.frames, SEED)
        result["fp32"] = summary(figures, reference) | probe(floating)
        result["fp32_interval"] = interval(figures, reference)
    if args.cartridge:
        quantized = Quantized(args.cartridge)
        result["int8"] = summary(play(quantized, args.matches, args.frames, SEED), reference) | probe(quantized)
    if args.json:
        shown = json.dumps(result, indent=1) + "\n"
        if args.output:
            args.output.write_text(shown)
        else:
            sys.stdout.write(shown)
    if not args.json or args.output:
        table(result)


def table(result: dict[str, Any]) -> None:
    """Prints a table with a row for each figure and a column for each world."""
    for name in result["simulator"]:
        row = "  ".join(
            f"{world} {result[world].get(name, float('nan')):10.4f}"
            for world in ("simulator", "fp32", "int8")
            if world in result
        )
        print(f"{name:28} {row}  {result.get('fp32_interval', {}).get(name, '')}")


if __name__ == "__main__":
    main()
