"""The simulator that teaches the demo's model is deterministic and keeps its promised physics."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "world"))

import simulator
from players import StyledPlayers


def controllers(**keys: int) -> np.ndarray:
    """One match; player 1 holds the given keys (byte index as b0…b7), player 2 none."""
    out = np.zeros((1, 2, 8), np.uint8)
    for name, value in keys.items():
        out[0, 0, int(name[1])] = value & 255
    return out


def replay(matches: int, frames: int, seed: int) -> tuple[str, simulator.Fighters]:
    """A hash over every field of every frame, and the last frame."""
    state, players, digest = simulator.start(matches), StyledPlayers(matches, seed), hashlib.sha256()
    for _ in range(frames):
        state = simulator.step(state, players.controllers(state))
        for field in fields(state):
            digest.update(getattr(state, field.name).tobytes())
    return digest.hexdigest(), state


def test_same_seed_same_replay() -> None:
    """The seed alone determines a replay."""
    assert replay(4, 300, 7)[0] == replay(4, 300, 7)[0] != replay(4, 300, 8)[0]


def test_nobody_comes_near_the_block() -> None:
    """Below the floor no fighter comes within 8 units of the stage's body, and grounded fighters are on it."""
    state, players = simulator.start(64), StyledPlayers(64, 3)
    fell = 0
    for _ in range(1800):
        state = simulator.step(state, players.controllers(state))
        below = (state.y < -simulator.UNIT) & (state.y > -simulator.BLOCK_DEPTH - 6 * simulator.UNIT)
        below &= ~simulator.is_in(state.action, (simulator.DEAD, simulator.REBIRTH))
        assert (np.abs(state.x[below]) > simulator.GROUND_X + 8 * simulator.UNIT).all()
        assert (state.y[state.on_ground == 1] == 0).all()
        assert (np.abs(state.x[state.on_ground == 1]) <= simulator.GROUND_X).all()
        fell += int(below.sum())
    assert fell > 1000


def test_matches_lose_stocks() -> None:
    """Scripted players end matches: stocks fall, percent rises, and a fighter comes back after losing a stock."""
    _, state = replay(64, 3000, 5)
    assert (state.stocks == 0).any(1).mean() > 0.1
    assert (state.stocks < 4).mean() > 0.7


def test_run_and_jump() -> None:
    """A held stick reaches run speed, and a jump rises 36 units and lands again."""
    state = simulator.start(1)
    for _ in range(30):
        state = simulator.step(state, controllers(b0=80))
    assert state.action[0, 0] == simulator.RUN
    assert state.ground_x[0, 0] == simulator.RUN_SPEED
    state, top = simulator.start(1), 0
    for frame in range(80):
        state = simulator.step(state, controllers(b6=simulator.X if frame < 2 else 0))
        top = max(top, int(state.y[0, 0]))
    assert top == 9178
    assert state.on_ground[0, 0] == 1


def test_hit_raises_percent_and_launches() -> None:
    """A neutral jab next to the other fighter adds its damage, pushes it away and freezes both."""
    state = simulator.start(1)
    state.x[0, 1] = state.x[0, 0] + 10 * simulator.UNIT
    hit = None
    for _ in range(12):
        state = simulator.step(state, controllers(b6=simulator.A))
        if state.percent[0, 1] and hit is None:
            hit = state
    assert hit is not None
    assert hit.percent[0, 1] == 6
    assert hit.attack_x[0, 1] > 0
    assert (hit.hitlag[0] > 0).all()
