"""One session's state machine: it takes events and returns commands, and uses no socket and no clock.

docs/session.md shows its stages.
"""

from __future__ import annotations

from solders.pubkey import Pubkey

from ..errors import AwmError, CheckpointError, StateError, VerifyError
from ..wire.failures import Code
from . import events
from .commands import Command, Fetch, WakeAt
from .effects import ALL, SMALL, Effects, Waiting
from .events import Cause, Event, Refusal
from .opening import Opening
from .schedule import Schedule
from .serving import Serving
from .settings import Counters, Settings

_CODES = {int(code): code.name for code in Code}


class SessionMachine:
    """Serves one session. Pass every event to `handle` in order, and carry out every command that it returns.

    Args:
        entity: the session's entity.
        settings: the session's settings.

    `now` and all other times are nanoseconds on one monotonic clock. The first event is `Begin`. After a `Release` the
    machine returns no more commands.
    """

    def __init__(self, entity: Pubkey, settings: Settings) -> None:
        self.schedule = Schedule(settings.frame_period_us, settings.phase)
        self._effects = Effects(entity, settings)
        self._opening = Opening(self._effects)
        self._serving: Serving | None = None
        self._wake: int | None = None
        self._lost_at: int | None = None
        self._frames = 0
        self._errors = 0
        """Errors and hard refusals since a frame last landed."""

    @property
    def entity(self) -> Pubkey:
        """The session's entity."""
        return self._effects.entity

    @property
    def counters(self) -> Counters:
        """Counters of what happened so far. The schedule counts the ticks."""
        return self._effects.counters

    @property
    def stage(self) -> str:
        """Where the session is: a stage of the opening, "serve", or "done"."""
        if self._effects.released:
            return "done"
        return self._opening.stage if self._serving is None else "serve"

    @property
    def waiting(self) -> Waiting | None:
        """Why the session is not served, although it should be. None while it is served or is opening normally."""
        return None if self._effects.released else self._effects.waiting

    @property
    def frame(self) -> int:
        """The last frame that landed; 0 until the session is served."""
        return 0 if self._serving is None else self._serving.loop.last.frame

    def due(self, now: int) -> int:
        """The frame that is due and could be computed, but was not sent yet; 0 if there is none."""
        return 0 if self._serving is None else self._serving.due(now)

    def stalled(self, now: int) -> str:
        """Why the session makes no frames although it should. Empty if all is well, or if the crank waits for
        players.
        """
        if self._serving is not None:
            return self._serving.stalled(now)
        waiting = self.waiting
        return "" if waiting is None else waiting.problem

    def handle(self, event: Event, now: int) -> list[Command]:
        """Takes an event, and returns the commands to carry out."""
        effects = self._effects
        if effects.released:
            return []
        effects.now, effects.out = now, []
        try:
            self._dispatch(event)
            self._move_on()
        except AwmError as error:
            self._failed(error, notified=isinstance(event, events.Changed))
        self._set_timer()
        return effects.out

    def _dispatch(self, event: Event) -> None:
        opening, serving = self._opening, self._serving
        current = opening if serving is None else serving
        match event:
            case events.Changed():
                current.changed(event.role, event.data)
            case events.Sent():
                self._count(event.refusal)
                current.sent(event.ticket, event.refusal)
            case events.Computed():
                current.computed(event)
            case events.Wake():
                self._wake = None
                self._effects.woken()
                if serving is not None:
                    serving.woken()
            case events.Fetched():
                current.fetched(event.accounts, event.deposit_lamports)
            case events.FetchFailed():
                current.failed(event.error)
            case events.Watching():
                current.watching()
            case events.Begin():
                opening.begin()
            case events.ModelLoaded():
                opening.loaded(event.engine, event.cartridge_hash)
            case events.ModelFailed():
                opening.model_failed(event.error)
            case events.Granted():
                current.granted(event.refusal, event.cause)
            case events.Recalled():
                opening.recalled(event.saved)
            case events.WarmedUp():
                opening.warmed_up(event)
            case events.Stop():
                self._effects.tries = 0
                if serving is None:
                    self._effects.release("stopped", "stopped")
                else:
                    serving.stopping = True

    def _count(self, refusal: Refusal | None) -> None:
        if refusal is not None:
            name = _CODES.get(refusal.code or 0, "other")
            refusals = self._effects.counters.refusals
            refusals[name] = refusals.get(name, 0) + 1

    def _move_on(self) -> None:
        """Goes from opening to serving, or back if the chain and the crank disagree, and then sends the next frame."""
        opening, effects, serving = self._opening, self._effects, self._serving
        if effects.released:
            return
        if serving is not None and serving.lost:
            self._resync(serving)
        opened = opening.result
        if self._serving is None and opened is not None:
            if self.schedule.in_flight and self._lost_at is not None and opened.last.frame > self._lost_at:
                self.schedule.landed(effects.now)
            opening.result = None
            self._serving = Serving(effects, opened, self.schedule)
            if not self._errors:
                effects.progressed()
        if self._serving is not None:
            frames = effects.counters.frames
            self._serving.proceed()
            if frames != self._frames:
                self._frames, self._errors = frames, 0

    def _failed(self, error: AwmError, *, notified: bool) -> None:
        """Handles bytes that cannot be read, and an engine that disagrees with the chain: reads the accounts again."""
        effects, serving = self._effects, self._serving
        if notified:
            # a notification may be damaged; a read shows what the account really holds
            effects.emit(Fetch(ALL if serving is None else SMALL))
            return
        self._errors += 1
        cause: Cause = "accounts"
        if isinstance(error, CheckpointError | StateError | VerifyError):
            cause = "disagreement"
            effects.log("error", "cannot go on from these accounts", problem=str(error), tries=self._errors)
        if serving is not None and self._errors > 1:
            serving.lost = str(error)
            self._resync(serving)
        if effects.released:
            return
        if self._serving is None:
            self._opening.failed_read(error, cause, self._errors)
        else:
            effects.again(error, SMALL, cause, tries=self._errors)

    def _resync(self, serving: Serving) -> None:
        effects = self._effects
        effects.counters.resyncs += 1
        effects.log("warning", "resync", why=serving.lost)
        self._lost_at = serving.loop.last.frame
        self._serving = None
        if serving.stopping:
            # the next process writes this checkpoint, and a stop must not wait for it
            effects.release("stopped", "stopped")
            return
        self._opening.reopen()
        if serving.refused:
            # the program would refuse the same frame again if it were sent at once
            self._errors += 1
            effects.again(serving.lost, ALL, "refused", tries=self._errors)
        else:
            effects.emit(Fetch(ALL))

    def _set_timer(self) -> None:
        when = self._effects.retry_at
        if self._serving is not None:
            deadline = self._serving.deadline()
            if when is None or (deadline is not None and deadline < when):
                when = deadline
        if self._effects.released:
            when = None
        if when != self._wake:
            self._wake = when
            self._effects.emit(WakeAt(when))
