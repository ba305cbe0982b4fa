"""Reconstructs a session's state from its accounts alone: the last finalized checkpoint and the ring's records.

The engine is deterministic, so a checkpoint and the inputs in the records determine every later state. Each recomputed
frame is compared with its record, because a crank whose engine disagrees with the chain must not write.
"""

from __future__ import annotations

from hashlib import sha256

from msgspec import Struct

from ..engine.api import Context, Engine
from ..engine.position import Position, checkpoint_position, start_of_session
from ..errors import CheckpointError, VerifyError
from ..wire import frame_records
from ..wire.accounts import Checkpoint, FrameLog, FrameRecord, HiddenState, SessionState
from ..wire.start import start_players
from .events import Role


class RecoveryPlan(Struct, frozen=True):
    """The state from which to recompute, and the records that lead from there to the last frame on chain.

    `state` is a checkpoint's recurrent state. None means frame 0, whose state comes from the engine's warm-up.
    """

    start: Position
    state: bytes | None
    records: tuple[bytes, ...]
    end: Position


def locate(accounts: dict[Role, bytes | None], *, in_rollup: bool = False) -> RecoveryPlan:
    """Plans the recovery from a session's six accounts.

    Args:
        in_rollup: accept that a checkpoint has vanished, since a rollup loses them when it restarts. Recomputing then
            starts at frame 0, which works as long as the ring still holds the first record.

    Raises:
        CheckpointError: the last good checkpoint is missing, or is not the one that the hidden state names.
        LayoutError, AccountError: an account cannot be read, or the ring no longer holds a record that is needed.
    """
    session = SessionState.decode(accounts["session"] or b"")
    hidden = HiddenState.decode(accounts["hidden"] or b"")
    log = FrameLog.decode(accounts["log"] or b"")
    state: bytes | None = None
    if hidden.initialized and not (in_rollup and _vanished(accounts, hidden)):
        checkpoint = _good_checkpoint(accounts, hidden)
        start, state = checkpoint_position(checkpoint, session.stage), checkpoint.recurrent
    else:
        players = start_players(session.players[31], session.players[63])
        start = start_of_session(
            session.entity, session.model, session.stage, session.seed, session.max_frames, players,
            hidden.cartridge_hash, hidden.extra_size,
        )  # fmt: skip
    return _plan(session, hidden, log, start, state)


def locate_saved(accounts: dict[Role, bytes | None], saved: tuple[Position, bytes]) -> RecoveryPlan:
    """Plans the recovery from a checkpoint that was saved elsewhere. `CatchUp` then compares each frame with the chain.

    Raises:
        CheckpointError: it is not a checkpoint of this match.
        LayoutError, AccountError: an account cannot be read, or the ring no longer holds a record that is needed.
    """
    session = SessionState.decode(accounts["session"] or b"")
    hidden = HiddenState.decode(accounts["hidden"] or b"")
    log = FrameLog.decode(accounts["log"] or b"")
    start, state = saved
    if start.frame > session.frame:
        raise CheckpointError("the saved checkpoint", expected=f"frame {session.frame} at most", found=start.frame)
    return _plan(session, hidden, log, start, state)


def _plan(
    session: SessionState, hidden: HiddenState, log: FrameLog, start: Position, state: bytes | None
) -> RecoveryPlan:
    records = tuple(log.record(frame) for frame in range(start.frame + 1, session.frame + 1))
    last = FrameRecord.decode(records[-1]) if records else start
    block = frame_records.block_of_session(session, hidden, last.inputs, last.extra)
    return RecoveryPlan(start, state, records, Position(session.frame, block, hidden.chain_hash))


def _role(hidden: HiddenState) -> Role:
    return "checkpoint_b" if hidden.checkpoint_side else "checkpoint_a"


def _vanished(accounts: dict[Role, bytes | None], hidden: HiddenState) -> bool:
    """Whether the last good checkpoint is missing, or an empty account is in its place."""
    data = accounts[_role(hidden)]
    return not data or Checkpoint.decode_head(data).chain_hash == bytes(32)


def _good_checkpoint(accounts: dict[Role, bytes | None], hidden: HiddenState) -> Checkpoint:
    name = "AB"[hidden.checkpoint_side]
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


class CatchUp:
    """Recomputes from a plan's start to its end, one frame at a time.

    `position` is the frame whose block the backbone consumes next. Pass the backbone's result to `advance`.

    Raises (constructor and `advance`):
        VerifyError: a recomputed frame differs from what is on chain. `what` names the frame.
    """

    def __init__(self, engine: Engine, plan: RecoveryPlan) -> None:
        self.position = plan.start
        self._engine, self._plan = engine, plan
        if self.done:
            self._check_end()

    @property
    def done(self) -> bool:
        """Whether it has reached the chain's last frame."""
        return self.position.frame == self._plan.end.frame

    def advance(self, context: Context) -> None:
        """Computes the next frame from its record's inputs, and compares it with the record."""
        plan = self._plan
        record = FrameRecord.decode(plan.records[self.position.frame - plan.start.frame])
        found = self.position.next(self._engine, context, record.inputs, record.sources)
        if found.players != record.players:
            raise _differs(f"PlayerStates of frame {found.frame}", record.players, found.players)
        if found.chain_hash[:8] != record.chain_hash:
            raise _differs(f"chain hash of frame {found.frame}", record.chain_hash, found.chain_hash[:8])
        self.position = found
        if self.done:
            self._check_end()

    def _check_end(self) -> None:
        found, end = self.position, self._plan.end
        if found.chain_hash != end.chain_hash:
            raise _differs(f"chain hash of frame {found.frame}", end.chain_hash, found.chain_hash)
        if found.block != end.block:
            raise _differs(f"frame {found.frame}", end.block, found.block)


def _differs(what: str, written: bytes, recomputed: bytes) -> VerifyError:
    return VerifyError(
        f"{what}: the recomputed bytes differ from those on chain",
        expected=written.hex(),
        found=recomputed.hex(),
        hint="run awm-crank verify on the session; another model or other programs may have written it",
    )
