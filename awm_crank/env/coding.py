"""Observations, actions and rewards, which both environments share, for any number of matches at once.

An observation is what a player on chain sees: both PlayerStates, the player's own first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..wire import contract

PLAYER = np.dtype([(field.name, f"<{field.type[0]}{field.size}") for field in contract.STRUCTS["PlayerState"].fields])
"""A PlayerState (docs/formats.md) as NumPy reads it, 32 bytes."""

SCALES: dict[str, float] = {
    "x": 1 / 256 / 100, "y": 1 / 256 / 100, "percent": 1 / 100, "shield_strength": 1 / 256 / 60,
    "speed_air_x": 1 / 256, "speed_y": 1 / 256, "speed_ground_x": 1 / 256, "speed_attack_x": 1 / 256,
    "speed_attack_y": 1 / 256, "state_age": 1 / 60, "hitlag": 1 / 10, "stocks": 1 / 4, "facing": 1.0,
    "on_ground": 1.0, "jumps_left": 1.0,
}  # fmt: skip
"""The numbers of one fighter in an observation, in order, and what one unit of the account's field weighs."""
CATEGORIES = ("action_state", "character")
CATEGORY_SIZES = tuple(limits[1] + 1 for name in CATEGORIES if (limits := contract.STRUCTS["PlayerState"](name).range))

STICK_STEPS = 9
ACTION_SIZES = (STICK_STEPS, STICK_STEPS, 3, 3, 3, *[2] * 8)
"""Choices of each part of an action: main stick x and y in steps of 20, C-stick x and y, trigger (off, half, full), and
the buttons A, B, X, Y, Z, L, R, D-up."""
_BUTTONS = tuple(
    (contract.STRUCTS["ControllerInput"](field).offset, 1 << contract.BITS[field].index(name))
    for field, names in (("buttons", "ABXYZ"), ("buttons_ext", ("L", "R", "D-up")))
    for name in names
)
"""(byte, bit) of each button in a ControllerInput."""
NEUTRAL_ACTION = (4, 4, 1, 1, 0, *[0] * 8)

STOCK_WEIGHT = 1.0
"""What a lost stock counts in a reward."""
DAMAGE_WEIGHT = 0.01
"""What a percent of damage counts. slippi-ai, which trains agents on the game itself, has the same two weights
(`damage_ratio`), so returns compare."""


def fighters(blocks: list[bytes]) -> NDArray[np.void]:
    """The PlayerStates of frame blocks: (matches, 2) records of `PLAYER`."""
    return np.stack([np.frombuffer(block, PLAYER, 2) for block in blocks])


def numbers(states: NDArray[np.void]) -> NDArray[np.float32]:
    """(…, 2) records to (…, 2, 15) scaled numbers."""
    columns = [states[name].astype(np.float32) * np.float32(scale) for name, scale in SCALES.items()]
    return np.stack(columns, -1)


def categories(states: NDArray[np.void]) -> NDArray[np.int64]:
    """(…, 2) records to (…, 2, 2): action state 0..399 and character 0..32."""
    return np.stack([states[name].astype(np.int64) for name in CATEGORIES], -1)


def inputs(actions: NDArray[np.integer]) -> NDArray[np.uint8]:
    """(…, 13) actions to (…, 8) ControllerInput bytes; the C-stick moves by 80, the main stick by steps of 20."""
    out = np.zeros((*actions.shape[:-1], 8), np.uint8)
    main = (actions[..., :2].astype(np.int8) - STICK_STEPS // 2) * 20
    out[..., :2] = main.astype(np.int8).view(np.uint8)
    out[..., 2:4] = ((actions[..., 2:4].astype(np.int8) - 1) * 80).astype(np.int8).view(np.uint8)
    out[..., 4] = np.array([0, 128, 255], np.uint8)[actions[..., 4]]
    for column, (byte, bit) in enumerate(_BUTTONS, 5):
        out[..., byte] |= (actions[..., column] * bit).astype(np.uint8)
    return out


def rewards(before: NDArray[np.void], after: NDArray[np.void]) -> NDArray[np.float32]:
    """(…, 2) records before and after a frame to (…, 2) rewards.

    A reward is the opponent's loss minus the player's loss: stocks times `STOCK_WEIGHT` and percent times
    `DAMAGE_WEIGHT`. The two rewards add up to zero. The reset of the percent by a new stock counts as no damage.
    """
    lost = before["stocks"].astype(np.float32) - after["stocks"]
    damage = np.maximum(after["percent"].astype(np.float32) - before["percent"], 0)
    cost = np.float32(STOCK_WEIGHT) * np.maximum(lost, 0) + np.float32(DAMAGE_WEIGHT) * damage
    gain: NDArray[np.float32] = cost[..., ::-1] - cost
    return gain
