"""How many times faster than real time the training environments run, with the demo's world.

Counts the frames of all matches in a second of this process's CPU time, so that other load on the machine counts
little. One thread; random actions drawn beforehand; matches that end are restarted. Real time is 60 frames a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np

from awm_crank.engine.cartridge import Cartridge
from awm_crank.env import coding
from awm_crank.env.batch import Batch
from awm_crank.errors import ConfigError

SIZES = (1, 8, 32, 128)
REAL_TIME = 60
_DRAWN = 64


def rate(step: Callable[[int], object], frames: int, seconds: float) -> float:
    """Frames per second. `step(n)` is called with 0, 1, 2 … and makes `frames` frames each time."""
    for number in range(4):
        step(number)
    calls, began = 0, time.process_time()
    while (spent := time.process_time() - began) < seconds:
        step(calls)
        calls += 1
    return calls * frames / spent


def _single(cartridge: Cartridge) -> Callable[[int], object]:
    from awm_crank.env import MatchEnv

    env = MatchEnv(cartridge)
    env.reset()
    rng = np.random.default_rng(1)
    drawn = rng.integers(0, np.array(coding.ACTION_SIZES), (_DRAWN, 2, len(coding.ACTION_SIZES)))

    def step(number: int) -> None:
        if not env.agents:
            env.reset()
        env.step(dict(zip(env.possible_agents, drawn[number % _DRAWN], strict=True)))

    return step


def _many(cartridge: Cartridge, count: int) -> Callable[[int], object]:
    batch = Batch(cartridge, count)
    rng = np.random.default_rng(1)
    drawn = rng.integers(0, np.array(coding.ACTION_SIZES), (_DRAWN, count, 2, len(coding.ACTION_SIZES)))
    return lambda number: batch.step(drawn[number % _DRAWN])


def report(seconds: float) -> tuple[str, dict[str, Any]]:
    """The figures as text, and by name: frames per second, or why it was NOT RUN."""
    cartridge = Cartridge.parse((files("awm_crank") / "engine" / "data" / "demo.awm").read_bytes())
    share = seconds / (1 + len(SIZES))
    figures: dict[str, Any] = {}
    try:
        figures["MatchEnv"] = rate(_single(cartridge), 1, share)
    except ConfigError as error:
        figures["MatchEnv"] = f"NOT RUN: {error}"
    for count in SIZES:
        figures[f"Batch of {count}"] = rate(_many(cartridge, count), count, share)
    lines = [f"Training environments, cartridge {cartridge.name}, one thread:"]
    for name, value in figures.items():
        if not isinstance(value, str):
            value = f"{value:10,.0f} frames a second  {value / REAL_TIME:8,.0f} x real time"
        lines.append(f"{name:<14}{value}")
    return "\n".join(lines) + "\n", figures
