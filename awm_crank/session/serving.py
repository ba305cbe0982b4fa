"""Serves an open session: sends its frames on schedule, writes checkpoints between them, and handles the end.

Notifications are fast, but they can be lost or wrong. So if no frame lands for a while, the session reads its accounts,
and only a read can end the service.
"""

from __future__ import annotations

from ..wire.accounts import ACTIVE, ENDED, HiddenState, peek_session
from ..wire.failures import Code
from . import events
from .checkpoints import REST
from .commands import Fetch
from .effects import ALL, BEHIND_NS, GONE_NS, SMALL, Effects
from .events import Cause, Refusal, Role
from .frames import FrameLoop
from .hearing import FIRST_LOOK_NS, Hearing
from .inputs import Known
from .keeper import CheckpointKeeper
from .opening import Opened
from .paying import Paying
from .schedule import Schedule
from .settings import MILLISECOND

_LONGEST_LOOK_NS = 1_000 * MILLISECOND
_LANDINGS = 3
"""How many times as long as landings usually take an accepted frame may take before its accounts are read."""
_STALLED_NS = 2_000 * MILLISECOND
"""How long a session that has everything it needs may make no frame before that counts as a fault."""
_HARD_REFUSALS = (Code.INVALID_PLAYER_STATE, Code.INVALID_ARGUMENTS, Code.INVALID_ACCOUNT)
"""Refusals of a frame that computing it again from the same state does not mend."""


class Serving:
    """Serves frames, starting after the frame `opened.last`.

    `lost` says why no further frame can be computed from the state in memory. The session machine then opens the
    session again from the chain.
    """

    def __init__(self, effects: Effects, opened: Opened, schedule: Schedule) -> None:
        self._effects = effects
        self._opened = opened
        self._schedule = schedule
        self.loop = FrameLoop(opened.engine, opened.state, opened.last, schedule)
        self.loop.learn(opened.known)
        self.keeper = CheckpointKeeper(effects, opened, self.loop)
        self.paying = Paying(effects, opened)
        self._unpaid_at = -1
        self.lost = ""
        self.refused = False
        """It is lost because a program refused a frame for good."""
        self.ended = opened.ended
        self.stopping = False
        self._held_at = -1
        self._problem = Refusal("")
        self._moved_at = effects.now
        """When a frame last landed."""
        self._look_at = effects.now + FIRST_LOOK_NS
        """When to read the accounts if nothing has moved until then."""
        self._look_pause = FIRST_LOOK_NS
        self._reading = False
        self._peeked = False
        """The accounts were read since the frame in flight was accepted."""
        self._usual_landing = 0
        """How long landings take, smoothed (ns)."""
        self._hearing = Hearing(effects)
        self._inputs_refused = False
        self._end_reads = 0
        """Reads in a row that showed that the session has ended."""
        effects.log("info", "serving", frame=opened.last.frame)
        effects.emit(self.loop.consume(effects.number()))

    @property
    def pausing(self) -> bool:
        """Whether no more frames are wanted."""
        return self.ended or self.stopping

    def deadline(self) -> int | None:
        """The next time at which the session must be woken."""
        loop = self.loop
        when = self.keeper.wake_at
        mine: int | None = None
        if loop.flight == "sent":
            mine = loop.lost_at(self._effects.settings.send_timeout_ns, self._usual_landing)
            if not self._peeked and loop.answered_at:
                mine = min(mine, self._peek_at())
        elif loop.flight == "none" and not self.pausing:
            # ticks that pass while the session waits for inputs are counted when the inputs arrive
            mine = self._schedule.next_due() if self._schedule.resting else self._look_at
        if when is None or mine is None:
            return mine if when is None else when
        return min(when, mine)

    def due(self, now: int) -> int:
        """The frame that is due and could be computed, but was not sent yet; 0 if there is none.

        A frame is not counted while it waits for inputs, for the frame before it to land, or for a checkpoint.
        """
        loop, effects, schedule = self.loop, self._effects, self._schedule
        frame = loop.last.frame + 1
        if self.pausing or loop.flight != "none" or not loop.inputs_known(effects.settings.late_policy):
            return 0
        if schedule.resting and now < schedule.next_due():
            return 0
        if self._held_at == frame and (self.keeper.writing or effects.retry_at is not None):
            return 0
        if self._unpaid_at == frame:
            return 0
        return frame

    def stalled(self, now: int) -> str:
        """Why no frame lands although one should. Empty if frames land, or if the crank waits for players."""
        loop, waiting = self.loop, self._effects.waiting
        if self.pausing or now - self._moved_at < _STALLED_NS:
            return ""
        frame = loop.last.frame + 1
        if waiting is not None:
            return waiting.problem
        if loop.flight != "none":
            return f"frame {frame} was sent and has not landed; {self._problem.text or 'no refusal'}"
        if self._held_at == frame:
            return f"frame {frame} waits for a checkpoint"
        return f"frame {frame} is not computed" if loop.inputs_known(self._effects.settings.late_policy) else ""

    # -- events ---------------------------------------------------------------------------------------------------

    def watching(self) -> None:
        """The endpoint reports changes again. Reads the accounts, because they may have changed in the meantime."""
        self._effects.emit(Fetch(ALL if self._effects.settings.in_rollup else SMALL))

    def failed(self, problem: object) -> None:
        """Notes that accounts could not be read."""
        self._reading = False
        self._effects.again(problem, SMALL, "endpoint")

    def woken(self) -> None:
        """Takes a wake-up at the time of `deadline`."""
        now, loop, effects = self._effects.now, self.loop, self._effects
        self.keeper.woken()
        if loop.flight == "sent":
            if now >= loop.lost_at(effects.settings.send_timeout_ns, self._usual_landing):
                effects.counters.timeouts += 1
                effects.log("warning", "frame not seen in time", frame=loop.last.frame + 1)
                self._doubt()
            elif not self._peeked and loop.answered_at and now >= self._peek_at():
                self._peeked = True
                self._look()
        elif loop.flight == "none" and not self.pausing and not self._schedule.resting and now >= self._look_at:
            self._look_pause = min(2 * self._look_pause, _LONGEST_LOOK_NS)
            self._look_at = now + self._look_pause
            if not loop.ready(effects.settings.late_policy):
                self._look()

    def computed(self, event: events.Computed) -> None:
        """Takes the backbone's result for the last frame."""
        self.loop.computed(event.serial, event.context, self._effects.now)

    def changed(self, role: Role, data: bytes) -> None:
        """Takes the notification that an account changed."""
        if not data:
            self._look()
            return
        if role == "inputs":
            self._hearing.heard("inputs")
            known = Known.decode(data)
            # the buffer is one frame ahead of the chain; one that is more than two ahead of us cannot belong to this
            # match
            if known.frame <= self.loop.last.frame + 2:
                self.loop.learn(known, self._effects.now)
            else:
                self._look()
        elif role == "hidden":
            self._hidden(HiddenState.decode(data), fetched=False)
        elif role == "session" and peek_session(data)[0] == ENDED and not self.ended:
            self._look()

    def granted(self, refusal: str, cause: Cause) -> None:
        """Takes the answer to the wish for further frames at the crank's expense."""
        self.paying.granted(refusal, cause)

    def fetched(self, accounts: dict[Role, bytes | None], deposit_lamports: int = 0) -> None:
        """Compares the accounts that were read with what is known here."""
        effects, loop = self._effects, self.loop
        self._reading = False
        if "deposit" in accounts:
            self.paying.read(accounts["deposit"], deposit_lamports)
        self.keeper.fetched(accounts)
        if "hidden" not in accounts or "session" not in accounts:
            return
        hidden, session, inputs = accounts["hidden"], accounts["session"], accounts.get("inputs")
        if not hidden or not session:
            if effects.confirmed("its accounts are gone", SMALL, GONE_NS):
                effects.release("its accounts are gone", "gone")
            return
        status = peek_session(session)[0]
        if status not in (ACTIVE, ENDED):
            if effects.confirmed(f"a session of status {status} was read", SMALL):
                self.lost = f"the chain went back to a session of status {status}"
            return
        before, known = loop.last.frame, loop.known
        if inputs:
            found = Known.decode(inputs)
            if self._inputs_refused and found.frame == loop.last.frame + 1:
                # the inputs in the notification are not the ones that the program sees
                loop.known, self._inputs_refused = found, False
            elif known.frame > found.frame and known.frame > loop.last.frame + 1:
                loop.known = found
            else:
                loop.learn(found, effects.now)
        found_hidden = HiddenState.decode(hidden)
        self._hidden(found_hidden, fetched=True)
        if status == ENDED:
            self._end_reads += 1
            if not self.ended and self._end_reads == 1:
                # a single answer can be wrong
                self._look()
            else:
                self.ended = True
        else:
            self._end_reads = 0
            if self.ended and found_hidden.frame == loop.last.frame:
                # by our rules the last frame ended the match, but on chain the match has not ended
                self.ended = False
        if loop.last.frame != before:
            self._hearing.missed("frames", loop.last.frame)
        elif loop.known != known:
            self._hearing.missed("inputs", loop.last.frame)

    def sent(self, ticket: int, refusal: Refusal | None) -> None:
        """Takes the endpoint's answer to a frame or to a part of a checkpoint."""
        loop = self.loop
        if self.keeper.sent(ticket, refusal):
            return
        if refusal is None:
            loop.accepted(ticket, self._effects.now)
        elif ticket == loop.ticket and loop.flight == "sent":
            self._refused(refusal)

    # -- what the chain says ----------------------------------------------------------------------------------------

    def _hidden(self, hidden: HiddenState, *, fetched: bool) -> None:
        loop, effects, opened = self.loop, self._effects, self._opened
        if hidden.writer != effects.settings.me or hidden.epoch != opened.epoch:
            self._not_ours(hidden, fetched=fetched)
            return
        last = loop.last
        ours = loop.is_ours(hidden.frame, hidden.chain_hash)
        if not ours and hidden.frame < last.frame:
            # the notification is old, or the endpoint is behind
            if fetched and effects.confirmed("an older frame was read", SMALL, BEHIND_NS):
                self.lost = f"the chain is at frame {hidden.frame}, we were at {last.frame}"
        elif not ours and (hidden.frame > last.frame or hidden.chain_hash != last.chain_hash):
            if not fetched:
                self._look()
            elif effects.confirmed(f"frame {hidden.frame} on chain is not ours", SMALL):
                self.lost = f"the chain is at frame {hidden.frame} in a way that was not ours; we were at {last.frame}"
        elif not fetched and not self.keeper.expects(hidden):
            self._look()
        else:
            if fetched:
                effects.unsuspicious()
            self.keeper.seen(hidden)
            if ours:
                self._landed(hidden.chain_hash, notified=not fetched)
            elif fetched and loop.flight == "doubt":
                self._not_landed()

    def _not_ours(self, hidden: HiddenState, *, fetched: bool) -> None:
        """Handles a hidden state that names another writer or epoch."""
        effects, epoch = self._effects, self._opened.epoch
        if not fetched:
            if hidden.writer != effects.settings.me or hidden.epoch > epoch:
                self._look()
        elif hidden.writer != effects.settings.me:
            if effects.confirmed(f"its writer is {hidden.writer}", SMALL):
                effects.release(f"its writer is {hidden.writer}", "elsewhere")
        elif hidden.epoch > epoch:
            if effects.confirmed(f"epoch {hidden.epoch}, ours is {epoch}", SMALL):
                effects.yield_to(f"epoch {hidden.epoch}, ours is {epoch}")
        elif effects.confirmed(f"epoch {hidden.epoch} of an earlier time was read", SMALL, BEHIND_NS):
            self.lost = f"the chain went back to epoch {hidden.epoch}, ours is {epoch}"

    def _landed(self, chain_hash: bytes, *, notified: bool) -> None:
        effects, loop = self._effects, self.loop
        effects.counters.frames += 1
        effects.progressed()
        if notified:
            self._hearing.heard("frames")
            self._usual_landing += (effects.now - loop.sent_at - self._usual_landing) >> 3
        effects.emit(loop.land(chain_hash, effects.now))
        self._moved_at = effects.now
        self._look_pause = self._hearing.patience()
        self._look_at = effects.now + self._look_pause
        if self._hearing.deaf("inputs"):
            self._look()
        if loop.last.is_last(self._opened.max_frames):
            self.ended = True
        effects.emit(loop.consume(effects.number()))
        if not self.pausing:
            self.keeper.frame_landed(effects.settings.chunks_per_frame if loop.last.frame % REST else 0)

    def _not_landed(self) -> None:
        """The accounts show that the frame in doubt did not land. Sends it again, after a pause if several have
        failed.
        """
        loop = self.loop
        if loop.refused > 2:
            loop.refused -= 1
            self._effects.again(self._problem.text, SMALL, self._problem.cause)
        else:
            loop.flight = "none"

    def _peek_at(self) -> int:
        answered = max(self.loop.answered_at, self.loop.sent_at)
        if self._hearing.deaf("frames"):
            # nothing will be notified, so the accounts are read as soon as the frame can have landed
            return answered
        return answered + max(FIRST_LOOK_NS, _LANDINGS * self._usual_landing)

    def _look(self) -> None:
        """Reads the accounts, unless a read is already under way."""
        if not self._reading:
            self._reading = True
            self._effects.emit(Fetch(SMALL))

    def _doubt(self) -> None:
        self.loop.flight = "doubt"
        self._effects.emit(Fetch(SMALL))

    def _refused(self, refusal: Refusal) -> None:
        loop, effects = self.loop, self._effects
        loop.refused += 1
        self._problem = refusal
        effects.log("info", "frame refused", frame=loop.last.frame + 1, refusal=refusal.text)
        if refusal.code in _HARD_REFUSALS:
            self.refused = True
            self.lost = f"frame {loop.last.frame + 1} was refused: {refusal.text}"
        elif refusal.code == Code.INPUT_MISMATCH and loop.learned_since_sent():
            loop.flight = "none"
        else:
            self._inputs_refused = refusal.code == Code.INPUT_MISMATCH
            if refusal.code == Code.NOT_ACTIVE:
                # this conclusion needs a second read that agrees
                self._end_reads = 1
            self._doubt()

    def proceed(self) -> None:
        """Does what can be done now: sends the next frame, or writes the checkpoint that must come first."""
        loop, effects, schedule = self.loop, self._effects, self._schedule
        self.keeper.check()
        if self.pausing:
            if loop.flight == "none":
                self._finish()
            return
        policy = effects.settings.late_policy
        if not self.paying.covers(loop.last.frame + 1):
            # the ticks of this pause are nobody's fault: the schedule starts again after it
            self._unpaid_at = loop.last.frame + 1
            if loop.flight == "none":
                schedule.t0 = None
            return
        ready = loop.ready(policy)
        if ready and schedule.t0 is None:
            schedule.start(effects.now)
            # t0 is one period before the schedule's first due time; the demo's observer measures against it
            effects.log("info", "schedule", t0=(schedule.t0 or 0) / 1e9, frame=loop.last.frame + 1)
        schedule.advance(effects.now)
        if not ready or schedule.resting:
            return
        frame = loop.last.frame + 1
        if frame - self.keeper.saved_frame > self._opened.capacity:
            self._wait_for_checkpoint(frame)
            return
        self._peeked = False
        command = loop.make(policy, self._opened.epoch, effects.number(), effects.now)
        effects.counters.filled_inputs += 2 - command.sources.count(0)
        effects.emit(command)

    def _wait_for_checkpoint(self, frame: int) -> None:
        """Waits for a checkpoint, because the next frame would overwrite a record that recovery still needs."""
        if self._held_at != frame:
            self._held_at = frame
            self._effects.counters.ring_full += 1
            self._effects.log("warning", "ring full: checkpoint first", frame=frame, ring=self._opened.capacity)
        self.keeper.flush(of_last=False)

    def _finish(self) -> None:
        """Writes a checkpoint of the last frame, then releases the session."""
        effects, frame = self._effects, self.loop.last.frame
        if frame and not self.keeper.is_good(frame):
            self.keeper.flush(of_last=True)
        elif self.stopping and not self.ended:
            effects.release("stopped", "stopped")
        elif self._end_reads:
            effects.release("ended", "over")
        elif effects.retry_at is None:
            self._look()
