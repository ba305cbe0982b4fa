"""What both halves of a session machine share: its settings, the commands it emits, and its pause before a retry."""

from __future__ import annotations

from solders.pubkey import Pubkey

from .commands import Command, Fetch, Level, LogLine, Release
from .events import Role
from .settings import MILLISECOND, Counters, Settings

ALL: tuple[Role, ...] = ("session", "hidden", "inputs", "log", "checkpoint_a", "checkpoint_b")
SMALL: tuple[Role, ...] = ("session", "hidden", "inputs")
MAX_TRIES = 8
"""Tries at one thing (claim, set-up, final checkpoint) that gets nowhere, before the session is let go."""


class Effects:
    """The commands of the event being handled (`out`), when it came (`now`), and the one pause before a retry."""

    def __init__(self, entity: Pubkey, settings: Settings) -> None:
        self.entity = entity
        self.settings = settings
        self.counters = Counters()
        self.now = 0
        self.out: list[Command] = []
        self.released = False
        self.tries = 0
        self.retry_at: int | None = None
        self._retry_roles: tuple[Role, ...] = ALL
        self._numbers = 0

    def emit(self, command: Command) -> None:
        """Wants something done."""
        self.out.append(command)

    def log(self, level: Level, event: str, **fields: object) -> None:
        """Has something to say."""
        self.emit(LogLine(level, event, fields))

    def number(self) -> int:
        """A ticket or serial never used before."""
        self._numbers += 1
        return self._numbers

    def release(self, reason: str, *, ok: bool, again: bool = False) -> None:
        """Lets the session go; whatever was emitted before still holds."""
        if not self.released:
            self.released = True
            self.log("info" if ok else "error", "released" if ok else "not served", reason=reason)
            self.emit(Release(reason, ok, again))

    def taken_over(self, how: str) -> None:
        """Lets the session go to the process that writes it now."""
        self.release(f"another process writes this session now ({how}); this one stops serving it", ok=False)

    def again(self, problem: object, roles: tuple[Role, ...], *, give_up: bool) -> None:
        """Reads accounts again after a pause that grows; lets the session go after MAX_TRIES where it may."""
        self.tries += 1
        if give_up and self.tries > MAX_TRIES:
            self.release(f"given up after {self.tries} tries; the last problem: {problem}", ok=False)
            return
        self._retry_roles = roles
        self.retry_at = self.now + min(25 << min(self.tries, 6), 1000) * MILLISECOND
        if self.tries > 2:
            self.log("warning", "trying again", problem=str(problem), tries=self.tries)

    def progressed(self) -> None:
        """Something worked: pauses begin short again."""
        self.tries = 0
        self.retry_at = None

    def woken(self) -> None:
        """A wake-up: reads again, if it is time."""
        if self.retry_at is not None and self.now >= self.retry_at:
            self.retry_at = None
            self.emit(Fetch(self._retry_roles))
