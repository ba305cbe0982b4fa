"""A policy that plays: it keeps the last K frames that each player saw, and turns outputs into a controller."""

from __future__ import annotations

from typing import Any, Protocol

from ..engine.encoding import PLAIN, Encoding
from ..wire import frame_records
from .policy import Rule

# Frames that are remembered beyond K, for a match that steps back.
_BACK = 64
_PLAYERS = 64
_NOTHING = bytes(16)


class AnyPolicy(Protocol):
    """What a policy's player needs: a checkpoint (`Policy`) and a policy cartridge (`IntegerPolicy`) have it."""

    context_len: int
    flags: Encoding
    rule: Rule

    def frame_vector(self, block: bytes, player: int, world: Encoding = ...) -> Any:
        """The numbers of one frame, as `player` sees it."""
        ...

    def press(self, vectors: list[Any], stick_range: int, draw: tuple[int, int, int]) -> bytes:
        """The ControllerInput after K frame vectors, oldest first."""
        ...

    def check_world(self, world: Encoding) -> None:
        """Raises CheckpointError when a world's frames do not hold what the policy reads."""
        ...


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

    def __init__(self, policy: AnyPolicy, world: Encoding = PLAIN, stage: int = 0) -> None:
        policy.check_world(world)
        self.policy = policy
        self._world = world
        self._stage = stage
        self._seen: tuple[list[tuple[int, Any]], ...] = ([], [])

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
        vectors = [vectors[0]] * (count - len(vectors)) + vectors
        return self.policy.press(vectors, self._world.stick_range, (seed, player, coming))
