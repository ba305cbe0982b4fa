"""One session's machine: events in, commands out, no socket and no clock (docs/session.md shows its stages)."""

from __future__ import annotations

from solders.pubkey import Pubkey

from ..errors import AwmError
from ..wire.failures import Code
from . import events
from .commands import Command, WakeAt
from .effects import Effects
from .events import Event, Refusal
from .opening import Opening
from .schedule import Schedule
from .serving import Serving
from .settings import Counters, Settings

_CODES = {int(code): code.name for code in Code}


class SessionMachine:
    """Serves one session: `handle(event, now)` for each event, in order, and every command carried out.

    Args:
        entity: the session's entity.
        settings: see there.

    `now` and all times are nanoseconds of one monotonic clock. The first event is `Begin`; after a `Release` nothing
    comes any more.
    """

    def __init__(self, entity: Pubkey, settings: Settings) -> None:
        self.schedule = Schedule(settings.frame_period_us, settings.phase)
        self._effects = Effects(entity, settings)
        self._opening = Opening(self._effects)
        self._serving: Serving | None = None
        self._wake: int | None = None
        self._lost_at: int | None = None

    @property
    def entity(self) -> Pubkey:
        """The session's entity."""
        return self._effects.entity

    @property
    def counters(self) -> Counters:
        """What happened so far; the ticks' counters are the schedule's."""
        return self._effects.counters

    @property
    def stage(self) -> str:
        """Where the session is: a stage of the opening, "serve", or "done"."""
        if self._effects.released:
            return "done"
        return self._opening.stage if self._serving is None else "serve"

    @property
    def frame(self) -> int:
        """The last frame that landed; 0 before the session is served."""
        return 0 if self._serving is None else self._serving.loop.last.frame

    def due(self, now: int) -> int:
        """The frame that is due and not attempted although all it takes is here; 0 when there is none."""
        return 0 if self._serving is None else self._serving.due(now)

    def handle(self, event: Event, now: int) -> list[Command]:
        """What is to be done about an event."""
        effects = self._effects
        if effects.released:
            return []
        effects.now, effects.out = now, []
        try:
            self._dispatch(event)
            self._move_on()
        except AwmError as error:
            effects.release(str(error), ok=False)
        self._set_timer()
        return effects.out

    def _dispatch(self, event: Event) -> None:
        opening, serving = self._opening, self._serving
        now_at = opening if serving is None else serving
        match event:
            case events.Changed():
                if event.data:
                    now_at.changed(event.role, event.data)
                else:
                    # a session that never began can be closed by its player 1 at any time
                    self._effects.release("its accounts are gone", ok=True, again=True)
            case events.Sent():
                self._count(event.refusal)
                now_at.sent(event.ticket, event.refusal)
            case events.Computed():
                now_at.computed(event)
            case events.Wake():
                self._wake = None
                self._effects.woken()
                if serving is not None:
                    serving.woken()
            case events.Fetched():
                now_at.fetched(event.accounts)
            case events.FetchFailed():
                now_at.failed(event.error)
            case events.Watching():
                now_at.watching()
            case events.Begin():
                opening.begin()
            case events.ModelLoaded():
                opening.loaded(event.engine, event.cartridge_hash)
            case events.ModelFailed():
                raise event.error
            case events.Granted():
                opening.granted(event.refusal)
            case events.WarmedUp():
                opening.warmed_up(event)
            case events.Stop():
                self._effects.tries = 0
                if serving is None:
                    self._effects.release("stopped", ok=True)
                else:
                    serving.stopping = True

    def _count(self, refusal: Refusal | None) -> None:
        if refusal is not None:
            name = _CODES.get(refusal.code or 0, "other")
            refusals = self._effects.counters.refusals
            refusals[name] = refusals.get(name, 0) + 1

    def _move_on(self) -> None:
        """From opening to serving, back where the chain went another way, and on with the next frame."""
        opening, effects = self._opening, self._effects
        if effects.released:
            return
        if self._serving is not None and self._serving.lost:
            self._resync(self._serving)
        opened = opening.result
        if self._serving is None and opened is not None:
            if self.schedule.in_flight and self._lost_at is not None and opened.last.frame > self._lost_at:
                self.schedule.landed(effects.now)
            self._serving = Serving(effects, opened, self.schedule)
            effects.progressed()
        if self._serving is not None:
            self._serving.proceed()

    def _resync(self, serving: Serving) -> None:
        effects = self._effects
        effects.counters.resyncs += 1
        effects.log("warning", "resync", why=serving.lost)
        self._lost_at = serving.loop.last.frame
        self._serving = None
        if serving.stopping:
            # what the next process does as well, and a stop must not wait for
            effects.release("stopped", ok=True)
        else:
            self._opening.reopen()

    def _set_timer(self) -> None:
        when = self._effects.retry_at
        if self._serving is not None:
            deadline = self._serving.deadline()
            when = min((time for time in (when, deadline) if time is not None), default=None)
        if self._effects.released:
            when = None
        if when != self._wake:
            self._wake = when
            self._effects.emit(WakeAt(when))
