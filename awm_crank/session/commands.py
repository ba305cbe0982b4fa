"""What a session machine wants done: its whole output. Timers are data too."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from ..engine.api import Engine, State
from .events import Role

Level = Literal["debug", "info", "warning", "error"]
Point = Literal["bind", "claim", "pin", "setup", "checkpoint-begin", "checkpoint-chunk", "checkpoint-finalize"]


class Command(Struct, frozen=True):
    """Base of all commands."""


class Watch(Command, frozen=True):
    """Subscribe to session state, the session's end and input buffer, answer `Watching` when all are confirmed.

    Hidden state is watched anyway. The end is the session's account as soon as its status is Ended.
    """


class Unwatch(Command, frozen=True):
    """Of the session's account only its end is of interest from now on: every input writes to it, as BOLT's does."""


class Fetch(Command, frozen=True):
    """Read these accounts at one moment; answer `Fetched` or `FetchFailed`."""

    roles: tuple[Role, ...]


class LoadModel(Command, frozen=True):
    """Load and verify the model of that manifest; answer `ModelLoaded` or `ModelFailed`."""

    model: Pubkey
    cartridge_hash: bytes
    """SHA-256 of the cartridge that the session plays; zero: it does not say so yet, and the manifest decides."""


class WarmUp(Command, frozen=True):
    """`engine.start_state(block)`; answer `WarmedUp`."""

    serial: int
    engine: Engine
    block: bytes


class RunBackbone(Command, frozen=True):
    """`engine.backbone(state, block)`; answer `Computed`. `live` ones go before those of sessions that catch up."""

    serial: int
    engine: Engine
    state: State
    block: bytes
    live: bool


class SendFrame(Command, frozen=True):
    """Sign and send the session's run-inference transaction at once; answer `Sent`."""

    ticket: int
    frame: int
    epoch: int
    inputs: bytes
    sources: bytes
    players: bytes
    feedback: bytes


class Transaction(Struct, frozen=True):
    """Instructions for one transaction. `point` names the passage for crash tests and logs.

    Without `preflight` the endpoint answers before it has run it, and says nothing of a refusal.
    """

    ticket: int
    point: Point
    instructions: tuple[Instruction, ...]
    preflight: bool = True


class Send(Command, frozen=True):
    """Sign and send these, as one batch; answer `Sent` for each."""

    transactions: tuple[Transaction, ...]


class WakeAt(Command, frozen=True):
    """Give `Wake` at that time (ns); replaces the one before. None: no more."""

    when: int | None


class Landed(Command, frozen=True):
    """A frame stands on chain; for statistics, the debug log and observers. Times in ns.

    `wanted_at`: the later of its tick due and the last of its inputs seen; `ready_at`: when all else that it takes was
    here too: the frame before it consumed. `known_at`: the first that was heard of its landing, the endpoint's answer
    to the sending or the account's change.

    `block` is the frame's 97-byte block, `before` the one of the frame before it, `chain_hash` 32 bytes.
    """

    frame: int
    tick_due: int
    wanted_at: int
    ready_at: int
    sent_at: int
    known_at: int
    landed_at: int
    on_time: bool
    block: bytes
    before: bytes
    chain_hash: bytes


class Spend(Command, frozen=True):
    """The session's accounts cost that much rent in all. `held`: they stand already. Otherwise answer `Granted`."""

    lamports: int
    held: bool


class LogLine(Command, frozen=True):
    """A line for the operator."""

    level: Level
    event: str
    fields: dict[str, object]


class Release(Command, frozen=True):
    """The session is done with; nothing follows.

    `ok` is False when it could have been served on and is not; `again` True when a later change of the hidden state
    may make it ours.
    """

    reason: str
    ok: bool
    again: bool = False
