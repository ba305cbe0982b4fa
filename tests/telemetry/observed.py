"""A fake daemon, with what telemetry sees of one."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from awm_crank.session.commands import Landed
from awm_crank.session.settings import Counters
from awm_crank.telemetry.stats import Budget, Stats


@dataclass
class Machine:
    """A fake session's machine."""

    entity: str = "one"
    stage: str = "serve"
    counters: Counters = field(default_factory=Counters)
    schedule: Any = field(default_factory=lambda: SimpleNamespace(on_time=0, late=0, missed=0))
    due_frame: int = 0

    waiting: Any = None
    why: str = ""

    def stalled(self, _now: int) -> str:
        """The value that the test set."""
        return self.why

    def due(self, _now: int) -> int:
        """Returns the frame number that the test set as due."""
        return self.due_frame


def landed(
    frame: int, block: bytes, chain_hash: bytes = bytes(32), on_time: bool = True, landed_at: int = 0,
    before: bytes = bytes(97),
) -> Landed:  # fmt: skip
    """A frame that landed, with only the fields that observers use."""
    return Landed(frame, 0, 0, 0, 0, 0, landed_at, on_time, block, before, chain_hash)


class Endpoint:
    """A fake endpoint with some failures."""

    def __init__(self, age: float) -> None:
        self.age = age

    def blockhash_age_s(self) -> float:
        """The age that the test set."""
        return self.age

    def stream_lag_s(self) -> float:
        """Always a third of a second."""
        return 0.3

    def failures(self) -> dict[tuple[str, str], int]:
        """Two kinds of failures."""
        return {("http", "overdue"): 3, ("ws", "malformed"): 1}


class Crank:
    """A fake crank with everything that the hub reads."""

    def __init__(self, *machines: Machine) -> None:
        self.stats = Stats()
        self.all = list(machines)
        self.why = ""
        self.blockhash_age = 0.25
        self.limited = False
        self.out: list[str] = []

    def machines(self) -> list[Any]:
        """All sessions."""
        return self.all

    def queues(self) -> dict[str, int]:
        """One queue."""
        return {"computing": 3}

    def waiting(self) -> dict[str, int]:
        """One session that waits for room."""
        return {"room": 1}

    def budgets(self) -> list[Budget]:
        """A budget that is used up."""
        return [Budget("hour", 100, 90, 7)]

    def engine_path(self) -> str:
        """Some path."""
        return "plain"

    @property
    def endpoint(self) -> Endpoint:
        """An endpoint whose blockhash has the age that the test set."""
        return Endpoint(self.blockhash_age)

    def unready(self) -> str:
        """The reason that the test set."""
        return self.why

    def kept_out(self) -> tuple[bool, list[str]]:
        """The sessions that wait for room, as the test set them."""
        return self.limited, self.out
