"""Scripted players. They are pure functions of seed, player, frame and the state on chain, so a match can be replayed.

An agent is called with `(seed, player, frame, seen)`. `seed` is a u64. `player` is 0 or 1. `frame` is the number of the
frame that the input is for. `seen` holds both PlayerStates of the frame before (64 bytes), followed by the rest of that
frame's block if it is known. The agent returns a ControllerInput (8 bytes, docs/formats.md). Randomness is SplitMix64
(Steele, Lea and Flood 2014) over those numbers. Nothing is kept between calls, so a player that restarts in the middle
of a match continues with exactly the same inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from ..errors import ConfigError
from ..wire import layouts
from ..wire.contract import BITS

Agent = Callable[[int, int, int, bytes], bytes]


@runtime_checkable
class BlockAgent(Protocol):
    """An agent that remembers the frames it saw, and may need whole frame blocks (match/policy_agent.py)."""

    @property
    def reads_blocks(self) -> bool:
        """Whether the agent needs whole frame blocks, because both PlayerStates are not enough."""
        ...

    @property
    def context_len(self) -> int:
        """The number of frames that the agent looks at."""
        ...

    @property
    def extra_size(self) -> int:
        """The bytes of extra feedback for each player at the end of this world's frame blocks."""
        ...

    def remember(self, player: int, frame: int, seen: bytes) -> None:
        """Stores what a player saw of a frame, without acting on it."""
        ...

    def __call__(self, seed: int, player: int, coming: int, seen: bytes) -> bytes:
        """Returns the input, as every agent does."""
        ...


NEUTRAL = bytes(layouts.CONTROLLER_INPUT.size)
FULL_TILT = 80
"""The stick's reach in one axis (reference/system.md)."""

A, B, X, Y, Z = (1 << BITS["buttons"].index(name) for name in "ABXYZ")
SHIELD = 255
"""A trigger pressed all the way."""

_CONTROLLER = layouts.CONTROLLER_INPUT.body
_POSITION = layouts.PLAYER_STATE.part("x", "y").body
_MASK = (1 << 64) - 1
_PLAYER_SIZE = layouts.PLAYER_STATE.size
_ON_GROUND_OFFSET = layouts.PLAYER_STATE.offset("on_ground")
_JUMPS_OFFSET = layouts.PLAYER_STATE.offset("jumps_left")

# for how many frames the random player keeps one choice: long enough to see it move, short enough for variety
_HOLD_FRAMES = 6
# the distance that the spacing player keeps and its tolerance, in 1/256 game units
_REACH = 14 * 256
_SLACK = 4 * 256
# the fighter's reach, the width in which it feels safe (the stage ends at 85.57), and how long it keeps one intention
_STRIKE = 17 * 256
_SAFE = 72 * 256
_INTENT_FRAMES = 12


def controller(
    stick_x: int = 0, stick_y: int = 0, *, c_stick_x: int = 0, c_stick_y: int = 0,
    trigger_l: int = 0, trigger_r: int = 0, buttons: int = 0, buttons_ext: int = 0,
) -> bytes:  # fmt: skip
    """Packs a ControllerInput: sticks -128..127, triggers and button bits 0..255. Other values raise struct.error."""
    return _CONTROLLER.pack(stick_x, stick_y, c_stick_x, c_stick_y, trigger_l, trigger_r, buttons, buttons_ext)


def splitmix64(state: int) -> int:
    """Returns the output of SplitMix64 for this state, 0 ≤ result < 2^64."""
    z = (state + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def drawn(seed: int, *steps: int) -> int:
    """Returns a random number, 0 ≤ result < 2^64, that depends only on the seed and the steps (player, frame, …)."""
    # nested calls, so that neighbouring seeds, players and steps do not produce the same stream
    state = splitmix64(seed & _MASK)
    for step in steps:
        state = splitmix64(state ^ step)
    return state


def noop(seed: int, player: int, frame: int, players: bytes) -> bytes:  # noqa: ARG001
    """Presses nothing."""
    return NEUTRAL


def hold_forward(seed: int, player: int, frame: int, players: bytes) -> bytes:  # noqa: ARG001
    """Holds the stick towards the opponent's start position: right for player 0, left for player 1."""
    return controller(stick_x=FULL_TILT if player == 0 else -FULL_TILT)


def random(seed: int, player: int, frame: int, players: bytes) -> bytes:  # noqa: ARG001
    """Chooses stick, C-stick, triggers and buttons at random every six frames, from seed, player and frame only."""
    bits = drawn(seed, player, frame // _HOLD_FRAMES)
    steps = (-FULL_TILT, -40, 0, 0, 40, FULL_TILT, FULL_TILT, -FULL_TILT)
    # one button at a time and often none; the stick always does something
    buttons = (0, 0, 0, A, A, B, X, Y, Z, A | X, B | Y, 0, 0, 0, A, B)[bits & 15]
    shielding = (bits >> 4) & 7 == 0
    c_sticking = (bits >> 7) & 7 == 0
    return controller(
        steps[(bits >> 10) & 7],
        steps[(bits >> 13) & 7],
        c_stick_x=steps[(bits >> 16) & 7] if c_sticking else 0,
        c_stick_y=steps[(bits >> 19) & 7] if c_sticking else 0,
        trigger_l=SHIELD if shielding else 0,
        trigger_r=(bits >> 22) & 63 if shielding else 0,
        buttons=buttons,
        buttons_ext=int((bits >> 28) & 3 == 0),
    )


def spacing(seed: int, player: int, frame: int, players: bytes) -> bytes:
    """Keeps its distance: walks in when far, back when near, jabs in reach, and jumps after an opponent in the air.

    Args:
        players: 64 bytes, both PlayerStates.
    """
    mine, theirs = player * _PLAYER_SIZE, (1 - player) * _PLAYER_SIZE
    x, y = _POSITION.unpack_from(players, mine)
    other_x, other_y = _POSITION.unpack_from(players, theirs)
    gap = other_x - x
    towards = FULL_TILT if gap > 0 else -FULL_TILT
    # a little chance, so that two players of this kind do not repeat the same moves for ever
    chance = drawn(seed, player, frame) & 15
    if abs(gap) > _REACH + _SLACK:
        jump = X if other_y - y > 20 * 256 and players[mine + _ON_GROUND_OFFSET] and chance < 8 else 0
        return controller(stick_x=towards, buttons=jump)
    if abs(gap) < _REACH - _SLACK:
        return controller(stick_x=-towards, trigger_l=SHIELD if chance == 0 else 0)
    # a button must be released between two presses
    return controller(stick_x=towards // 4, buttons=A if frame % 12 < 2 and chance < 14 else 0)


def fighter(seed: int, player: int, frame: int, players: bytes) -> bytes:
    """Attacks: runs in, strikes in reach and from the air, sometimes guards, and jumps back onto the stage.

    Args:
        players: 64 bytes, both PlayerStates.
    """
    mine, theirs = player * _PLAYER_SIZE, (1 - player) * _PLAYER_SIZE
    x, y = _POSITION.unpack_from(players, mine)
    other_x, other_y = _POSITION.unpack_from(players, theirs)
    on_ground = players[mine + _ON_GROUND_OFFSET]
    intent = drawn(seed, player, frame // _INTENT_FRAMES)
    # a button must be released between two presses
    press = frame % 6 < 2
    home = FULL_TILT if x < 0 else -FULL_TILT
    if abs(x) > _SAFE and not (on_ground and abs(other_x) > _SAFE and intent & 3 == 0):
        recover = not on_ground and y < 10 * 256 and players[mine + _JUMPS_OFFSET]
        return controller(stick_x=home, buttons=X if recover and press else 0)
    gap, above = other_x - x, other_y - y
    towards = FULL_TILT if gap > 0 else -FULL_TILT
    if abs(gap) > _STRIKE:
        leap = on_ground and (intent & 7 == 0 or (above > 20 * 256 and intent & 1))
        return controller(stick_x=towards, buttons=X if leap and press else 0)
    if not on_ground:
        return controller(stick_x=towards, buttons=A if press and abs(above) < _STRIKE else 0)
    if intent & 15 == 0:
        return controller(trigger_l=SHIELD)
    if intent & 15 == 1:
        return controller(stick_x=-towards)
    if above > 20 * 256:
        return controller(stick_x=towards, buttons=X if press else 0)
    # tilt the stick towards the opponent for a moment, which turns the fighter; then a jab, or an up tilt
    if frame % 12 < 2:
        return controller(stick_x=towards)
    return controller(stick_y=FULL_TILT if above > 6 * 256 or intent & 16 else 0, buttons=A if press else 0)


AGENTS: dict[str, Agent] = {
    "noop": noop, "random": random, "hold-forward": hold_forward, "spacing": spacing, "fighter": fighter,
}  # fmt: skip


def agent(name: str) -> Agent:
    """Returns the agent with that name.

    Raises:
        ConfigError: no agent has that name; the hint lists the agents.
    """
    try:
        return AGENTS[name]
    except KeyError:
        raise ConfigError(f"no agent is called {name!r}", hint=f"one of {', '.join(AGENTS)}") from None
