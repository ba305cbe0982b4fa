"""The frame in the making: what it is computed from, the variants of it that were sent, and what became of them."""

from __future__ import annotations

from ..engine.api import Context, Engine, State
from ..wire import frame_records, layouts
from .checkpoints import Header
from .commands import Landed, RunBackbone, SendFrame
from .inputs import Known, LatePolicy, choose
from .schedule import Schedule

_STOCKS = layouts.PLAYER_STATE.offset("stocks")


class FrameLoop:
    """Frame after frame of one session, from the last one that landed.

    Args:
        engine, state: `state` has consumed the frames before `header.frame`.
        header: the last frame on chain.
        schedule: counts on over resyncs, so it is the machine's.

    `flight` says what is known of the next frame: "none" sent, "sent" and expected to land, or in "doubt" until the
    accounts have been read.
    """

    def __init__(self, engine: Engine, state: State, header: Header, schedule: Schedule) -> None:
        self.engine = engine
        self.header = header
        self.schedule = schedule
        self.known = Known()
        self.flight = "none"
        self.ticket = 0
        self.sent_at = 0
        self.refused = 0
        """refusals of the frame in the making"""
        self._state = state
        self._before: State = None
        self._context: Context = None
        self._serial = 0
        self._candidates: dict[bytes, bytes] = {}
        """chain hash → block of every variant of the next frame that was sent: any of them may land"""
        self._used = Known()
        self._complete_at = 0
        """when inputs or backbone came, whichever was later"""
        self._inputs_at = 0
        self._wanted_at = 0
        self._ready_at = 0
        self._answered_at = 0

    def consume(self, serial: int) -> RunBackbone:
        """Has the backbone consume the last frame, before its successor's inputs are there."""
        # a checkpoint of this frame needs the state as it is before that
        self._before = self.engine.copy(self._state)
        self._context = None
        self._serial = serial
        return RunBackbone(serial, self.engine, self._state, self.header.block, live=True)

    def computed(self, serial: int, context: Context, now: int = 0) -> None:
        """Takes the backbone's result; one of an earlier loop is ignored."""
        if serial == self._serial:
            self._context = context
            self._complete_at = now

    def checkpoint_state(self) -> bytes:
        """The recurrent state that goes with `header`. Only after `consume`."""
        return self.engine.dump(self._before)

    def learn(self, known: Known, now: int = 0) -> None:
        """Takes what the input buffer shows, unless something newer is known."""
        if known.newer_than(self.known):
            self.known = known
            self._inputs_at = self._complete_at = now

    def learned_since_sent(self) -> bool:
        """Whether the inputs have changed since the frame was computed."""
        return self.known.newer_than(self._used)

    def ready(self, policy: LatePolicy) -> bool:
        """The next frame could be computed and sent, were its tick due."""
        return self.flight == "none" and self._context is not None and self.inputs_known(policy)

    def inputs_known(self, policy: LatePolicy) -> bool:
        """The input buffer shows the next frame, with what the policy wants of it."""
        return self.known.frame == self.header.frame + 1 and (policy != "wait" or self.known.complete)

    def make(self, policy: LatePolicy, epoch: int, ticket: int, now: int) -> SendFrame:
        """Computes the next frame from the inputs known. Only when `ready`."""
        choice = choose(self.known, policy)
        assert choice is not None
        inputs, sources = choice
        header, frame = self.header, self.header.frame + 1
        block = self.engine.heads(self._context, header.block, inputs)
        players, feedback = frame_records.block_players(block), frame_records.block_feedback(block)
        self._candidates[frame_records.advance(header.chain_hash, frame, inputs, sources, players, feedback)] = block
        self._used = self.known
        self.flight, self.ticket, self.sent_at = "sent", ticket, now
        due = self.schedule.due(self.schedule.frame_tick)
        self._wanted_at, self._ready_at = max(self._inputs_at, due), max(self._complete_at, due)
        self._answered_at = 0
        self.schedule.sent()
        return SendFrame(ticket, frame, epoch, inputs, sources, players, feedback)

    def accepted(self, ticket: int, now: int) -> None:
        """The endpoint took the frame that was sent; what counts is the account's change."""
        if ticket == self.ticket and not self._answered_at:
            self._answered_at = now

    def is_ours(self, frame: int, chain_hash: bytes) -> bool:
        """Whether that is a variant of the next frame that was sent from here."""
        return frame == self.header.frame + 1 and chain_hash in self._candidates

    def land(self, chain_hash: bytes, now: int) -> Landed:
        """The next frame stands on chain."""
        before, block = self.header.block, self._candidates[chain_hash]
        self.header = Header(self.header.frame + 1, block, chain_hash)
        self._candidates.clear()
        self._context = None
        self.flight, self.refused = "none", 0
        schedule = self.schedule
        due = schedule.due(schedule.frame_tick)
        return Landed(
            self.header.frame, due, self._wanted_at, self._ready_at, self.sent_at, self._answered_at or now, now,
            schedule.landed(now), block, before, chain_hash,
        )  # fmt: skip

    def is_last(self, max_frames: int) -> bool:
        """Whether the program has ended the session with this frame: no stocks left, or the number of frames."""
        block = self.header.block
        return not block[_STOCKS] or not block[32 + _STOCKS] or 0 < max_frames <= self.header.frame
