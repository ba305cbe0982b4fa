"""Computes a match frame by frame on this machine. The same inputs give the same bytes as on the crank and on chain."""

from __future__ import annotations

from typing import Any

from ..engine.api import Engine
from ..engine.position import Position, first_block


class Game:
    """A match at one frame.

    Args:
        engine: the engine of the match's cartridge.
        state: the recurrent state before the backbone consumes the block of `position`.
        position: the frame that the match is at.
    """

    def __init__(self, engine: Engine, state: Any, position: Position) -> None:
        self.engine = engine
        self.state = state
        self.position = position

    @classmethod
    def start(cls, engine: Engine, players: bytes, stage: int, genesis: bytes) -> Game:
        """A match at frame 0. `players` are both PlayerStates in their start position (64 bytes)."""
        block = first_block(players, stage, engine.extra_size)
        return cls(engine, engine.start_state(block), Position(0, block, genesis))

    @property
    def frame(self) -> int:
        """The current frame's number."""
        return self.position.frame

    @property
    def block(self) -> bytes:
        """The current frame's block: 97 bytes, and the extra feedback."""
        return self.position.block

    @property
    def players(self) -> bytes:
        """Both PlayerStates of the current frame, 64 bytes."""
        return self.position.players

    @property
    def chain_hash(self) -> bytes:
        """The chain hash after the current frame, 32 bytes."""
        return self.position.chain_hash

    def advance(self, inputs: bytes, sources: bytes) -> bytes:
        """Computes the next frame and returns its record (96 bytes, and the extra feedback).

        Args:
            inputs: both players' ControllerInputs, 16 bytes.
            sources: where each input came from, 2 bytes.
        """
        context = self.engine.backbone(self.state, self.position.block)
        self.position = self.position.next(self.engine, context, inputs, sources)
        return self.position.record(sources)
