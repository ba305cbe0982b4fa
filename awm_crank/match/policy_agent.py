"""An agent that asks a policy: it keeps the last K frames that each player saw, and turns outputs into a
ControllerInput.
"""

from __future__ import annotations

from typing import Any, Protocol

from ..engine.encoding import PLAIN, Encoding
from ..wire import frame_records
from .policy import Rule

# How many frames are kept beyond K, for a match that steps back.
_BACK = 64
_PLAYERS = 64
_NOTHING = bytes(16)


class AnyPolicy(Protocol):
    """The methods that `PolicyAgent` needs. A checkpoint (`Policy`) and a policy cartridge (`IntegerPolicy`)
    have them.
    """

    context_len: int
    flags: Encoding
    rule: Rule

    def frame_vector(self, block: bytes, player: int, world: Encoding = ...) -> Any:
        """The numbers of one frame, as `player` (0 or 1) sees it."""
        ...

    def press(self, vectors: list[Any], stick_range: int, draw: tuple[int, int, int]) -> bytes:
        """The ControllerInput after K frame vectors, oldest first."""
        ...

    def check_world(self, world: Encoding) -> None:
        """Raises CheckpointError if a world's frames lack something that the policy reads."""
        ...


class PolicyAgent:
    """A scripted player (match/players.py) that asks a policy.

    If there are fewer than K frames, copies of the first one fill the gap, as in the model's own warm-up.

    Args:
        policy: the network.
        world: the encoding of the world that the match is played in.
        stage: the stage's number, used if a frame is given as both PlayerStates only.

    Raises:
        CheckpointError: the policy reads something that this world's frames lack.
    """

    def __init__(self, policy: AnyPolicy, world: Encoding = PLAIN, stage: int = 0) -> None:
        policy.check_world(world)
        self.policy = policy
        self._world = world
        self._stage = stage
        self._seen: tuple[list[tuple[int, Any]], ...] = ([], [])

    @property
    def reads_blocks(self) -> bool:
        """Whether the agent needs whole frame blocks, because both PlayerStates are not enough."""
        return self.policy.rule.whole_frames

    @property
    def context_len(self) -> int:
        """The number of frames that the agent looks at."""
        return self.policy.context_len

    @property
    def extra_size(self) -> int:
        """The bytes of extra feedback for each player at the end of this world's frame blocks."""
        return self._world.extra_size

    def remember(self, player: int, frame: int, seen: bytes) -> None:
        """Stores what a player saw of a frame, without acting on it."""
        if len(seen) == _PLAYERS and not self.reads_blocks:
            seen = frame_records.block(seen, _NOTHING, _NOTHING, self._stage) + bytes(2 * self._world.extra_size)
        history = self._seen[player]
        # The frame was asked for before: the match stepped back, or another match began.
        while history and history[-1][0] >= frame:
            history.pop()
        history.append((frame, self.policy.frame_vector(seen, player, self._world)))
        del history[: -(self.context_len + _BACK)]

    def __call__(self, seed: int, player: int, coming: int, seen: bytes) -> bytes:
        """Returns the ControllerInput for frame `coming`.

        Args:
            seed: the match's seed, from which a sampled rule draws.
            player: 0 or 1.
            coming: the number of the frame that the input is for.
            seen: the frame before it: a frame block, or both PlayerStates if these are enough.
        """
        self.remember(player, coming - 1, seen)
        count = self.context_len
        vectors = [vector for _, vector in self._seen[player][-count:]]
        vectors = [vectors[0]] * (count - len(vectors)) + vectors
        return self.policy.press(vectors, self._world.stick_range, (seed, player, coming))
