"""What can happen to a session. This is the machine's whole input; each event comes with a time in nanoseconds."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from ..engine.api import Context, Engine, State
from ..engine.position import Position
from ..errors import AwmError

Role = Literal["session", "hidden", "inputs", "log", "checkpoint_a", "checkpoint_b", "deposit"]
"""A session's six accounts."""

Cause = Literal["endpoint", "refused", "funds", "model", "rent", "accounts", "disagreement", "checkpoint"]
"""What a session waits for, in one word: the label of a metric.

`endpoint`: requests fail. `refused`: a program refuses transactions. `funds`: the crank's key cannot pay. `model`: the
model cannot be loaded. `rent`: a spending limit. `accounts`: the accounts are missing, behind or unreadable.
`disagreement`: the engine computes other bytes than those on chain. `checkpoint`: a last checkpoint does not succeed.
"""

OWN_CAUSES: frozenset[Cause] = frozenset({"model", "rent", "disagreement"})
"""Causes that lie in the session itself. Anyone can make such a session, so it must not make the crank look broken."""


class Event(Struct, frozen=True):
    """Base of all events."""


class Begin(Event, frozen=True):
    """The session was found. This is the machine's first event."""


class Watching(Event, frozen=True):
    """The endpoint notifies changes of the session's accounts from now on. Comes again after each reconnect."""


class Changed(Event, frozen=True):
    """An account as it is after a change."""

    role: Role
    data: bytes


class Fetched(Event, frozen=True):
    """The accounts that were asked for, as of one moment. None where there is no account."""

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
    """Whether the rent may be spent. If not, `refusal` says why."""

    refusal: str = ""


class Recalled(Event, frozen=True):
    """The last checkpoint that was saved: its frame and its recurrent state. None when there is none."""

    saved: tuple[Position, bytes] | None


class WarmedUp(Event, frozen=True):
    """The state that a session starts from. `serial` is that of the command."""

    serial: int
    state: State


class Computed(Event, frozen=True):
    """The backbone consumed a frame. `serial` is that of the command."""

    serial: int
    context: Context


class Refusal(Struct, frozen=True):
    """Why a transaction did not do what it should.

    `code` is a program's custom error. Without it, the transaction may have landed all the same.
    """

    text: str
    code: int | None = None
    cause: Cause = "refused"


class Sent(Event, frozen=True):
    """The endpoint's answer to a transaction. Without a refusal it was accepted, which does not prove that it lands."""

    ticket: int
    refusal: Refusal | None = None


class Wake(Event, frozen=True):
    """The time that the last `WakeAt` named has come."""


class Stop(Event, frozen=True):
    """The crank is about to end: write a checkpoint, then let the session go."""
