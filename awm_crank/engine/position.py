"""A match at one frame, and the step to the next frame. All code that computes frames uses this step.

The crank (session/), its recovery, `verify` and offline matches must agree byte for byte. So the step from context and
inputs to block and chain hash exists only here.
"""

from __future__ import annotations

from msgspec import Struct
from solders.pubkey import Pubkey

from ..wire import frame_records, ids, layouts
from ..wire.accounts import NEUTRAL_INPUT, Checkpoint
from ..wire.bolt import component_pda
from .api import Context, Engine

_NO_FEEDBACK = bytes(16)
_STOCKS = tuple(32 * player + layouts.PLAYER_STATE.offset("stocks") for player in (0, 1))


class Position(Struct, frozen=True):
    """A frame of a match: its number, its frame block, and the 32-byte chain hash after it."""

    frame: int
    block: bytes
    chain_hash: bytes

    @property
    def players(self) -> bytes:
        """Both PlayerStates, 64 bytes."""
        return frame_records.block_players(self.block)

    @property
    def feedback(self) -> bytes:
        """Both Feedbacks, 16 bytes."""
        return frame_records.block_feedback(self.block)

    @property
    def inputs(self) -> bytes:
        """Both ControllerInputs that led to this frame, 16 bytes."""
        return frame_records.block_inputs(self.block)

    @property
    def extra(self) -> bytes:
        """Both players' extra feedback; empty for most worlds."""
        return frame_records.block_extra(self.block)

    def next(self, engine: Engine, context: Context, inputs: bytes, sources: bytes) -> Position:
        """Computes the next frame.

        Args:
            engine: the engine of the match's cartridge. It clamps every field to its range.
            context: what `engine.backbone` returned for this frame's block.
            inputs: both ControllerInputs, 16 bytes.
            sources: where each input came from, 2 bytes (`FRESH`, `HELD` or `NEUTRAL`).

        Raises:
            LayoutError: `inputs` or `sources` has another size.
        """
        block = engine.heads(context, self.block, inputs)
        frame = self.frame + 1
        players, feedback = frame_records.block_players(block), frame_records.block_feedback(block)
        extra = frame_records.block_extra(block)
        chain_hash = frame_records.advance(self.chain_hash, frame, inputs, sources, players, feedback, extra)
        return Position(frame, block, chain_hash)

    def record(self, sources: bytes) -> bytes:
        """The frame's record. `sources` says where the frame's two inputs came from (2 bytes)."""
        return frame_records.record(
            self.frame, self.inputs, sources, self.block[96], self.players, self.chain_hash, self.extra
        )

    def is_last(self, max_frames: int) -> bool:
        """Whether run-inference ends the session with this frame.

        That is so if a player has no stocks left, or if `max_frames` is reached (0 means no limit).
        """
        return out_of_stocks(self.block) or 0 < max_frames <= self.frame

    def checkpoint_header(self) -> bytes:
        """Bytes [112, 248) of a Checkpoint account of this frame.

        They are: frame u32, inputs 16, players 64, feedback 16, chain hash 32, four zero bytes.
        """
        return (
            self.frame.to_bytes(4, "little") + self.inputs + self.players + self.feedback + self.chain_hash + bytes(4)
        )


def out_of_stocks(players: bytes) -> bool:
    """Whether a player has no stocks left. Takes 64 bytes of PlayerStates, or a whole frame block."""
    return not (players[_STOCKS[0]] and players[_STOCKS[1]])


def first_block(players: bytes, stage: int, extra_size: int = 0) -> bytes:
    """The block of frame 0, from both PlayerStates (64 bytes) in their start position.

    `extra_size` is the number of bytes of extra feedback for each player in this cartridge. They are all zero at frame
    0.
    """
    return frame_records.block(players, _NO_FEEDBACK, NEUTRAL_INPUT * 2, stage, bytes(2 * extra_size))


def checkpoint_position(checkpoint: Checkpoint, stage: int) -> Position:
    """The frame that a checkpoint is of, in a session on that stage."""
    block = frame_records.block(checkpoint.players, checkpoint.feedback, checkpoint.inputs, stage, checkpoint.extra)
    return Position(checkpoint.frame, block, checkpoint.chain_hash)


def start_of_session(
    entity: Pubkey, model: Pubkey, stage: int, seed: int, max_frames: int, players: bytes,
    cartridge: bytes = b"", extra_size: int = 0,
) -> Position:  # fmt: skip
    """Frame 0 of a session on chain, with the chain hash that JOIN sets.

    Args:
        entity: the session's entity.
        model: the key of the model's manifest.
        stage, seed, max_frames: the session's values.
        players: both PlayerStates in their start position, 64 bytes.
        cartridge: SHA-256 of the cartridge that the session plays; empty or zero before `pin_cartridge`.
        extra_size: bytes of extra feedback for each player in this cartridge.

    Raises:
        LayoutError: a value is out of range.
    """
    session = component_pda(ids.SESSION_STATE, entity)
    genesis = frame_records.genesis(session, model, stage, seed, max_frames, players, cartridge)
    return Position(0, first_block(players, stage, extra_size), genesis)
