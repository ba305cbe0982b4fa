"""Many matches at once, for training: one pass over the weights serves them all. Needs NumPy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..engine.cartridge import Cartridge
from ..engine.position import first_block
from ..errors import ConfigError
from ..match.stages import FINAL_DESTINATION
from ..wire.start import start_players
from . import coding

_STOCKS = "stocks"


class Step(NamedTuple):
    """The result of one frame, for each match and player.

    `numbers` (matches, 2 players, 2 fighters, 15) float32 and `categories` (matches, 2, 2, 2) describe the frame to act
    on; after the end of a match, that is the start of the next one. `rewards` (matches, 2); `terminated` and
    `truncated` (matches,) say which matches ended with this frame.
    """

    numbers: NDArray[np.float32]
    categories: NDArray[np.int64]
    rewards: NDArray[np.float32]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]


class Batch:
    """Many independent matches that advance together. A match that ends is replaced by a new one at once.

    Args:
        cartridge: the world.
        count: the number of matches, at least 1.
        max_frames: as for `MatchEnv`.
        characters: as for `MatchEnv`.
        stage: as for `MatchEnv`.
        threads: the engine's threads.

    Raises:
        ConfigError: `count` or `max_frames` is below 1.
        EngineError: the native engine cannot run on this machine.
        LayoutError: a character or the stage is out of range.
    """

    def __init__(
        self, cartridge: Cartridge, count: int, *, max_frames: int = 28_800, characters: tuple[int, int] = (1, 2),
        stage: int = FINAL_DESTINATION, threads: int = 1,
    ) -> None:  # fmt: skip
        from ..engine.native import NativeEngine

        if count < 1 or max_frames < 1:
            raise ConfigError("count and max_frames of a batch", expected="at least 1", found=f"{count}, {max_frames}")
        self.count = count
        self.max_frames = max_frames
        self._engine = NativeEngine(cartridge, threads=threads)
        self._start = first_block(start_players(*characters), stage, cartridge.extra_size)
        self._fresh = self._engine.start_state(self._start)
        self.reset()

    def reset(self) -> Step:
        """Starts every match at frame 0. Rewards and ends are zero."""
        self._states = [self._engine.copy(self._fresh) for _ in range(self.count)]
        self.blocks = [self._start] * self.count
        """the present frame of every match, as frame blocks"""
        self.frames = np.zeros(self.count, np.int64)
        self._fighters = coding.fighters(self.blocks)
        none = np.zeros(self.count, np.bool_)
        return self._observed(np.zeros((self.count, 2), np.float32), none, none.copy())

    def step(self, actions: NDArray[np.integer]) -> Step:
        """Computes the next frame of every match.

        Args:
            actions: (matches, 2, 13) choices (`coding.ACTION_SIZES`), or (matches, 2, 8) uint8, ControllerInput bytes.

        Raises:
            ConfigError: another shape, or a choice out of range.
        """
        given = self._inputs(actions)
        contexts = self._engine.backbone_batch(self._states, self.blocks)
        self.blocks = self._engine.heads_batch(contexts, self.blocks, given)
        self.frames += 1
        before, self._fighters = self._fighters, coding.fighters(self.blocks)
        rewards = coding.rewards(before, self._fighters)
        terminated = (self._fighters[_STOCKS] == 0).any(1)
        truncated = (self.frames >= self.max_frames) & ~terminated
        over = np.flatnonzero(terminated | truncated)
        for match in over:
            self._states[match] = self._engine.copy(self._fresh)
            self.blocks[match] = self._start
        if len(over):
            self.frames[over] = 0
            self._fighters[over] = coding.fighters([self._start])
        return self._observed(rewards, terminated, truncated)

    def _inputs(self, actions: NDArray[np.integer]) -> list[bytes]:
        if actions.shape == (self.count, 2, 8) and actions.dtype == np.uint8:
            raw = actions
        elif actions.shape == (self.count, 2, len(coding.ACTION_SIZES)) and actions.dtype.kind in "iu":
            if not ((actions >= 0) & (actions < coding.ACTION_SIZES)).all():
                raise ConfigError("actions of a batch", expected=f"choices below {coding.ACTION_SIZES}")
            raw = coding.inputs(actions)
        else:
            raise ConfigError(
                "actions of a batch", expected=f"({self.count}, 2, {len(coding.ACTION_SIZES)}) integers, or 8 uint8",
                found=f"{actions.shape} {actions.dtype}",
            )  # fmt: skip
        return [row.tobytes() for row in raw]

    def _observed(
        self, rewards: NDArray[np.float32], terminated: NDArray[np.bool_], truncated: NDArray[np.bool_]
    ) -> Step:
        both = np.stack([self._fighters, self._fighters[:, ::-1]], 1)
        return Step(coding.numbers(both), coding.categories(both), rewards, terminated, truncated)
