"""What both halves of a session machine share: the settings, the commands to return, and the pause before a retry.

A machine never gives up because of a fault that may pass. It reads the accounts again after a pause that grows, and
reports what it waits for (`waiting`). Before it acts on a conclusion that would end the service, a second read must
agree.
"""

from __future__ import annotations

from typing import NamedTuple

from solders.pubkey import Pubkey

from .commands import Command, Ending, Fetch, Level, LogLine, Release
from .events import OWN_CAUSES, Cause, Role
from .settings import MILLISECOND, Counters, Settings

ALL: tuple[Role, ...] = ("session", "hidden", "inputs", "log", "checkpoint_a", "checkpoint_b", "deposit")
SMALL: tuple[Role, ...] = ("session", "hidden", "inputs")
FIRST_PAUSE_MS = 25
LONGEST_PAUSE_MS = 1_000
"""The longest pause before a retry of something cheap. An outage is over at most this long before it is noticed."""
LONG_PAUSE_MS: dict[Cause, int] = {
    "model": 10_000, "rent": 5_000, "budget": 5_000, "deposit": 10_000, "disagreement": 10_000,
}  # fmt: skip
"""The longest pauses before a retry of something that is expensive, or that a person has to mend."""
GONE_NS = 3_000 * MILLISECOND
"""How long every read must show no account before the session counts as closed. A node that is behind shows none."""
BEHIND_NS = 1_000 * MILLISECOND
"""How long every read must show an older state before it counts as the chain's."""
_QUIET_TRIES = 2
"""Retries that are not worth a line in the log, nor a word in the metrics."""


class Waiting(NamedTuple):
    """Why a session is not served at the moment."""

    cause: Cause
    problem: str


class Effects:
    """Collects the commands (`out`) for the current event, which came at `now`, and schedules the one pause before a
    retry.
    """

    def __init__(self, entity: Pubkey, settings: Settings) -> None:
        self.entity = entity
        self.settings = settings
        self.counters = Counters()
        self.now = 0
        self.out: list[Command] = []
        self.released = False
        self.tries = 0
        """Retries since something last worked."""
        self.retry_at: int | None = None
        self._waiting: Waiting | None = None
        self._retry_roles: tuple[Role, ...] = ALL
        self._verdict = ""
        self._verdict_since = 0
        self._numbers = 0

    @property
    def waiting(self) -> Waiting | None:
        """What the session waits for. It is set only after the first retries have failed."""
        return self._waiting if self._worth_saying() else None

    def emit(self, command: Command) -> None:
        """Adds a command to the output."""
        self.out.append(command)

    def log(self, level: Level, event: str, **fields: object) -> None:
        """Writes a line to the operator's log."""
        self.emit(LogLine(level, event, fields))

    def number(self) -> int:
        """Returns a ticket or serial number that was never used before."""
        self._numbers += 1
        return self._numbers

    def release(self, reason: str, outcome: Ending) -> None:
        """Stops serving the session. Commands that were emitted before are still carried out."""
        if not self.released:
            self.released = True
            loud = outcome == "yielded"
            self.log("error" if loud else "info", "not served" if loud else "released", reason=reason)
            self.emit(Release(reason, outcome))

    def yield_to(self, how: str) -> None:
        """Leaves the session to the process that writes it now."""
        self.release(f"another process writes this session now ({how}); this one stops serving it", "yielded")

    def again(self, problem: object, roles: tuple[Role, ...], cause: Cause, *, tries: int | None = None) -> None:
        """Schedules another read of these accounts after a pause. The pause doubles with each retry, up to the cause's
        limit.

        Args:
            problem: what went wrong, for the log and the status.
            tries: how often it went wrong, if the caller counts that.
        """
        self.tries = self.tries + 1 if tries is None else max(tries, self.tries)
        longest = LONG_PAUSE_MS.get(cause, LONGEST_PAUSE_MS)
        pause = min(FIRST_PAUSE_MS << min(self.tries, 10), longest)
        self._retry_roles = roles
        self.retry_at = self.now + pause * MILLISECOND
        before, self._waiting = self._waiting, Waiting(cause, str(problem))
        # a repeated problem is logged again each time that the number of tries has doubled
        if self._worth_saying() and (before != self._waiting or not self.tries & (self.tries - 1)):
            self.log("warning", "trying again", problem=str(problem), cause=cause, tries=self.tries)

    def _worth_saying(self) -> bool:
        return self._waiting is not None and (self.tries > _QUIET_TRIES or self._waiting.cause in OWN_CAUSES)

    def read_in(self, pause_ns: int, roles: tuple[Role, ...]) -> None:
        """Schedules a read of these accounts after a pause, although nothing is wrong."""
        self._retry_roles = roles
        self.retry_at = self.now + pause_ns

    def progressed(self) -> None:
        """Notes that something worked, so the next pause is short again."""
        self.tries = 0
        self.retry_at = None
        self._waiting = None
        self._verdict = ""

    def woken(self) -> None:
        """Takes a wake-up, and reads the accounts if a read is due."""
        if self.retry_at is not None and self.now >= self.retry_at:
            self.retry_at = None
            self.emit(Fetch(self._retry_roles))

    # -- conclusions that would end the service -------------------------------------------------------------------

    def confirmed(self, verdict: str, roles: tuple[Role, ...], for_ns: int = 0) -> bool:
        """Whether two or more reads in a row led to the same conclusion. The first one only schedules another read.

        Args:
            verdict: the conclusion, in words.
            roles: which accounts to read again.
            for_ns: for how long, in ns, the reads must agree. 0 means that two reads are enough.
        """
        if self._verdict != verdict:
            self._verdict, self._verdict_since = verdict, self.now
            if for_ns:
                self.again(verdict, roles, "accounts")
            else:
                self.emit(Fetch(roles))
            return False
        if self.now - self._verdict_since < for_ns:
            self.again(verdict, roles, "accounts")
            return False
        return True

    def unsuspicious(self) -> None:
        """Notes that a read showed nothing strange, so an earlier conclusion was wrong."""
        self._verdict = ""
