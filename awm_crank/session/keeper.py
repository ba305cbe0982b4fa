"""Writes the checkpoints of a served session: decides when and how fast, and what to do when one fails."""

from __future__ import annotations

from ..wire.accounts import HiddenState
from . import setup
from .checkpoints import CheckpointWriter
from .commands import Fetch, Save, Send, Transaction
from .effects import LONGEST_PAUSE_MS, SMALL, Effects
from .events import Refusal, Role
from .frames import FrameLoop
from .opening import Opened
from .settings import MILLISECOND

FLUSH_BATCH = 24
"""Chunks in one batch while no frames are being sent."""
_MADE: tuple[Role, ...] = ("log", "checkpoint_a", "checkpoint_b")
"""The accounts that the crank makes for a session."""
_REPAIR_FRAMES = 15
"""Frames until vanished checkpoints are looked for again."""
_LANDING_WAITS = 8
"""Reads that may show no effect of an accepted finalize before its checkpoint is abandoned."""
_FIRST_PAUSE_MS = 50


class CheckpointKeeper:
    """Writes the checkpoints of one served session. Each goes to the account that does not hold the last good one."""

    def __init__(self, effects: Effects, opened: Opened, loop: FrameLoop) -> None:
        self._effects, self._opened, self._loop = effects, opened, loop
        self._writer: CheckpointWriter | None = None
        self.deadline: int | None = None
        """When to read whether a finalize that was accepted has landed."""
        self._waits = 0
        self._pause_until = 0
        self._comparisons = 0
        """Reads of the checkpoint's account since the last checkpoint that succeeded."""
        self._repairs: set[int] = set()
        """Tickets of transactions that make vanished checkpoints again."""
        self._repair_at = 0
        """The frame at which to look for them again; 0 for none."""
        hidden = opened.hidden
        self._initialized = hidden.initialized
        self._good_frame = hidden.checkpoint_frame
        self._good_side = hidden.checkpoint_side if hidden.initialized else 1
        self._next_frame = self.saved_frame + opened.cadence.interval

    @property
    def saved_frame(self) -> int:
        """The frame of the last good checkpoint; 0 if there is none."""
        return self._good_frame if self._initialized else 0

    @property
    def writing(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._writer is not None

    @property
    def wake_at(self) -> int | None:
        """The next time at which `woken` has work to do."""
        pause = self._pause_until if self._pause_until > self._effects.now else None
        return min((time for time in (self.deadline, pause) if time is not None), default=None)

    def is_good(self, frame: int) -> bool:
        """Whether the last good checkpoint is of this frame or a later one."""
        return self._initialized and self._good_frame >= frame

    # -- events ---------------------------------------------------------------------------------------------------

    def frame_landed(self, budget: int) -> None:
        """Notes that a frame landed and the match goes on. May send up to `budget` chunks now."""
        frame = self._loop.last.frame
        if self._writer is None and frame >= self._next_frame:
            self._begin()
        if budget:
            self._pump(budget, preflight=False)
        if 0 < self._repair_at <= frame:
            self._repair_at = 0
            self._effects.emit(Fetch(_MADE))

    def woken(self) -> None:
        """Takes a wake-up at the time of `wake_at`."""
        now = self._effects.now
        if self.deadline is not None and now >= self.deadline:
            self._waits += 1
            self.deadline = now + self._effects.settings.send_timeout_ns
            self._effects.emit(Fetch(SMALL))

    def fetched(self, accounts: dict[Role, bytes | None]) -> None:
        """Compares the accounts that were read with the checkpoint that was written."""
        writer = self._writer
        if writer is not None and writer.asked and _side_role(writer.side) in accounts:
            writer.compare(accounts[_side_role(writer.side)])
            self._comparisons += 1
            if writer.chunks_left or self._comparisons > 1:
                # chunks that were accepted may land soon: to send all of them again now would only add load
                pause = min(_FIRST_PAUSE_MS << min(self._comparisons, 5), LONGEST_PAUSE_MS)
                self._pause_until = self._effects.now + pause * MILLISECOND
        if all(role in accounts for role in _MADE):
            self._repair(accounts)

    def sent(self, ticket: int, refusal: Refusal | None) -> bool:
        """Takes an answer. Returns False if the answer belongs to another transaction."""
        writer = self._writer
        if ticket in self._repairs:
            self._repairs.discard(ticket)
            if refusal is not None:
                # a rollup refuses many transactions shortly after it starts
                self._repair_at = self._loop.last.frame + _REPAIR_FRAMES
            elif not self._repairs:
                # the transaction above creates the accounts; now they must grow
                self._effects.emit(Fetch(_MADE))
            return True
        if writer is None or not writer.answered(ticket, refusal):
            return False
        if writer.done and self.deadline is None:
            self.deadline = self._effects.now + self._effects.settings.send_timeout_ns
        return True

    def expects(self, hidden: HiddenState) -> bool:
        """Whether the checkpoint that a hidden state names is one that this keeper expects."""
        if not hidden.initialized:
            return not self._initialized
        writer = self._writer
        return hidden.checkpoint_frame == self.saved_frame or (
            writer is not None and (hidden.checkpoint_frame, hidden.checkpoint_side) == (writer.frame, writer.side)
        )

    def seen(self, hidden: HiddenState) -> None:
        """Takes the last good checkpoint from the hidden state."""
        if not hidden.initialized or (self._initialized and hidden.checkpoint_frame <= self._good_frame):
            return
        effects, writer = self._effects, self._writer
        self._initialized, self._comparisons, self._pause_until = True, 0, 0
        self._good_frame, self._good_side = hidden.checkpoint_frame, hidden.checkpoint_side
        self._next_frame = hidden.checkpoint_frame + self._opened.cadence.interval
        effects.counters.checkpoints += 1
        effects.log("debug", "checkpoint finalized", frame=hidden.checkpoint_frame)
        if writer is not None and writer.frame == hidden.checkpoint_frame:
            effects.emit(Save(writer.position, writer.state))
        if writer is not None and writer.frame <= hidden.checkpoint_frame:
            self._writer, self.deadline = None, None

    # -- writing --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Handles a checkpoint that failed, or whose account has to be read."""
        writer, effects = self._writer, self._effects
        if writer is None:
            return
        if self._waits > _LANDING_WAITS:
            writer.failed = "it was accepted but never landed"
        if writer.failed:
            effects.counters.checkpoint_failures += 1
            effects.log("error", "checkpoint failed", frame=writer.frame, reason=writer.failed)
            self._next_frame = self._loop.last.frame + self._opened.cadence.interval // 4
            if effects.settings.in_rollup:
                effects.emit(Fetch(_MADE))
            # no frames land in between, so nothing else would delay the next try
            effects.again(writer.failed, SMALL, "checkpoint")
            self._writer, self.deadline = None, None
        elif writer.wants_account and not writer.asked:
            writer.asked = True
            effects.emit(Fetch((_side_role(writer.side),)))

    def flush(self, *, of_last: bool) -> None:
        """Writes a checkpoint as fast as the endpoint accepts it. `of_last`: it must be a checkpoint of the
        last frame.
        """
        effects, writer = self._effects, self._writer
        if effects.retry_at is not None or effects.now < self._pause_until:
            return
        if of_last and writer is not None and writer.frame != self._loop.last.frame:
            if writer.outstanding:
                # transactions of the old checkpoint must not arrive after the new one's begin
                return
            self._writer = None
        if self._writer is None:
            self._begin()
        # no frame is being sent, so finalize follows at once and must find every chunk there
        self._pump(FLUSH_BATCH, preflight=True)

    def _begin(self) -> None:
        effects, last = self._effects, self._loop.last
        side = 1 - self._good_side
        self._writer = CheckpointWriter(
            effects.settings.me, effects.entity, side, last, self._loop.checkpoint_state(),
            chunk_bytes=effects.settings.chunk_bytes,
        )  # fmt: skip
        self.deadline, self._waits = None, 0
        effects.log("debug", "checkpoint begun", frame=last.frame, side="AB"[side])

    def _pump(self, budget: int, *, preflight: bool) -> None:
        writer, effects = self._writer, self._effects
        if writer is None or effects.now < self._pause_until:
            return
        if transactions := writer.next(budget, effects.number, preflight=preflight):
            effects.emit(Send(transactions))

    def _repair(self, accounts: dict[Role, bytes | None]) -> None:
        """Creates the checkpoint accounts again if they have vanished: a rollup loses them when it restarts."""
        effects, opened = self._effects, self._opened
        if self._repairs or not effects.settings.in_rollup:
            return
        plan = setup.missing(
            accounts, writer=effects.settings.me, entity=effects.entity, state_size=opened.engine.state_size,
            cadence=opened.cadence, in_rollup=True,
        )  # fmt: skip
        if plan:
            effects.log("warning", "checkpoints have vanished: making them again", frame=self._loop.last.frame)
            transactions = tuple(Transaction(effects.number(), "setup", instructions) for instructions in plan)
            self._repairs = {transaction.ticket for transaction in transactions}
            effects.emit(Send(transactions))
        elif self._writer is None:
            # there is room for a checkpoint again, and no good one to start from: write one now
            self._next_frame = min(self._next_frame, self._loop.last.frame + 1)


def _side_role(side: int) -> Role:
    return "checkpoint_b" if side else "checkpoint_a"
