"""Scripted and randomized players for the simulator, vectorized; they cover its whole action space.

A player is a style (one integer a fighter) and its own pseudo-random numbers, counted from the seed: the same
seed gives the same replay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from simulator import GROUND_X, L_EXT, UNIT, A, Fighters, X

STYLES = ("idle", "wander", "fighter", "jumper", "defender", "masher", "random")
_HOLD = 8  # for how many frames a random intention is kept, on average


class StyledPlayers:
    """Both players of a batch of matches."""

    def __init__(self, matches: int, seed: int) -> None:
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self.style = self.rng.choice(len(STYLES), size=(matches, 2), p=(0.03, 0.05, 0.56, 0.12, 0.06, 0.12, 0.06))
        self.intent = self.rng.integers(0, 1 << 16, (matches, 2))
        self.wild = self.rng.integers(0, 256, (matches, 2, 8)).astype(np.uint8)

    def controllers(self, s: Fighters) -> NDArray[np.uint8]:
        """(matches, 2, 8) ControllerInput bytes for the coming frame, from the current one."""
        shape = s.x.shape
        fresh = self.rng.random(shape) < 1 / _HOLD
        self.intent = np.where(fresh, self.rng.integers(0, 1 << 16, shape), self.intent)
        self.wild[fresh] = self.rng.integers(0, 256, (int(fresh.sum()), 8))
        r = self.intent
        chance = (r & 255) / 256
        gap = s.x[:, ::-1] - s.x
        toward = np.sign(gap)
        near = np.abs(gap) < 18 * UNIT
        above = s.y[:, ::-1] - s.y > 8 * UNIT
        home = -np.sign(s.x)
        outside = np.abs(s.x) > GROUND_X - 6 * UNIT
        side = (r >> 8) % 3 - 1
        style = self.style

        x = np.select(
            [style == 0, style == 1, style == 2, style == 3, style == 4, style == 5],
            [
                np.zeros(shape),
                side,
                np.where(near, np.where(chance < 0.2, -toward, np.where(chance < 0.5, toward, 0)), toward),
                np.where(chance < 0.6, toward, side),
                np.where(near, -toward, side * (chance < 0.3)),
                np.where(chance < 0.5, toward, side),
            ],
            side,
        )
        # All players except the random one return to the stage most of the time.
        x = np.where(outside & (style != 6) & (chance < 0.9), home, x)
        y = np.where(above | (chance > 0.8), 1, 0) * (style != 0)
        strike = np.select(
            [style == 0, style == 2, style == 3, style == 5],
            [np.zeros(shape, bool), near & (chance < 0.8), near & (s.on_ground == 0), chance < 0.6],
            near & (chance < 0.25),
        )
        strike &= self.rng.random(shape) < 0.5
        leap = np.select(
            [style == 0, style == 3, style == 6], [np.zeros(shape, bool), chance < 0.5, chance < 0.3], chance < 0.1
        )
        leap |= (style != 0) & (s.on_ground == 0) & (s.y < 8 * UNIT) & outside & (chance < 0.7)
        guard = np.select(
            [style == 4, style == 6], [near & (chance < 0.6), chance > 0.92], (chance > 0.96) & (style != 0)
        )

        out = np.zeros((*shape, 8), np.uint8)
        tilt = np.where(chance < 0.85, 80, np.where(chance < 0.95, 40, 20))
        out[..., 0] = (x * tilt).astype(np.int8).view(np.uint8)
        out[..., 1] = (y * 80).astype(np.int8).view(np.uint8)
        out[..., 6] = (strike * A + leap * X).astype(np.uint8)
        out[..., 7] = (guard * L_EXT).astype(np.uint8)
        # One intention in eight is a completely random input, because people press combinations that no script would.
        return np.where(((r >> 13) == 0)[..., None], self.wild, out)
