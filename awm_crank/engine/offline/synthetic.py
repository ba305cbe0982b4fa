"""Makes frames from a seed that resemble a replay. Calibration uses them, besides the model's own play, if there are no
real frames.

A model of random weights, or one that drifts, soon leaves the frames that it was trained on when it plays by itself;
its matrices would then be rounded for inputs that occur in no match. These frames change like real ones: positions and
speeds move by small steps, actions stay for a while, buttons are held, damage rises.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from awm_crank.engine import frame
from awm_crank.engine.encoding import STATE_FLAGS, Encoding
from awm_crank.engine.seeded import Stream, random_inputs
from awm_crank.wire import layouts

Ints = NDArray[np.int64]

STAY = 10
"""Frames that an action, a flag or a choice stays, on average."""


def lane(
    stream: Stream, name: str, frames: int, stage: int, characters: tuple[int, int], encoding: Encoding
) -> list[bytes]:
    """Frame blocks in a row, of `encoding.block_size` bytes each.

    Args:
        stream: the source of the random numbers.
        name: the lane's name; another name gives other frames.
        frames: how many frames to make.
        stage: the stage of the match.
        characters: the characters of both players.
        encoding: the encoding that says which extra feedback the blocks have.
    """
    players = [_player(stream, f"{name} {i}", frames, character) for i, character in enumerate(characters)]
    inputs = random_inputs(stream, name + " inputs", frames)
    out = []
    for n in range(frames):
        now = [{field: int(values[n]) for field, values in player.items()} for player in players]
        states = [frame.PLAYER.pack(*(each[field] for field in layouts.PLAYER_STATE.names)) for each in now]
        feedback = [frame.FEEDBACK.pack(*(each[field] for field in layouts.FEEDBACK.names)) for each in now]
        extra = [frame.write_extra(each, encoding) for each in now]
        out.append(b"".join([*states, *feedback, inputs[n], bytes((stage,)), *extra]))
    return out


def _player(stream: Stream, name: str, frames: int, character: int) -> dict[str, Ints]:
    def held(field: str, low: int, high: int, stay: int = STAY) -> Ints:
        """A value that changes to another one every `stay` frames on average."""
        values, change = (
            stream.uniform(f"{name} {field}", (frames,), low, high),
            stream.words(f"{name} {field}?", frames),
        )
        kept = np.maximum.accumulate(np.where(change * stay < 65536, np.arange(frames), 0))
        return values[kept]

    def walk(field: str, spread: int, low: int, high: int, begin: int = 0) -> Ints:
        """A random walk with steps of up to `spread`, which turns back at the ends of the range."""
        steps = np.cumsum(stream.uniform(f"{name} {field}", (frames,), -spread, spread)) + begin - low
        span = high - low
        steps %= 2 * span
        return low + np.where(steps > span, 2 * span - steps, steps)

    action = held("action", 0, 399)
    # half of all frames in a match are of a few dozen common actions
    common = held("common", 0, 1) == 1
    action = np.where(common, held("usual", 14, 60), action)
    since = np.maximum.accumulate(np.where(np.diff(action, prepend=-1) != 0, np.arange(frames), 0))
    percent = np.cumsum(stream.uniform(f"{name} damage", (frames,), 0, 60) * (held("hit", 0, 3) == 0)) % (150 * 256)
    out = {
        "x": walk("x", 700, -76 * 256, 76 * 256, 20 * 256), "y": walk("y", 500, -10 * 256, 60 * 256),
        "percent": percent >> 8, "percent_frac": percent & 255,
        "shield_strength": 60 * 256 - walk("shield", 200, 0, 15 * 256),
        "state_age": np.arange(frames) - since, "hitlag": held("hitlag", 0, 11) * (held("struck", 0, 3) == 0),
        "stocks": 4 - np.arange(frames) * 4 // frames, "facing": held("facing", 0, 1),
        "on_ground": held("on_ground", 0, 1),
        "action_state": action, "jumps_left": held("jumps", 0, 2), "character": np.full(frames, character),
        "invulnerable": np.asarray(held("invulnerable", 0, 7) == 0, np.int64), "combo_count": held("combo", 0, 7),
        "l_cancel": held("l_cancel", 0, 2), "hurtbox": held("hurtbox", 0, 2), "ground": held("ground", 0, 4),
        "last_attack": held("last_attack", 0, 63), "reserved": np.zeros(frames, np.int64),
        "hitstun": np.maximum(0, held("hitstun", 0, 50) - np.arange(frames) % 25),
        "state_flags": sum((held(f"flag {i}", 0, 1) << i for i in range(STATE_FLAGS)), np.zeros(frames, np.int64)),
        "projectile_x": walk("projectile x", 900, -32000, 32000) * held("projectile", 0, 1),
        "projectile_y": walk("projectile y", 400, -8000, 8000) * held("projectile", 0, 1),
        "projectile_count": 256 * held("projectile", 0, 1),
    }  # fmt: skip
    speeds = frame.SPEEDS
    return out | {field: walk(field, 120, -3 * 256, 3 * 256) for field in speeds}
