"""What a session machine wants done. This is its whole output; timers are data too."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from ..engine.api import Engine, State
from ..engine.position import Position
from .events import Role

Level = Literal["debug", "info", "warning", "error"]
Point = Literal["bind", "claim", "pin", "setup", "checkpoint-begin", "checkpoint-chunk", "checkpoint-finalize"]


class Command(Struct, frozen=True):
    """Base of all commands."""


class Watch(Command, frozen=True):
    """Subscribe to the session's accounts, and answer `Watching` when the endpoint has confirmed everything.

    The hidden state is subscribed to anyway, for all sessions together. Without `every_change` and `distrust` this only
    ends one subscription, and nothing is answered.

    Args:
        every_change: notify every change of the session's account. Otherwise only its end is notified: each input
            writes to that account, as BOLT does.
        distrust: notifications went missing, so the subscription to hidden states is replaced too.
    """

    every_change: bool
    distrust: bool = False


class Fetch(Command, frozen=True):
    """Read these accounts as of one moment; answer `Fetched` or `FetchFailed`."""

    roles: tuple[Role, ...]


class LoadModel(Command, frozen=True):
    """Load and verify the model of this manifest; answer `ModelLoaded` or `ModelFailed`."""

    model: Pubkey
    cartridge_hash: bytes
    """SHA-256 of the cartridge that the session plays; zero: it does not say so yet, and the manifest decides."""


class WarmUp(Command, frozen=True):
    """Call `engine.start_state(block)`; answer `WarmedUp`."""

    serial: int
    engine: Engine
    block: bytes


class RunBackbone(Command, frozen=True):
    """Call `engine.backbone(state, block)`; answer `Computed`. `live` sessions go before those that catch up."""

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
    """The instructions of one transaction. `point` names its purpose, for crash tests and logs.

    Without `preflight` the endpoint answers before it has run the transaction, so a refusal stays unknown.
    """

    ticket: int
    point: Point
    instructions: tuple[Instruction, ...]
    preflight: bool = True


class Send(Command, frozen=True):
    """Sign these and send them as one batch; answer `Sent` for each."""

    transactions: tuple[Transaction, ...]


class Save(Command, frozen=True):
    """Keep this checkpoint where it outlives the chain's accounts; it replaces the one before."""

    position: Position
    state: bytes


class Recall(Command, frozen=True):
    """The chain has lost what it takes to go on. Answer `Recalled` with the last checkpoint that was saved."""


class WakeAt(Command, frozen=True):
    """Give `Wake` at this time (ns), and at no time that was named before. None means never."""

    when: int | None


class Landed(Command, frozen=True):
    """A frame landed: the one description of it, for statistics, the log, metrics and observers. Times are in ns.

    `tick_due`: when its tick was due.
    `wanted_at`: when its tick was due or its last input was seen, whichever was later.
    `ready_at`: when everything else was there too, that is, the frame before it was consumed.
    `sent_at`: when it was handed over for signing.
    `known_at`: the first sign that it landed: the endpoint's answer, or the account's change.
    `landed_at`: the account's change.
    `on_time`: whether that was within one period after its tick.

    `block` is the frame's 97-byte block, `before` the previous frame's, `chain_hash` has 32 bytes.
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
    """The session's accounts cost this much rent in all. If they exist already (`held`), this only tells the crank;
    otherwise answer `Granted`."""

    lamports: int
    held: bool


class LogLine(Command, frozen=True):
    """A line for the operator's log."""

    level: Level
    event: str
    fields: dict[str, object]


Ending = Literal["over", "gone", "elsewhere", "yielded", "stopped"]
"""Why a session is let go.

`over`: the chain says that it has ended. `gone`: its accounts are not there, because it was closed or because the
endpoint shows another chain; it is served again if they come back. `elsewhere`: it is not this crank's, or not created
yet. This holds until its hidden state changes, or for a minute, then two, and so on. `yielded`: another process with
the same key writes it. `stopped`: the crank is stopping.
"""


class Release(Command, frozen=True):
    """The session is let go; nothing follows."""

    reason: str
    outcome: Ending
