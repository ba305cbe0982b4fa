"""A policy that plays: it keeps the last K frames that each player saw, and turns outputs into a controller."""

from __future__ import annotations

import numpy as np

from ..engine.encoding import PLAIN, Encoding
from ..wire import frame_records
from .players import controller, drawn
from .policy import BUTTONS, TRAINED, Floats, Policy, Rule

# A stick this near its centre rests, and a shoulder this light is not pressed: a sigmoid never gives exactly 0.
_DEAD_STICK = 6 / 255
_DEAD_SHOULDER = 20
_BYTES = 255
_CENTRE = 128
# Frames that are remembered beyond K, for a match that steps back.
_BACK = 64
_PLAYERS = 64
_NOTHING = bytes(16)


class PolicyAgent:
    """A scripted player (match/players.py) that asks a policy.

    Frames that are missing before the first one are copies of the first, as in the model's own warm-up.

    Args:
        policy: the network.
        world: the encoding of the world that the match is played in.
        stage: the stage's number, for frames that come as both PlayerStates alone.

    Raises:
        CheckpointError: the policy reads what this world's frames do not hold.
    """

    def __init__(self, policy: Policy, world: Encoding = PLAIN, stage: int = 0) -> None:
        policy.check_world(world)
        self.policy = policy
        self._world = world
        self._stage = stage
        self._seen: tuple[list[tuple[int, Floats]], ...] = ([], [])

    @property
    def reads_blocks(self) -> bool:
        """Whether it must be given whole frame blocks; both PlayerStates alone do not suffice."""
        return self.policy.rule.whole_frames

    @property
    def context_len(self) -> int:
        """How many frames it looks at."""
        return self.policy.context_len

    @property
    def extra_size(self) -> int:
        """Bytes a player of extra feedback that this world's frame blocks end with."""
        return self._world.extra_size

    @property
    def reads_extra(self) -> bool:
        """Whether the policy reads extra feedback, which only frame blocks of some worlds hold."""
        return self.reads_blocks and (self.policy.flags.state_flags or self.policy.flags.hitstun)

    def remember(self, player: int, frame: int, seen: bytes) -> None:
        """Notes what a player saw of a frame, without acting on it."""
        if len(seen) == _PLAYERS and not self.reads_blocks:
            seen = frame_records.block(seen, _NOTHING, _NOTHING, self._stage) + bytes(2 * self._world.extra_size)
        history = self._seen[player]
        # A frame that was asked about before: the match stepped back, or another one began.
        while history and history[-1][0] >= frame:
            history.pop()
        history.append((frame, self.policy.frame_vector(seen, player, self._world)))
        del history[: -(self.context_len + _BACK)]

    def __call__(self, seed: int, player: int, coming: int, seen: bytes) -> bytes:
        """The ControllerInput for frame `coming`.

        Args:
            seed: of the match, of which a sampled rule draws.
            player: 0 or 1.
            coming: the number of the frame that the input is for.
            seen: the frame before it: a frame block, or both PlayerStates where these suffice.
        """
        self.remember(player, coming - 1, seen)
        count = self.context_len
        vectors = [vector for _, vector in self._seen[player][-count:]]
        analog, logits = self.policy.forward(np.stack([vectors[0]] * (count - len(vectors)) + vectors))
        return pressed(analog, logits, self.policy.rule, self._world.stick_range, (seed, player, coming))


def pressed(
    analog: Floats, logits: Floats, rule: Rule = TRAINED, stick_range: int = 0, draw: tuple[int, int, int] = (0, 0, 0)
) -> bytes:
    """The ControllerInput (8 bytes) of a policy's outputs.

    Args:
        analog: main x, main y, C x, C y, shoulder, in 0..1.
        logits: of the eight buttons.
        rule: how logits become buttons.
        stick_range: the world's: what a full tilt is on chain (engine/encoding.py).
        draw: seed, player and frame, of which a sampled rule draws.
    """
    sticks = [_stick(float(value), stick_range) for value in analog[:4]]
    shoulder = int(np.rint(analog[4] * _BYTES))
    bits = [0, 0]
    for row, ((byte, bit), logit) in enumerate(zip(BUTTONS, logits, strict=True)):
        chance = 0.5 + 0.5 * np.tanh(0.5 * (float(logit) + rule.bias))
        level = drawn(*draw, row) / 2**64 if rule.sampled else 0.5
        bits[byte - 6] |= bit if chance > level else 0
    return controller(
        sticks[0], sticks[1], c_stick_x=sticks[2], c_stick_y=sticks[3],
        trigger_l=shoulder if shoulder >= _DEAD_SHOULDER else 0, buttons=bits[0], buttons_ext=bits[1],
    )  # fmt: skip


def _stick(value: float, stick_range: int) -> int:
    """A stick's byte whose meaning in this world is `value`."""
    if abs(value - 0.5) < _DEAD_STICK:
        return 0
    return round((2 * value - 1) * stick_range) if stick_range else round(value * _BYTES) - _CENTRE
