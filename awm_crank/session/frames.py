"""Computes the session's next frame, and tracks which variants of it were sent and which one landed."""

from __future__ import annotations

from ..engine.api import Context, Engine, State
from ..engine.position import Position
from .commands import Landed, RunBackbone, SendFrame
from .inputs import Known, LatePolicy, choose
from .schedule import Schedule

_UNANSWERED_NS = 100_000_000
_UNANSWERED_LANDINGS = 8


class FrameLoop:
    """Computes one session's frames, each from the last one that landed.

    Args:
        engine: the engine of the session's model.
        state: its recurrent state after the frames before `last`.
        last: the last frame that landed.
        schedule: the session's ticks. The machine owns it, because it keeps counting after a resync.

    `flight` says what is known about the next frame. "none": it was not sent. "sent": it was sent and should land.
    "doubt": nobody knows whether it landed, and the machine reads the accounts to find out.
    """

    def __init__(self, engine: Engine, state: State, last: Position, schedule: Schedule) -> None:
        self.engine = engine
        self.last = last
        self.schedule = schedule
        self.known = Known()
        self.flight = "none"
        self.ticket = 0
        self.sent_at = 0
        self.refused = 0
        """How often the next frame was refused."""
        self._state = state
        self._before: State = None
        self._context: Context = None
        self._serial = 0
        self._variants: dict[bytes, Position] = {}
        """Chain hash → each variant of the next frame that was sent. Any of them may land."""
        self._used = Known()
        self._complete_at = 0
        """When the inputs or the backbone's result came, whichever was later."""
        self._inputs_at = 0
        self._wanted_at = 0
        self._ready_at = 0
        self.answered_at = 0
        """When the endpoint accepted the frame in flight; 0 before it has."""

    def consume(self, serial: int) -> RunBackbone:
        """Starts the backbone on the last frame. This does not need the inputs of the next frame."""
        # a checkpoint of this frame needs the state before the backbone consumes it
        self._before = self.engine.copy(self._state)
        self._context = None
        self._serial = serial
        return RunBackbone(serial, self.engine, self._state, self.last.block, live=True)

    def computed(self, serial: int, context: Context, now: int = 0) -> None:
        """Takes the backbone's result. Ignores a result that an earlier `FrameLoop` asked for."""
        if serial == self._serial:
            self._context = context
            self._complete_at = now

    def checkpoint_state(self) -> bytes:
        """The serialized recurrent state for a checkpoint of the frame `last`. Call it only after `consume`."""
        return self.engine.dump(self._before)

    def learn(self, known: Known, now: int = 0) -> None:
        """Takes the inputs that the input buffer shows, unless newer ones are known already."""
        if known.newer_than(self.known):
            self.known = known
            self._inputs_at = self._complete_at = now

    def learned_since_sent(self) -> bool:
        """Whether the inputs have changed since the frame was computed and sent."""
        return self.known.newer_than(self._used)

    def ready(self, policy: LatePolicy) -> bool:
        """Whether the next frame can be computed and sent as soon as its tick is due."""
        return self.flight == "none" and self._context is not None and self.inputs_known(policy)

    def inputs_known(self, policy: LatePolicy) -> bool:
        """Whether the input buffer belongs to the next frame and holds every input that the policy waits for."""
        return self.known.frame == self.last.frame + 1 and (policy != "wait" or self.known.complete)

    def make(self, policy: LatePolicy, epoch: int, ticket: int, now: int) -> SendFrame:
        """Computes the next frame from the known inputs. Call it only when `ready`."""
        choice = choose(self.known, policy)
        assert choice is not None
        inputs, sources = choice
        frame = self.last.next(self.engine, self._context, inputs, sources)
        self._variants[frame.chain_hash] = frame
        self._used = self.known
        self.flight, self.ticket, self.sent_at = "sent", ticket, now
        due = self.schedule.due(self.schedule.frame_tick)
        self._wanted_at, self._ready_at = max(self._inputs_at, due), max(self._complete_at, due)
        self.answered_at = 0
        self.schedule.sent()
        return SendFrame(ticket, frame.frame, epoch, inputs, sources, frame.players, frame.feedback, frame.extra)

    def accepted(self, ticket: int, now: int) -> None:
        """Notes that the endpoint accepted the frame. Only a change of the account proves that the frame landed."""
        if ticket == self.ticket and not self.answered_at:
            self.answered_at = now

    def lost_at(self, timeout_ns: int, usual_ns: int) -> int:
        """When the frame in flight counts as lost, unless it has landed by then.

        Args:
            timeout_ns: the longest time.
            usual_ns: how long landings usually take; 0 while that is not known. A request that was not even answered
                counts as lost after a few times as long. To send it again costs little: it lands once.
        """
        if not self.answered_at and usual_ns:
            timeout_ns = min(timeout_ns, max(_UNANSWERED_NS, _UNANSWERED_LANDINGS * usual_ns))
        return self.sent_at + timeout_ns

    def is_ours(self, frame: int, chain_hash: bytes) -> bool:
        """Whether this block is one of the variants of the next frame that this process sent."""
        return frame == self.last.frame + 1 and chain_hash in self._variants

    def land(self, chain_hash: bytes, now: int) -> Landed:
        """Advances to the variant that landed."""
        before, self.last = self.last, self._variants[chain_hash]
        self._variants.clear()
        self._context = None
        self.flight, self.refused = "none", 0
        schedule = self.schedule
        due = schedule.due(schedule.frame_tick)
        return Landed(
            self.last.frame, due, self._wanted_at, self._ready_at, self.sent_at, self.answered_at or now, now,
            schedule.landed(now), self.last.block, before.block, chain_hash,
        )  # fmt: skip
