"""A match computed here, frame by frame: what the crank and run-inference make of the same inputs, byte for byte."""

from __future__ import annotations

from typing import Any

from ..engine.api import Engine
from ..wire import frame_records, layouts
from ..wire.accounts import NEUTRAL_INPUT

_NO_FEEDBACK = bytes(16)
_STOCKS = tuple(32 * player + layouts.PLAYER_STATE.offset("stocks") for player in (0, 1))


def start_block(players: bytes, stage: int) -> bytes:
    """Frame 0 as a block (97 bytes), from both PlayerStates (64 bytes)."""
    return frame_records.block(players, _NO_FEEDBACK, NEUTRAL_INPUT * 2, stage)


def out_of_stocks(players: bytes) -> bool:
    """Whether a player (of 64 bytes of PlayerStates) has no stocks left: the match is over."""
    return not all(players[at] for at in _STOCKS)


def is_last(frame: int, players: bytes, max_frames: int) -> bool:
    """Whether run-inference ends the session with this frame: no stocks left, or the number of frames."""
    return out_of_stocks(players) or 0 < max_frames <= frame


class Game:
    """A match at one frame.

    Args:
        engine: with the match's cartridge.
        state: the recurrent state from which the backbone reads `block`.
        frame, block, chain_hash: where it stands.
    """

    def __init__(self, engine: Engine, state: Any, frame: int, block: bytes, chain_hash: bytes) -> None:
        self.engine = engine
        self.state = state
        self.frame = frame
        self.block = block
        self.chain_hash = chain_hash

    @classmethod
    def start(cls, engine: Engine, players: bytes, stage: int, genesis: bytes) -> Game:
        """At frame 0: `players` (64 bytes) in their start position."""
        block = start_block(players, stage)
        return cls(engine, engine.start_state(block), 0, block, genesis)

    @property
    def players(self) -> bytes:
        """Both PlayerStates of the present frame, 64 bytes."""
        return frame_records.block_players(self.block)

    def advance(self, inputs: bytes, sources: bytes) -> bytes:
        """Computes the next frame; returns its record (96 bytes).

        Args:
            inputs: both players' ControllerInputs, 16 bytes.
            sources: where each came from, 2 bytes.
        """
        context = self.engine.backbone(self.state, self.block)
        self.block = self.engine.heads(context, self.block, inputs)
        self.frame += 1
        players, feedback = self.players, frame_records.block_feedback(self.block)
        self.chain_hash = frame_records.advance(self.chain_hash, self.frame, inputs, sources, players, feedback)
        return frame_records.record(self.frame, inputs, sources, self.block[96], players, self.chain_hash)
