"""Where a session stands, from its accounts alone: the last finalized checkpoint, then the ring's records.

The engine is deterministic, so the checkpoint plus the records' inputs give every later state. What is recomputed is
compared with what is written, frame by frame; a crank whose engine disagrees with the chain must not write on.
"""

from __future__ import annotations

from hashlib import sha256

from msgspec import Struct

from ..engine.api import Context, Engine
from ..errors import CheckpointError, VerifyError
from ..wire import frame_records, ids
from ..wire.accounts import NEUTRAL_INPUT, Checkpoint, FrameLog, FrameRecord, HiddenState, SessionState
from ..wire.bolt import component_pda
from ..wire.start import start_players
from .checkpoints import Header
from .events import Role


class Start(Struct, frozen=True):
    """Where recomputing begins, and the records that lead from there to the chain's frame.

    `state` is a checkpoint's recurrent state, None for frame 0, which the warm-up gives.
    """

    header: Header
    state: bytes | None
    records: tuple[bytes, ...]
    end: Header


def locate(accounts: dict[Role, bytes | None], *, in_rollup: bool = False) -> Start:
    """The start that a session's six accounts give.

    Args:
        in_rollup: a checkpoint may have vanished (a rollup that is started again has lost them): frame 0 is the start
            then, as long as the ring reaches back to it.

    Raises:
        CheckpointError: the last good checkpoint is not there or not what the header says.
        LayoutError, AccountError: an account that cannot be read, or a record that the ring no longer holds.
    """
    session = SessionState.decode(accounts["session"] or b"")
    hidden = HiddenState.decode(accounts["hidden"] or b"")
    log = FrameLog.decode(accounts["log"] or b"")
    state: bytes | None = None
    if hidden.initialized and not (in_rollup and _vanished(accounts, hidden)):
        checkpoint = _good_checkpoint(accounts, hidden)
        block = frame_records.block(checkpoint.players, checkpoint.feedback, checkpoint.inputs, session.stage)
        header, state = Header(checkpoint.frame, block, checkpoint.chain_hash), checkpoint.state
    else:
        players = start_players(session.players[31], session.players[63])
        key = component_pda(ids.SESSION_STATE, session.entity)
        first = frame_records.genesis(key, session.model, session.stage, session.seed, session.max_frames, players)
        header = Header(0, frame_records.block(players, bytes(16), NEUTRAL_INPUT * 2, session.stage), first)
    records = tuple(log.record(frame) for frame in range(header.frame + 1, session.frame + 1))
    inputs = FrameRecord.decode(records[-1]).inputs if records else frame_records.block_inputs(header.block)
    end = Header(session.frame, frame_records.block_of_session(session, hidden, inputs), hidden.chain_hash)
    return Start(header, state, records, end)


def _role(hidden: HiddenState) -> Role:
    return "checkpoint_b" if hidden.checkpoint_slot else "checkpoint_a"


def _vanished(accounts: dict[Role, bytes | None], hidden: HiddenState) -> bool:
    """Whether the last good checkpoint is not there, or an empty one is in its place."""
    data = accounts[_role(hidden)]
    return not data or Checkpoint.decode_head(data).chain_hash == bytes(32)


def _good_checkpoint(accounts: dict[Role, bytes | None], hidden: HiddenState) -> Checkpoint:
    name = "AB"[hidden.checkpoint_slot]
    what = f"checkpoint {name} of {hidden.entity}"
    data = accounts[_role(hidden)]
    if data is None:
        raise CheckpointError(what, expected="an account", found="none")
    checkpoint = Checkpoint.decode(data)
    if not checkpoint.finalized or checkpoint.frame != hidden.checkpoint_frame:
        raise CheckpointError(
            what,
            expected=f"frame {hidden.checkpoint_frame}, finalized",
            found=f"frame {checkpoint.frame}, {'' if checkpoint.finalized else 'not '}finalized",
        )
    if sha256(checkpoint.hashed).digest() != hidden.checkpoint_hash:
        raise CheckpointError(what, expected="bytes of the hash in the hidden state", found="another hash")
    return checkpoint


class Replay:
    """Recomputes frame by frame: `block` is what the backbone consumes next, `advance` takes its context.

    Raises (both methods):
        VerifyError: what is recomputed differs from what is written; `what` names the frame.
    """

    def __init__(self, engine: Engine, start: Start) -> None:
        self.engine = engine
        self.block = start.header.block
        self.frame = start.header.frame
        self._chain_hash = start.header.chain_hash
        self._records = start.records
        self._first = start.header.frame + 1
        self._end = start.end
        if self.done:
            self._check_end()

    @property
    def done(self) -> bool:
        """Nothing left to recompute."""
        return self.frame == self._end.frame

    def advance(self, context: Context) -> None:
        """One frame further, by the next record's inputs."""
        record = FrameRecord.decode(self._records[self.frame + 1 - self._first])
        frame, inputs = self.frame + 1, record.inputs
        block = self.engine.heads(context, self.block, inputs)
        players, feedback = frame_records.block_players(block), frame_records.block_feedback(block)
        chain_hash = frame_records.advance(self._chain_hash, frame, inputs, record.sources, players, feedback)
        if players != record.players:
            raise _differs(f"PlayerStates of frame {frame}", record.players, players)
        if chain_hash[:8] != record.chain_hash:
            raise _differs(f"chain hash of frame {frame}", record.chain_hash, chain_hash[:8])
        self.frame, self.block, self._chain_hash = frame, block, chain_hash
        if self.done:
            self._check_end()

    def _check_end(self) -> None:
        if self._chain_hash != self._end.chain_hash:
            raise _differs(f"chain hash of frame {self.frame}", self._end.chain_hash, self._chain_hash)
        if self.block != self._end.block:
            raise _differs(f"frame {self.frame}", self._end.block, self.block)


def _differs(what: str, written: bytes, recomputed: bytes) -> VerifyError:
    return VerifyError(
        f"{what}: recomputed otherwise than written",
        expected=written.hex(),
        found=recomputed.hex(),
        hint="run awm-crank verify on the session; the model or the programs may not be those that wrote it",
    )
