"""The commands that a session machine returns. They are its whole output: timers are commands, too."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from ..engine.api import Engine, State
from ..engine.position import Position
from ..wire import ids
from .events import Role
from .settings import Payer

Level = Literal["debug", "info", "warning", "error"]
Point = Literal["bind", "claim", "pin", "setup", "checkpoint-begin", "checkpoint-chunk", "checkpoint-finalize"]


class Command(Struct, frozen=True):
    """Base class of all commands."""


class Watch(Command, frozen=True):
    """Subscribe to the session's accounts, and answer `Watching` when the endpoint has confirmed every subscription.

    The crank already subscribes to the hidden states of all sessions together. If `every_change` and `distrust` are
    both false, the command only ends one subscription, and nothing is answered.

    Args:
        every_change: report every change of the session's account. Otherwise only its end is reported, because each
            input writes to that account, as BOLT does.
        distrust: notifications were lost, so the subscription to hidden states is replaced, too.
    """

    every_change: bool
    distrust: bool = False


class Fetch(Command, frozen=True):
    """Read these accounts, all at the same slot. Answer `Fetched` or `FetchFailed`."""

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
    """Call `engine.backbone(state, block)`; answer `Computed`. Sessions that are `live` run before those that
    catch up.
    """

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
    extra: bytes = b""


class Transaction(Struct, frozen=True):
    """The instructions of one transaction. `point` names its purpose, for crash tests and logs.

    Without `preflight`, the endpoint answers before it runs the transaction, so the machine never learns of a refusal.
    """

    ticket: int
    point: Point
    instructions: tuple[Instruction, ...]
    preflight: bool = True


class Send(Command, frozen=True):
    """Sign these transactions and send them as one batch. Answer `Sent` for each of them."""

    transactions: tuple[Transaction, ...]


class Save(Command, frozen=True):
    """Save this checkpoint where it survives the loss of the chain's accounts. It replaces the one saved before."""

    position: Position
    state: bytes


class Recall(Command, frozen=True):
    """The chain has lost accounts that the session needs to continue. Answer `Recalled` with the last saved
    checkpoint.
    """


class WakeAt(Command, frozen=True):
    """Send `Wake` at this time (in ns); it replaces the time of the last `WakeAt`. None means never."""

    when: int | None


class Landed(Command, frozen=True):
    """A frame landed. This is the only description of it, used by statistics, the log, metrics and observers.

    All times are in nanoseconds.

    `tick_due`: when the frame's tick was due.
    `wanted_at`: when the tick was due or the frame's last input was seen, whichever was later.
    `ready_at`: when everything else was ready, too, that is, when the backbone had consumed the frame before.
    `sent_at`: when the frame was handed over for signing.
    `known_at`: the first sign that the frame landed: the endpoint's answer or the account's change.
    `landed_at`: when the account's change arrived.
    `on_time`: whether the account changed within one period after the tick.

    `block` is the frame's block, `before` is the previous frame's block, and `chain_hash` has 32 bytes.
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
    """What the session's accounts cost the crank in rent. If they exist already (`held`), this only informs the crank;
    otherwise answer `Granted`.

    `payer`: who pays for the frames. `going_on`: the match runs, and asks for further frames at the crank's expense
    rather than for accounts.
    """

    lamports: int
    held: bool
    payer: Payer = "operator"
    players: tuple[Pubkey, Pubkey] = (ids.ZERO_KEY, ids.ZERO_KEY)
    going_on: bool = False


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
    """Stop serving the session. No command follows."""

    reason: str
    outcome: Ending
