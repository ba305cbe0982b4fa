"""An opened session being served: frames by the schedule, checkpoints between them, and the end."""

from __future__ import annotations

from ..wire.accounts import ENDED, HiddenState, peek_session
from ..wire.failures import Code
from . import events, setup
from .checkpoints import REST, CheckpointWriter
from .commands import Fetch, Send, Transaction
from .effects import ALL, MAX_TRIES, SMALL, Effects
from .events import Refusal, Role
from .frames import FrameLoop
from .inputs import Known
from .opening import Opened
from .schedule import Schedule

FLUSH_BATCH = 24
"""Chunks in one batch where no frame has to pass between them."""
_MADE: tuple[Role, ...] = ("log", "checkpoint_a", "checkpoint_b")
"""What the crank makes for a session."""
_REPAIR_FRAMES = 15
"""Frames until checkpoints that vanished are looked for again."""
_STALE_READS = 3
"""Reads in a row that show an older frame before frames count as lost."""


class Serving:
    """Serves from where `opened` says. `lost` says why it cannot go on from what it knows; then the chain decides."""

    def __init__(self, effects: Effects, opened: Opened, schedule: Schedule) -> None:
        self._effects = effects
        self._opened = opened
        self._schedule = schedule
        self.loop = FrameLoop(opened.engine, opened.state, opened.last, schedule)
        self.loop.learn(opened.known)
        self.lost = ""
        self.ended = opened.ended
        self.stopping = False
        self._writer: CheckpointWriter | None = None
        self._writer_deadline: int | None = None
        self._writer_waits = 0
        self._repairs: set[int] = set()
        """tickets of transactions that make vanished checkpoints again"""
        self._repair_at = 0
        """frame at which to look for them again; 0 for none"""
        self._initialized = opened.hidden.initialized
        self._good_frame = opened.hidden.checkpoint_frame
        self._good_slot = opened.hidden.checkpoint_slot if opened.hidden.initialized else 1
        self._checkpoint_after = (self._good_frame if self._initialized else 0) + opened.cadence.interval
        self._held_at = -1
        self._stale = 0
        self._problem = ""
        effects.log("info", "serving", frame=opened.last.frame)
        effects.emit(self.loop.consume(effects.number()))

    @property
    def pausing(self) -> bool:
        """No further frame is wanted."""
        return self.ended or self.stopping

    @property
    def _writer_role(self) -> Role:
        return "checkpoint_b" if self._writer is not None and self._writer.slot else "checkpoint_a"

    def deadline(self) -> int | None:
        """When to be woken."""
        times = []
        loop = self.loop
        if loop.flight == "sent":
            times.append(loop.sent_at + self._effects.settings.send_timeout_ns)
        elif loop.flight == "none" and self._schedule.resting and not self.pausing:
            # waiting for inputs needs no timer: ticks that pass meanwhile are counted when they come
            times.append(self._schedule.next_due())
        if self._writer_deadline is not None:
            times.append(self._writer_deadline)
        return min(times, default=None)

    def due(self, now: int) -> int:
        """The frame that is due and not attempted although all it takes is here; 0 when there is none.

        A frame that waits for inputs, for news of the one before, or for a checkpoint that is under way, is not meant.
        """
        loop, effects, schedule = self.loop, self._effects, self._schedule
        frame = loop.last.frame + 1
        if self.pausing or loop.flight != "none" or not loop.inputs_known(effects.settings.late_policy):
            return 0
        if schedule.resting and now < schedule.next_due():
            return 0
        if self._held_at == frame and (self._writer is not None or effects.retry_at is not None):
            return 0
        return frame

    # -- events ---------------------------------------------------------------------------------------------------

    def watching(self) -> None:
        """Changes are notified again: whatever changed while nothing was heard."""
        self._effects.emit(Fetch(ALL if self._effects.settings.in_rollup else SMALL))

    def failed(self, problem: object) -> None:
        """Accounts could not be read."""
        self._effects.again(problem, SMALL, give_up=self.pausing)

    def woken(self) -> None:
        """A time of `deadline` has come."""
        now, loop, timeout = self._effects.now, self.loop, self._effects.settings.send_timeout_ns
        if loop.flight == "sent" and now >= loop.sent_at + timeout:
            self._effects.counters.timeouts += 1
            self._effects.log("warning", "frame not seen in time", frame=loop.last.frame + 1)
            self._doubt()
        if self._writer_deadline is not None and now >= self._writer_deadline:
            self._writer_waits += 1
            self._writer_deadline = now + timeout
            self._effects.emit(Fetch(SMALL))

    def computed(self, event: events.Computed) -> None:
        """The backbone consumed the last frame."""
        self.loop.computed(event.serial, event.context, self._effects.now)

    def changed(self, role: Role, data: bytes) -> None:
        """An account changed."""
        if role == "inputs":
            self.loop.learn(Known.decode(data), self._effects.now)
        elif role == "hidden":
            self._hidden(HiddenState.decode(data), fetched=False)
        elif role == "session" and peek_session(data)[0] == ENDED:
            self.ended = True

    def fetched(self, accounts: dict[Role, bytes | None]) -> None:
        """Compares the accounts as read with what is known here."""
        if self._writer is not None and self._writer.asked and self._writer_role in accounts:
            self._writer.compare(accounts[self._writer_role])
        if all(role in accounts for role in _MADE):
            self._repair(accounts)
        if "hidden" not in accounts:
            return
        hidden, session = accounts["hidden"], accounts.get("session")
        if hidden is None or session is None:
            self._effects.release("its accounts are gone", ok=True)
            return
        if (inputs := accounts.get("inputs")) is not None:
            self.changed("inputs", inputs)
        self.changed("session", session)
        self._hidden(HiddenState.decode(hidden), fetched=True)

    def sent(self, ticket: int, refusal: Refusal | None) -> None:
        """The answer to a frame or to a part of a checkpoint."""
        writer, loop = self._writer, self.loop
        if ticket in self._repairs:
            self._repairs.discard(ticket)
            if refusal is not None:
                # a rollup that has just started refuses much
                self._repair_at = loop.last.frame + _REPAIR_FRAMES
            elif not self._repairs:
                # created now, and to be grown next
                self._effects.emit(Fetch(_MADE))
        elif writer is not None and writer.answered(ticket, refusal):
            if writer.done and self._writer_deadline is None:
                self._writer_deadline = self._effects.now + self._effects.settings.send_timeout_ns
        elif refusal is None:
            loop.accepted(ticket, self._effects.now)
        elif ticket == loop.ticket and loop.flight == "sent":
            self._refused(refusal)

    # -- frames ---------------------------------------------------------------------------------------------------

    def _hidden(self, hidden: HiddenState, *, fetched: bool) -> None:
        loop, effects, opened = self.loop, self._effects, self._opened
        if hidden.writer != effects.settings.me:
            effects.taken_over(f"its writer is {hidden.writer}")
            return
        if hidden.epoch != opened.epoch:
            if hidden.epoch > opened.epoch:
                effects.taken_over(f"epoch {hidden.epoch}, ours is {opened.epoch}")
            return
        if hidden.initialized and (not self._initialized or hidden.checkpoint_frame > self._good_frame):
            self._checkpoint_landed(hidden)
        frame = loop.last.frame
        if loop.is_ours(hidden.frame, hidden.chain_hash):
            self._landed(hidden.chain_hash)
        elif hidden.frame < frame:
            # an older notification, or an endpoint that is behind; only a lasting one means that frames were lost
            if fetched:
                self._stale += 1
                if self._stale > _STALE_READS:
                    self.lost = f"the chain is at frame {hidden.frame}, we were at {frame}"
                else:
                    effects.again("the endpoint is behind", SMALL, give_up=self.pausing)
        elif hidden.frame > frame or hidden.chain_hash != loop.last.chain_hash:
            self.lost = f"the chain is at frame {hidden.frame} in a way that was not ours; we were at {frame}"
        elif fetched and loop.flight == "doubt":
            self._not_landed()

    def _landed(self, chain_hash: bytes) -> None:
        effects, loop = self._effects, self.loop
        effects.counters.frames += 1
        effects.progressed()
        self._stale = 0
        effects.emit(loop.land(chain_hash, effects.now))
        if loop.last.is_last(self._opened.max_frames):
            self.ended = True
        effects.emit(loop.consume(effects.number()))
        if not self.pausing:
            if self._writer is None and loop.last.frame >= self._checkpoint_after:
                self._begin_checkpoint()
            if loop.last.frame % REST:
                self._pump(effects.settings.chunks_per_frame, preflight=False)
            if 0 < self._repair_at <= loop.last.frame:
                self._repair_at = 0
                effects.emit(Fetch(_MADE))

    def _not_landed(self) -> None:
        """The accounts say that the frame in doubt is not there: another try, after a pause where several failed."""
        loop = self.loop
        if loop.refused > 2:
            loop.refused -= 1
            self._effects.again(self._problem, SMALL, give_up=self.pausing)
        else:
            loop.flight = "none"

    def _doubt(self) -> None:
        self.loop.flight = "doubt"
        self._effects.emit(Fetch(SMALL))

    def _refused(self, refusal: Refusal) -> None:
        loop, effects = self.loop, self._effects
        loop.refused += 1
        self._problem = refusal.text
        effects.log("info", "frame refused", frame=loop.last.frame + 1, refusal=refusal.text)
        if refusal.code in (Code.EPOCH_MISMATCH, Code.WRITER_MISMATCH):
            effects.taken_over(refusal.text)
        elif refusal.code in (Code.INVALID_PLAYER_STATE, Code.INVALID_ARGUMENTS, Code.INVALID_ACCOUNT):
            # recomputing gives the same bytes
            effects.release(f"frame {loop.last.frame + 1} was refused: {refusal.text}", ok=False)
        elif refusal.code == Code.INPUT_MISMATCH and loop.learned_since_sent():
            loop.flight = "none"
        else:
            self._doubt()

    def proceed(self) -> None:
        """Whatever can be done now: the next frame, or the checkpoint that has to come first."""
        loop, effects, schedule = self.loop, self._effects, self._schedule
        self._check_writer()
        if self.pausing:
            if loop.flight == "none":
                self._finish()
            return
        policy = effects.settings.late_policy
        ready = loop.ready(policy)
        if ready and schedule.t0 is None:
            schedule.start(effects.now)
            # the demo's observer measures against this, so it is the schedule's own first due time less a period
            effects.log("info", "schedule", t0=(schedule.t0 or 0) / 1e9, frame=loop.last.frame + 1)
        schedule.advance(effects.now)
        if not ready or schedule.resting:
            return
        frame = loop.last.frame + 1
        if frame - (self._good_frame if self._initialized else 0) > self._opened.capacity:
            self._wait_for_checkpoint()
            return
        command = loop.make(policy, self._opened.epoch, effects.number(), effects.now)
        effects.counters.filled_inputs += 2 - command.sources.count(0)
        effects.emit(command)

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def _begin_checkpoint(self) -> None:
        effects, last = self._effects, self.loop.last
        slot = 1 - self._good_slot
        self._writer = CheckpointWriter(
            effects.settings.me,
            effects.entity,
            slot,
            last,
            self.loop.checkpoint_state(),
            chunk_bytes=effects.settings.chunk_bytes,
        )
        self._writer_deadline, self._writer_waits = None, 0
        effects.log("debug", "checkpoint begun", frame=last.frame, slot="AB"[slot])

    def _pump(self, budget: int, *, preflight: bool) -> None:
        writer = self._writer
        if writer is not None and (transactions := writer.next(budget, self._effects.number, preflight=preflight)):
            self._effects.emit(Send(transactions))

    def _check_writer(self) -> None:
        writer, effects = self._writer, self._effects
        if writer is None:
            return
        if self._writer_waits > MAX_TRIES:
            writer.failed = "it was accepted but never landed"
        if writer.failed:
            effects.counters.checkpoint_failures += 1
            effects.log("error", "checkpoint failed", frame=writer.frame, reason=writer.failed)
            self._checkpoint_after = self.loop.last.frame + self._opened.cadence.interval // 4
            if effects.settings.in_rollup:
                effects.emit(Fetch(_MADE))
            # without frames in between nothing else would slow the next try down
            effects.again(writer.failed, SMALL, give_up=self.pausing)
            self._writer, self._writer_deadline = None, None
        elif writer.wants_account and not writer.asked:
            writer.asked = True
            effects.emit(Fetch((self._writer_role,)))

    def _repair(self, accounts: dict[Role, bytes | None]) -> None:
        """Makes checkpoints again that have vanished: a rollup that was started again has lost them."""
        effects, opened = self._effects, self._opened
        if self._repairs or not effects.settings.in_rollup:
            return
        plan = setup.missing(
            accounts, writer=effects.settings.me, entity=effects.entity, state_size=opened.engine.state_size,
            cadence=opened.cadence, in_rollup=True,
        )  # fmt: skip
        if plan:
            effects.log("warning", "checkpoints have vanished: making them again", frame=self.loop.last.frame)
            transactions = tuple(Transaction(effects.number(), "setup", instructions) for instructions in plan)
            self._repairs = {transaction.ticket for transaction in transactions}
            effects.emit(Send(transactions))
        elif self._writer is None:
            # there is room for one again, and none to start from: do not wait for the next turn
            self._checkpoint_after = min(self._checkpoint_after, self.loop.last.frame + 1)

    def _checkpoint_landed(self, hidden: HiddenState) -> None:
        effects, writer = self._effects, self._writer
        self._initialized = True
        self._good_frame, self._good_slot = hidden.checkpoint_frame, hidden.checkpoint_slot
        self._checkpoint_after = hidden.checkpoint_frame + self._opened.cadence.interval
        effects.counters.checkpoints += 1
        effects.log("debug", "checkpoint finalized", frame=hidden.checkpoint_frame)
        if writer is not None and writer.frame <= hidden.checkpoint_frame:
            self._writer, self._writer_deadline = None, None

    def _wait_for_checkpoint(self) -> None:
        """A frame would overwrite a record that is still needed: the checkpoint goes first, as fast as it can."""
        frame = self.loop.last.frame + 1
        if self._held_at != frame:
            self._held_at = frame
            self._effects.counters.ring_full += 1
            self._effects.log("warning", "ring full: checkpoint first", frame=frame, ring=self._opened.capacity)
        self._flush()

    def _flush(self) -> None:
        if self._effects.retry_at is not None:
            return
        if self._writer is None:
            self._begin_checkpoint()
        # nothing else is under way: finalize follows at once, and must find them there
        self._pump(FLUSH_BATCH, preflight=True)

    def _finish(self) -> None:
        """The checkpoint of the last frame, then the end."""
        frame, writer = self.loop.last.frame, self._writer
        if frame == 0 or (self._initialized and self._good_frame >= frame):
            self._effects.release("ended" if self.ended else "stopped", ok=True)
        elif writer is None or writer.frame == frame:
            self._flush()
        elif not writer.outstanding:
            # not sooner: what is still on its way must not arrive after the new one's begin
            self._writer = None
            self._flush()
