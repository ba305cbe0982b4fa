"""Trains a policy by imitation: `python tools/policy/imitate.py --out FILE.pt [--minutes N]`, and FILE.npz next to it.

The teacher is the scripted player `spacing` (awm_crank/match/players.py). It is given its state_age instead of the
frame's number, which no player sees, so its inputs depend only on what a policy sees. The matches run in the world's
simulator (tools/world), and the teacher labels every frame with the input that it would send. Half of the fighters
follow it, and the others are the simulator's own varied players, so that the policy sees more situations.

Deterministic from the seed, up to how far the time goes. The checkpoint is PolicyMLP's (awm_crank/match/policy.py).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "world"))

from players import StyledPlayers
from simulator import Fighters, start, step

from awm_crank.engine.encoding import PLAIN
from awm_crank.engine.layout import EMBEDDINGS
from awm_crank.engine.offline import checkpoint
from awm_crank.env.coding import PLAYER
from awm_crank.match.players import spacing
from awm_crank.match.policy import BUTTONS, SIMPLE, Policy, pressed
from awm_crank.wire import frame_records

STAGE = 32
SEED_OF_THE_TEACHER = 1
TABLES = ("action_embed", "jumps_embed", "character_embed", "l_cancel_embed", "hurtbox_embed", "ground_embed",
          "last_attack_embed")  # fmt: skip
FIELDS = {
    "x": "x", "y": "y", "percent": "percent", "shield_strength": "shield", "speed_air_x": "air_x", "speed_y": "speed_y",
    "speed_ground_x": "ground_x", "speed_attack_x": "attack_x", "speed_attack_y": "attack_y", "state_age": "age",
    "hitlag": "hitlag", "stocks": "stocks", "facing": "facing", "on_ground": "on_ground", "action_state": "action",
    "jumps_left": "jumps", "character": "character",
}  # fmt: skip
RAW_SCALE = {"percent": 256}
NEUTRAL = (128, 128, 128, 128, *[0] * 9)
FLOATS = ("percent", "x", "y", "shield_strength", "speed_air_x", "speed_y", "speed_ground_x", "speed_attack_x",
          "speed_attack_y", "state_age", "hitlag", "stocks", "", "facing", "", "on_ground")  # fmt: skip
"""The frame vector's floats of one player, before the controller's; what a player does not see ('') is 0."""


def records(s: Fighters) -> NDArray[np.void]:
    """The simulator's fighters as PlayerStates: (matches, 2) records of 32 bytes."""
    out = np.zeros(s.x.shape, PLAYER)
    for name, field in FIELDS.items():
        out[name] = getattr(s, field)
    return out


def features(states: NDArray[np.void]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(…, 2) records, the policy's own fighter first, to floats (…, 58) and embedding rows (…, 14)."""
    units = checkpoint.float_units(checkpoint.SCALES, PLAIN)
    zero = np.zeros(states.shape)
    columns = [states[name] * float(RAW_SCALE.get(name, 1)) if name else zero for name in FLOATS]
    columns += [zero + value for value in NEUTRAL]
    floats = (np.stack(columns, -1) * units).astype(np.float32)
    known = [states["action_state"], states["jumps_left"], states["character"]]
    rows = np.stack([*known, *[zero] * (len(TABLES) - len(known))], -1).astype(np.int64)
    return floats.reshape(*states.shape[:-1], -1), rows.reshape(*states.shape[:-1], -1)


def taught(states: NDArray[np.void]) -> NDArray[np.uint8]:
    """The teacher's inputs for both players of every match: (matches, 2, 8) ControllerInput bytes."""
    raw = states.tobytes()
    ages = states["state_age"].tolist()
    given = b"".join(
        spacing(SEED_OF_THE_TEACHER, player, ages[match][player], raw[64 * match : 64 * match + 64])
        for match in range(len(states))
        for player in (0, 1)
    )
    return np.frombuffer(given, np.uint8).reshape(len(states), 2, 8)


def targets(inputs: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(…, 8) ControllerInput bytes to analog targets (…, 5) in 0..1 and buttons (…, 8)."""
    sticks = (inputs[..., :4].view(np.int8).astype(np.float32) + 128) / 255
    shoulder = inputs[..., 4:6].max(-1, keepdims=True).astype(np.float32) / 255
    buttons = np.stack([(inputs[..., byte] & bit) != 0 for byte, bit in BUTTONS], -1)
    return np.concatenate([sticks, shoulder], -1), buttons.astype(np.float32)


class Lessons:
    """Matches in progress, and the last K frames of each, as either player sees them."""

    def __init__(self, matches: int, context: int, seed: int) -> None:
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self.frames = start(matches)
        self.players = StyledPlayers(matches, seed + 1)
        self.obedient = self.rng.random((matches, 2)) < 0.5
        self.led = np.zeros((matches, 2, 8), np.uint8)
        self.history = [records(self.frames)] * context

    def next(self) -> tuple[NDArray[np.void], NDArray[np.uint8]]:
        """(matches × 2, K, 2) records, own fighter first, and what the teacher presses; then the matches go on."""
        seen = np.stack(self.history, 1)
        said = taught(self.history[-1])
        inputs = np.where(self.obedient[..., None], said, self.players.controllers(self.frames))
        self.frames, self.led = step(self.frames, self.led), inputs
        over = (self.frames.stocks == 0).any(1) | (self.rng.random(len(said)) < 0.002)
        self.history = [*self.history[1:], records(self.frames)]
        if over.any():
            self.frames.put(over, start(len(said)))
            self.led[over] = 0
            self.obedient[over] = self.rng.random((int(over.sum()), 2)) < 0.5
            fresh = records(self.frames)
            self.history = [np.where(over[:, None], fresh, each) for each in self.history]
        both = np.stack([seen, seen[..., ::-1]], 1)
        return both.reshape(-1, *seen.shape[1:]), said.reshape(-1, 8)


class PolicyMLP(nn.Module):
    """The network in PyTorch, with the checkpoint's names."""

    def __init__(self, context: int, hidden: int, trunk: int, dropout: float = 0.05) -> None:
        super().__init__()
        for name in (*TABLES, "stage_embed"):
            setattr(self, name, nn.Embedding(*EMBEDDINGS[name]))
            nn.init.normal_(getattr(self, name).weight, std=0.3)
        width = 2 * (29 + sum(EMBEDDINGS[name][1] for name in TABLES)) + EMBEDDINGS["stage_embed"][1]
        self.trunk = nn.Sequential(
            nn.Linear(width * context, hidden), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(hidden, trunk), nn.ReLU(), nn.Dropout(dropout),
        )  # fmt: skip
        self.analog_head = nn.Linear(trunk, 5)
        self.button_head = nn.Linear(trunk, len(BUTTONS))

    def forward(self, floats: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """floats (batch, K, 58) and rows (batch, K, 14) to logits of the analog outputs (5) and buttons (8)."""
        embedded = [getattr(self, TABLES[n % len(TABLES)])(rows[..., n]) for n in range(rows.shape[-1])]
        stage = self.get_submodule("stage_embed")(torch.full(rows.shape[:-1], STAGE))
        hidden = self.trunk(torch.cat([floats, *embedded, stage], -1).flatten(1))
        return self.analog_head(hidden), self.button_head(hidden)


def seen(states: NDArray[np.void]) -> bytes:
    """Two records as a frame block whose other fields are neutral."""
    return frame_records.block(states.tobytes(), bytes(16), bytes(16), STAGE)


def loss_of(model: PolicyMLP, states: NDArray[np.void], said: NDArray[np.uint8]) -> Tensor:
    """The cross entropy to the teacher's inputs, with analog targets as probabilities."""
    floats, rows = features(states)
    analog, buttons = model(torch.from_numpy(floats), torch.from_numpy(rows))
    wanted_analog, wanted_buttons = targets(said)
    return F.binary_cross_entropy_with_logits(analog, torch.from_numpy(wanted_analog)) + (
        F.binary_cross_entropy_with_logits(buttons, torch.from_numpy(wanted_buttons))
    )


def agreement(policy: Policy, frames: int = 400, matches: int = 4, seed: int = 999) -> dict[str, float]:
    """How often the policy's stick points where the teacher's does, and how often it presses the same buttons, over
    matches that it was not trained on."""
    lessons = Lessons(matches, policy.context_len, seed)
    directions = buttons = count = 0
    for _ in range(frames):
        states, said = lessons.next()
        for row, wanted in zip(states, said, strict=True):
            vectors = [policy.frame_vector(seen(each), 0) for each in row]
            given = np.frombuffer(pressed(*policy.forward(np.stack(vectors)), policy.rule), np.uint8)
            mine, theirs = (int(each[:1].view(np.int8)[0]) for each in (given, wanted))
            directions += np.sign(mine) == np.sign(theirs)
            buttons += given[6] == wanted[6]
            count += 1
    return {"direction": directions / count, "buttons": buttons / count}


def train(
    *, context: int, hidden: int, trunk: int, matches: int, seed: int, minutes: float = 1.0, steps: int = 1 << 30,
    rate: float = 2e-3,
) -> tuple[PolicyMLP, list[float]]:  # fmt: skip
    """Trains until the time or the steps are over; the network and the loss of every step."""
    torch.manual_seed(seed)
    model = PolicyMLP(context, hidden, trunk)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    lessons = Lessons(matches, context, seed)
    losses: list[float] = []
    began = time.monotonic()
    while len(losses) < steps and (done := (time.monotonic() - began) / (60 * minutes)) < 1:
        share = max(done, len(losses) / steps)
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - 0.97 * share)
        # frames of one match are alike: several of them make a step
        states, said = (np.concatenate(each) for each in zip(*(lessons.next() for _ in range(4)), strict=True))
        loss = loss_of(model, states, said)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return model.eval(), losses


def content(model: PolicyMLP, context: int) -> dict[str, object]:
    """The content of the `.pt` file."""
    encoding = {**checkpoint.SCALES, "state_age_as_embed": False}
    return {"model_state_dict": model.state_dict(), "encoding_config": encoding, "context_len": context}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the .pt file; a half-precision .npz goes beside it")
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--context", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--trunk", type=int, default=32)
    parser.add_argument("--matches", type=int, default=128)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, losses = train(
        context=args.context, hidden=args.hidden, trunk=args.trunk, matches=args.matches, seed=args.seed,
        minutes=args.minutes,
    )  # fmt: skip
    torch.save(content(model, args.context), args.out)
    policy = Policy.read(args.out.read_bytes(), SIMPLE)
    small = policy.encode(np.float16)
    args.out.with_suffix(".npz").write_bytes(small)
    card = {"steps": len(losses), "loss": round(float(np.mean(losses[-100:])), 4), "bytes": len(small)}
    print(json.dumps({**card, **agreement(Policy.read(small))}))


if __name__ == "__main__":
    main()
