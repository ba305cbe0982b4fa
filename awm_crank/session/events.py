"""What can happen to a session: the machine's whole input. Times come beside them, as nanoseconds."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from ..engine.api import Context, Engine, State
from ..errors import AwmError

Role = Literal["session", "hidden", "inputs", "log", "checkpoint_a", "checkpoint_b"]
"""A session's six accounts."""


class Event(Struct, frozen=True):
    """Base of all events."""


class Begin(Event, frozen=True):
    """The session was found; the machine's first event."""


class Watching(Event, frozen=True):
    """Changes of the session's accounts are notified from now on; comes again after each reconnect."""


class Changed(Event, frozen=True):
    """An account as it is after a change."""

    role: Role
    data: bytes


class Fetched(Event, frozen=True):
    """Accounts that were asked for, all as of one moment; None where there is no account."""

    accounts: dict[Role, bytes | None]


class FetchFailed(Event, frozen=True):
    """The accounts that were asked for could not be read."""

    error: AwmError


class ModelLoaded(Event, frozen=True):
    """The session's model is verified and ready to step."""

    engine: Engine
    cartridge_hash: bytes
    """SHA-256 of the cartridge that it runs."""


class ModelFailed(Event, frozen=True):
    """The session's model cannot be served."""

    error: AwmError


class Granted(Event, frozen=True):
    """The rent asked for may be spent; where it may not, `refusal` says why."""

    refusal: str = ""


class WarmedUp(Event, frozen=True):
    """The state that a session starts from. `serial` is the command's."""

    serial: int
    state: State


class Computed(Event, frozen=True):
    """The backbone consumed a frame. `serial` is the command's."""

    serial: int
    context: Context


class Refusal(Struct, frozen=True):
    """Why a transaction did not do what it should.

    `code` is a program's custom error; without one nothing is known of what became of the transaction.
    """

    text: str
    code: int | None = None
    detail: Any = None


class Sent(Event, frozen=True):
    """The endpoint's answer to a transaction; no refusal means accepted, which is not yet landed everywhere."""

    ticket: int
    refusal: Refusal | None = None


class Wake(Event, frozen=True):
    """The moment named in the last `WakeAt` has come."""


class Stop(Event, frozen=True):
    """The crank is to end: leave a checkpoint and let go."""
