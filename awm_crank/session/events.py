"""The events that a session machine takes. They are its whole input; each comes with a time in nanoseconds."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from ..engine.api import Context, Engine, State
from ..engine.position import Position
from ..errors import AwmError

Role = Literal["session", "hidden", "inputs", "log", "checkpoint_a", "checkpoint_b", "deposit", "entity"]
"""A session's accounts."""

Cause = Literal[
    "endpoint", "refused", "funds", "model", "rent", "budget", "deposit", "accounts", "disagreement", "checkpoint"
]  # fmt: skip
"""What a session waits for, in one word: the label of a metric.

`endpoint`: requests fail. `refused`: a program refuses transactions. `funds`: the crank's key cannot pay. `model`: the
model cannot be loaded. `rent`: one of the limits on rent. `budget`: what the crank spends on guests, or in an hour or a
day. `deposit`: player 1's deposit is too small or used up. `accounts`: the accounts are missing, behind or unreadable.
`disagreement`: the engine computes other bytes than those on chain. `checkpoint`: a last checkpoint does not succeed.
"""

OWN_CAUSES: frozenset[Cause] = frozenset({"model", "rent", "budget", "deposit", "disagreement"})
"""Causes that lie in the session itself. Anyone can make such a session, so it must not make the crank look broken."""


class Event(Struct, frozen=True):
    """Base class of all events."""


class Begin(Event, frozen=True):
    """The session was found. This is the machine's first event."""


class Watching(Event, frozen=True):
    """The endpoint reports changes of the session's accounts from now on. This event comes again after each
    reconnect.
    """


class Changed(Event, frozen=True):
    """An account changed. The event holds the account's new content."""

    role: Role
    data: bytes


class Fetched(Event, frozen=True):
    """The answer to `Fetch`: the accounts, all read at the same slot. An account that does not exist is None."""

    accounts: dict[Role, bytes | None]
    deposit_lamports: int = 0
    """What the deposit's account holds, if that account was asked for and is there."""


class FetchFailed(Event, frozen=True):
    """The accounts that `Fetch` asked for could not be read."""

    error: AwmError


class ModelLoaded(Event, frozen=True):
    """The session's model is loaded and verified, and its engine is ready."""

    engine: Engine
    cartridge_hash: bytes
    """SHA-256 of the cartridge that it runs."""


class ModelFailed(Event, frozen=True):
    """The session's model cannot be used."""

    error: AwmError


class Granted(Event, frozen=True):
    """Whether the lamports may be spent. If not, `refusal` says why, and `cause` which kind of limit it is."""

    refusal: str = ""
    cause: Cause = "rent"


class Recalled(Event, frozen=True):
    """The answer to `Recall`: the frame and the recurrent state of the last saved checkpoint, or None if there
    is none.
    """

    saved: tuple[Position, bytes] | None


class WarmedUp(Event, frozen=True):
    """The state from which the session starts. `serial` is the serial of the `WarmUp` command."""

    serial: int
    state: State


class Computed(Event, frozen=True):
    """The backbone has consumed a frame. `serial` is the serial of the `RunBackbone` command."""

    serial: int
    context: Context


class Refusal(Struct, frozen=True):
    """Why a transaction failed.

    `code` is the program's custom error number. If it is None, the transaction may have landed in spite of the failure.
    """

    text: str
    code: int | None = None
    cause: Cause = "refused"


class Sent(Event, frozen=True):
    """The endpoint's answer to a transaction. If `refusal` is None, the endpoint accepted it, but it may still not
    land.
    """

    ticket: int
    refusal: Refusal | None = None


class Wake(Event, frozen=True):
    """The time of the last `WakeAt` has come."""


class Stop(Event, frozen=True):
    """The crank is about to stop. The machine writes a checkpoint and then releases the session."""
