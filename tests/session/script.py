"""A fake engine, a fake chain, and scripts that drive the machine: no network, no sleep, no clock.

script = Script(machine, chain)
script >> event << CommandKind        # sends the event, then expects a command of that kind
script.run()                          # lets the fake chain answer until no command is left
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeVar

import msgspec
from solders.pubkey import Pubkey

from awm_crank.config import Config
from awm_crank.daemon.session import machine_settings
from awm_crank.engine.position import Position
from awm_crank.errors import AwmError
from awm_crank.session import commands, events
from awm_crank.session.commands import Command
from awm_crank.session.events import Refusal, Role
from awm_crank.session.machine import SessionMachine
from awm_crank.session.settings import Settings
from awm_crank.wire import frame_records as chainhash
from awm_crank.wire import ids, layouts
from awm_crank.wire.accounts import (
    ACTIVE,
    ENDED,
    RECORD_SIZE,
    WAITING_PLAYERS,
    Checkpoint,
    FrameLog,
    HiddenState,
    InputBuffer,
    LogPayments,
    SessionState,
)
from awm_crank.wire.bolt import component_pda
from awm_crank.wire.failures import Code
from awm_crank.wire.start import start_players

MS = 1_000_000
PERIOD = 16_666_666
ME = Pubkey.from_bytes(bytes([7] * 32))
OTHER = Pubkey.from_bytes(bytes([8] * 32))
MODEL = Pubkey.from_bytes(bytes([9] * 32))
ENTITY = Pubkey.from_bytes(bytes([10] * 32))
STATE_SIZE = 2000
CARTRIDGE = bytes([11] * 32)
C = TypeVar("C", bound=Command)


class FakeEngine:
    """An engine whose state is 32 bytes: a hash over all consumed blocks.

    Context, block and inputs determine each frame.
    """

    def __init__(self, state_size: int = STATE_SIZE, ko_at: int = 0, extra_size: int = 0) -> None:
        self.state_size = state_size
        self.extra_size = extra_size
        self.ko_at = ko_at
        self.steps = 0

    def start_state(self, block: bytes) -> bytearray:
        return bytearray(sha256(b"start" + block).digest())

    def backbone(self, state: bytearray, block: bytes) -> bytes:
        self.steps += 1
        state[:] = sha256(bytes(state) + block).digest()
        return bytes(state)

    def heads(self, ctx: bytes, block: bytes, inputs: bytes) -> bytes:
        digest = sha256(ctx + block + inputs).digest()
        out = bytearray(block)
        for player in (0, 32):
            # x moves and hitlag counts frames; every other field stays in its range
            out[player] = digest[player // 32]
            out[player + 24] = (block[player + 24] + 1) % 200
            if self.ko_at and out[player + 24] >= self.ko_at:
                out[player + 25] = 0
        out[64:80] = digest[:16]
        out[80:96] = inputs
        assert len(block) == 97 + 2 * self.extra_size
        out[97:] = sha256(b"extra" + digest).digest()[: 2 * self.extra_size]
        return bytes(out)

    def dump(self, state: bytearray) -> bytes:
        return (bytes(state) * (self.state_size // 32 + 1))[: self.state_size]

    def load(self, data: bytes) -> bytearray:
        return bytearray(data[:32])

    def copy(self, state: bytearray) -> bytearray:
        return bytearray(state)


@dataclass
class FakeChain:
    """A fake chain with the six accounts of a session, which change as docs/formats.md says.

    It refuses only those transactions whose refusal the crank depends on.
    """

    writer: Pubkey = ME
    status: int = WAITING_PLAYERS
    max_frames: int = 0
    extra_size: int = 0
    """What the manifest says; `pin_cartridge` writes it into the hidden state."""
    accounts: dict[Role, bytes | None] = field(default_factory=dict)
    refuse: dict[str, deque[int | None]] = field(default_factory=dict)
    """Maps each point to the refusals to give in its place.

    None: no answer, although the transaction lands. -1: a 503.
    """
    log_of: list[str] = field(default_factory=list)
    deposit_lamports: int = 0
    """What the deposit's account holds."""
    done: list[str] = field(default_factory=list)
    """The names of the direct instructions that arrived."""

    def __post_init__(self) -> None:
        zero = ids.ZERO_KEY
        session = SessionState(
            WAITING_PLAYERS, 0, self.max_frames, OTHER, zero, 32, start_players(1, 2), MODEL, 0, 0, 5, ENTITY, OTHER,
            zero, 0, 300, ids.WORLD,
        )  # fmt: skip
        hidden = HiddenState(
            2, 64, 8, 0, 0, False, ENTITY, self.writer, 0, bytes(32), bytes(16), 0, bytes(32), 0, OTHER,
            bytes(32), 0, ids.WORLD,
        )  # fmt: skip
        inputs = InputBuffer(
            0, bytes(8), bytes(8), False, False, ENTITY, bytes(8), bytes(8), False, False, OTHER, ids.WORLD
        )
        log = FrameLog(0, 0, zero, ENTITY, 0, ids.WORLD, b"", LogPayments(OTHER, zero, 0).encode())
        self.accounts = {
            "session": session.encode(), "hidden": hidden.encode(), "inputs": inputs.encode(), "log": log.encode(),
            "checkpoint_a": None, "checkpoint_b": None, "deposit": None,
        }  # fmt: skip
        if self.status == ACTIVE:
            self.join()

    # typed views of the accounts
    @property
    def session(self) -> SessionState:
        return SessionState.decode(self.accounts["session"] or b"")

    @property
    def hidden(self) -> HiddenState:
        return HiddenState.decode(self.accounts["hidden"] or b"")

    @property
    def inputs(self) -> InputBuffer:
        return InputBuffer.decode(self.accounts["inputs"] or b"")

    @property
    def log(self) -> FrameLog:
        return FrameLog.decode(self.accounts["log"] or b"")

    def checkpoint(self, side: int) -> Checkpoint:
        return Checkpoint.decode(self.accounts[_side(side)] or b"")

    def put(self, role: Role, **changes: Any) -> None:
        view: Any = {
            "session": SessionState, "hidden": HiddenState, "inputs": InputBuffer, "log": FrameLog,
            "checkpoint_a": Checkpoint, "checkpoint_b": Checkpoint,
        }[role]  # fmt: skip
        account = msgspec.structs.replace(view.decode(self.accounts[role]), **changes)
        self.accounts[role] = account.encode()

    # the players' side
    def join(self) -> None:
        session = self.session
        key = component_pda(ids.SESSION_STATE, ENTITY)
        genesis = chainhash.genesis(
            key, MODEL, 32, 5, session.max_frames, start_players(1, 2), self.hidden.cartridge_hash
        )
        self.put("session", status=ACTIVE, player2=ME)
        self.put("hidden", chain_hash=genesis)
        self.put("inputs", frame=1)

    def end(self) -> None:
        self.put("session", status=ENDED)

    def press(self, player: int, value: int) -> None:
        """Sends a player's input for the coming frame, or for the one after it when the coming frame already
        has one.
        """
        buffer, name = self.inputs, f"player{player}"
        if getattr(buffer, f"p{player}_ready"):
            self.put("inputs", **{f"next_{name}": bytes([value] * 8), f"next_p{player}_ready": True})
        else:
            self.put("inputs", **{name: bytes([value] * 8), f"p{player}_ready": True})

    # run-inference
    def frame(self, args: commands.SendFrame) -> tuple[Refusal | None, list[Role]]:
        code = self._frame_refusal(args)
        if code is not None:
            return refusal(code), []
        session, hidden, buffer, log = self.session, self.hidden, self.inputs, self.log
        chain_hash = chainhash.advance(
            hidden.chain_hash, args.frame, args.inputs, args.sources, args.players, args.feedback, args.extra
        )
        over = 0 in (args.players[25], args.players[57]) or 0 < session.max_frames <= args.frame
        self.put("session", frame=args.frame, players=args.players, status=ENDED if over else ACTIVE)
        self.put("hidden", frame=args.frame, feedback=args.feedback, chain_hash=chain_hash)
        self.put(
            "inputs", frame=args.frame + 1,
            player1=buffer.next_player1 if buffer.next_p1_ready else buffer.player1, p1_ready=buffer.next_p1_ready,
            player2=buffer.next_player2 if buffer.next_p2_ready else buffer.player2, p2_ready=buffer.next_p2_ready,
            next_player1=bytes(8), next_player2=bytes(8), next_p1_ready=False, next_p2_ready=False,
        )  # fmt: skip
        record = chainhash.record(args.frame, args.inputs, args.sources, 32, args.players, chain_hash, args.extra)
        at = (args.frame - 1) % log.capacity * len(record)
        ring = log.ring[:at] + record + log.ring[at + len(record) :]
        self.put("log", total_frames=args.frame, write_index=args.frame % log.capacity, ring=ring)
        return None, ["hidden", "session", "inputs", "log"]

    def _frame_refusal(self, args: commands.SendFrame) -> int | None:
        if planned := self.refuse.get("frame"):
            return planned.popleft()
        session, hidden, buffer, log = self.session, self.hidden, self.inputs, self.log
        if session.status != ACTIVE:
            return Code.NOT_ACTIVE
        if hidden.writer != ME:
            return Code.WRITER_MISMATCH
        if args.epoch != hidden.epoch:
            return Code.EPOCH_MISMATCH
        if args.frame != session.frame + 1:
            return Code.FRAME_MISMATCH
        if len(args.extra) != 2 * hidden.extra_size:
            return Code.INVALID_ARGUMENTS
        if not log.capacity or log.record_size != RECORD_SIZE + len(args.extra):
            return Code.RING_MISSING
        if args.frame - (hidden.checkpoint_frame if hidden.initialized else 0) > log.capacity:
            return Code.RING_FULL
        for n, (own, ready) in enumerate(((buffer.player1, buffer.p1_ready), (buffer.player2, buffer.p2_ready))):
            given, source = args.inputs[8 * n : 8 * n + 8], args.sources[n]
            if (ready and (source, given) != (0, own)) or (
                not ready and (source, given) not in ((1, own), (2, bytes(8)))
            ):
                return Code.INPUT_MISMATCH
        return None

    # direct instructions
    def do(self, transaction: commands.Transaction) -> tuple[Refusal | None, list[Role]]:
        self.log_of.append(transaction.point)
        changed: list[Role] = []
        before = dict(self.accounts)
        for instruction in transaction.instructions:
            code = self._instruction(bytes(instruction.data), changed)
            if code is not None:
                self.accounts = before
                return refusal(code), []
        return None, changed

    def _instruction(self, data: bytes, changed: list[Role]) -> int | None:
        self.done.append(INSTRUCTIONS[data[:8]])
        name = INSTRUCTIONS[data[:8]].removesuffix("_ephemeral").removesuffix("_deposited")
        args = data[8:]
        hidden = self.hidden
        if name == "bind_writer":
            if hidden.writer != ids.ZERO_KEY:
                return Code.WRITER_ALREADY_BOUND
            self.put("hidden", writer=ME)
            changed.append("hidden")
            return None
        if hidden.writer != ME:
            return Code.WRITER_MISMATCH
        if name == "claim":
            if int.from_bytes(args, "little") != hidden.epoch:
                return Code.EPOCH_MISMATCH
            self.put("hidden", epoch=hidden.epoch + 1)
            changed.append("hidden")
        elif name == "ring_fund":
            pass
        elif name == "pin_cartridge":
            self.put("hidden", cartridge_hash=CARTRIDGE, holds=hidden.held | self.extra_size << 4)
            if self.session.status == ACTIVE:
                # the hash that JOIN wrote, which names no cartridge, is the chain's previous hash
                self.put("hidden", chain_hash=sha256(b"awm:genesis:v2" + hidden.chain_hash + CARTRIDGE).digest())
            changed.append("hidden")
        elif name == "ring_grow":
            log, capacity = self.accounts["log"] or b"", int.from_bytes(args, "little")
            if self.log_capacity():
                return Code.ALREADY_CREATED
            target = layouts.FRAME_LOG_BYTES + (RECORD_SIZE + 2 * hidden.extra_size) * capacity
            payments = log[-layouts.LOG_PAYMENTS.size :]
            data = log[: -len(payments)] + bytes(min(10_240, target - len(log))) + payments
            if len(data) == target:
                at = layouts.FRAME_LOG.offset("capacity")
                data = data[:at] + capacity.to_bytes(2, "little") + data[at + 2 :]
            self.accounts["log"] = data
        elif name == "checkpoint_create":
            size = int.from_bytes(args[1:], "little")
            payer = OTHER if self.done[-1].endswith("_deposited") else ME
            head = Checkpoint(
                ENTITY, args[0], False, 0, size, bytes(32), payer, 0, bytes(16), bytes(64), bytes(16), bytes(32), 0, b""
            ).encode()
            self.accounts[_side(args[0])] = head + bytes(min(size + 2 * hidden.extra_size, 10_240 - len(head)))
            self.put("hidden", data_size=size)
        elif name == "checkpoint_grow":
            account = self.accounts[_side(args[0])] or b""
            size = layouts.CHECKPOINT.size + self.hidden.data_size + 2 * hidden.extra_size
            self.accounts[_side(args[0])] = account + bytes(min(10_240, size - len(account)))
        else:
            return self._checkpoint(name, args, changed)
        return None

    def log_capacity(self) -> int:
        return FrameLog.decode_head(self.accounts["log"] or b"").capacity

    def _checkpoint(self, name: str, args: bytes, changed: list[Role]) -> int | None:
        hidden, side = self.hidden, args[0]
        account = self.accounts[_side(side)] or b""
        head = layouts.CHECKPOINT.size
        if len(account) < head:
            return Code.INVALID_ACCOUNT
        if name == "checkpoint_begin":
            extra = 2 * hidden.extra_size
            if hidden.initialized and hidden.checkpoint_side == side:
                return Code.CHECKPOINT_ACTIVE
            if len(args) != 133 + extra:
                return Code.INVALID_ARGUMENTS
            self.put(
                _side(side), finalized=False, frame=int.from_bytes(args[1:5], "little"), inputs=args[5:21],
                players=args[21:85], feedback=args[85:101], chain_hash=args[101:133],
                state=self.checkpoint(side).recurrent + args[133:],
            )  # fmt: skip
        elif name == "checkpoint_write":
            if account[41]:
                return Code.CHECKPOINT_FINALIZED
            at, data = int.from_bytes(args[1:5], "little"), args[9:]
            self.accounts[_side(side)] = account[: head + at] + data + account[head + at + len(data) :]
        elif name == "checkpoint_finalize":
            checkpoint = self.checkpoint(side)
            if sha256(checkpoint.hashed).digest() != args[1:]:
                return Code.HASH_MISMATCH
            self.put(_side(side), finalized=True, data_hash=args[1:])
            self.put(
                "hidden", initialized=True, checkpoint_side=side, checkpoint_frame=checkpoint.frame,
                checkpoint_hash=args[1:],
            )  # fmt: skip
            changed.append("hidden")
        else:
            raise AssertionError(name)
        return None


def _side(side: int) -> Role:
    return "checkpoint_b" if side else "checkpoint_a"


def _discriminators() -> dict[bytes, str]:
    from awm_crank.wire.idl import load

    return {
        definition.discriminator: name
        for program in ("hidden_state", "frame_log")
        for name, definition in load(program).instructions.items()
    }


INSTRUCTIONS = _discriminators()


def refusal(code: int | None) -> Refusal:
    """A program's refusal. For None: an answer that does not say what became of the transaction."""
    return Refusal(f"refused: {code}", code)


class Script:
    """Drives a machine by hand (`>>` sends an event, `<<` expects a command) or against a fake chain (`run`)."""

    def __init__(self, machine: SessionMachine, chain: FakeChain, engine: FakeEngine | None = None) -> None:
        self.machine, self.chain, self.engine = machine, chain, engine or FakeEngine()
        self.now = 1_000 * MS
        self.wake: int | None = None
        self.commands: list[Command] = []
        """The commands that the last event caused."""
        self.todo: deque[Command] = deque()
        self.spent: list[commands.Spend] = []
        self.rent_refusal = ""
        """The reason that refuses a request for rent; empty to grant it."""
        self.going_on_refusal = ""
        """The reason that refuses further frames at the crank's expense; empty to grant them."""
        self.model_error: AwmError | None = None
        """Why the model cannot be loaded."""
        self.read_error: AwmError | None = None
        """Why accounts cannot be read."""
        self.lose: dict[Role, int] = {}
        """How many notifications of an account are lost."""
        self.damage: dict[Role, deque[bytes | None]] = {}
        """What the next reads of an account return, one after the other, instead of its data."""
        self.reads = 0
        self.saved: tuple[Position, bytes] | None = None
        """What the journal holds."""
        self.asked: list[Command] = []
        """All commands so far, except timers, logs and landings."""
        self.refusal_cause: events.Cause = "refused"
        self.answer_frames = True
        """Whether the endpoint answers frames that it takes."""
        self.answer: Refusal | None = None
        """What the endpoint answers to frames that it drops."""
        self.logs: list[commands.LogLine] = []
        self.landed: list[commands.Landed] = []
        self.released: commands.Release | None = None
        self.mute = False
        """Whether notifications are lost."""
        self.watched = False
        """Whether every change of the session's account is notified, and not only its end."""
        self.drop_frames = 0
        """How many of the next frames never reach the chain."""
        self.drop_answers = 0
        """How many of the next frames reach the chain without an answer or a notification."""
        self.frames: list[commands.SendFrame] = []
        self.sent: list[commands.Send] = []

    def __rshift__(self, event: events.Event) -> Script:
        self.commands = self.machine.handle(event, self.now)
        for command in self.commands:
            if isinstance(command, commands.WakeAt):
                self.wake = command.when
            elif isinstance(command, commands.LogLine):
                self.logs.append(command)
            elif isinstance(command, commands.Landed):
                self.landed.append(command)
            elif isinstance(command, commands.Release):
                self.released = command
            else:
                self.todo.append(command)
                self.asked.append(command)
        return self

    def __lshift__(self, kind: type[C]) -> C:
        for command in self.commands:
            if isinstance(command, kind):
                return command
        raise AssertionError(f"no {kind.__name__} among {self.commands}")

    def said(self, event: str) -> list[commands.LogLine]:
        return [log for log in self.logs if log.event == event]

    def notify(self, *roles: Role) -> None:
        if not self.mute:
            for role in roles:
                if self.lose.get(role):
                    self.lose[role] -= 1
                elif role != "session" or self.watched or self.chain.session.status == ENDED:
                    _ = self >> events.Changed(role, self.chain.accounts[role] or b"")

    def press(self, *values: int) -> None:
        """Sends both players' inputs (or player 1's only) for the coming frame, and notifies the machine."""
        for player, value in enumerate(values, 1):
            self.chain.press(player, value)
            self.notify("inputs")

    def run(self, until: Callable[[Script], bool] | None = None) -> Script:
        """Answers the commands one after the other, without advancing the clock."""
        for _ in range(20_000):
            if not self.todo or (until is not None and until(self)):
                return self
            self._answer(self.todo.popleft())
        raise AssertionError("no end")

    def _answer(self, command: Command) -> None:
        match command:
            case commands.Fetch():
                self.reads += 1
                if self.read_error is not None:
                    _ = self >> events.FetchFailed(self.read_error)
                else:
                    read = {role: self._read(role) for role in command.roles}
                    _ = self >> events.Fetched(read, self.chain.deposit_lamports)
            case commands.Watch():
                self.watched = command.every_change
                if command.every_change or command.distrust:
                    _ = self >> events.Watching()
            case commands.Spend():
                self.spent.append(command)
                if not command.held:
                    answer = events.Granted(self.rent_refusal)
                    if command.going_on:
                        answer = events.Granted(self.going_on_refusal, "budget")
                    _ = self >> answer
            case commands.LoadModel():
                if self.model_error is not None:
                    _ = self >> events.ModelFailed(self.model_error)
                else:
                    _ = self >> events.ModelLoaded(self.engine, CARTRIDGE)
            case commands.Save():
                self.saved = command.position, command.state
            case commands.Recall():
                _ = self >> events.Recalled(self.saved)
            case commands.WarmUp():
                _ = self >> events.WarmedUp(command.serial, self.engine.start_state(command.block))
            case commands.RunBackbone():
                _ = self >> events.Computed(command.serial, self.engine.backbone(command.state, command.block))
            case commands.Send():
                self.sent.append(command)
                for transaction in command.transactions:
                    self._do(transaction)
            case commands.SendFrame():
                self._frame(command)
            case _:
                raise AssertionError(command)

    def _read(self, role: Role) -> bytes | None:
        wrong = self.damage.get(role)
        return wrong.popleft() if wrong else self.chain.accounts[role]

    def _do(self, transaction: commands.Transaction) -> None:
        planned = self.chain.refuse.get(transaction.point)
        if planned:
            code = planned.popleft()
            if code == -1:
                _ = self >> events.Sent(transaction.ticket, Refusal("HTTP 503", None, "endpoint"))
                return
            if code is None:
                _, changed = self.chain.do(transaction)
                self.notify(*changed)
            # without preflight the machine hears only of an endpoint that does not answer
            told = code is None or transaction.preflight
            _ = self >> events.Sent(transaction.ticket, refusal(code) if told else None)
            return
        refused, changed = self.chain.do(transaction)
        _ = self >> events.Sent(transaction.ticket, refused if transaction.preflight else None)
        self.notify(*changed)

    def _frame(self, command: commands.SendFrame) -> None:
        self.frames.append(command)
        if self.drop_frames:
            self.drop_frames -= 1
            if self.answer is not None:
                _ = self >> events.Sent(command.ticket, self.answer)
            return
        refused, changed = self.chain.frame(command)
        if self.drop_answers:
            self.drop_answers -= 1
            return
        if self.answer_frames:
            if refused is not None:
                refused = Refusal(refused.text, refused.code, self.refusal_cause)
            _ = self >> events.Sent(command.ticket, refused)
        self.notify(*[role for role in changed if role != "log"])

    def sleep(self, nanoseconds: int) -> Script:
        """Lets time pass: wake-ups come when they are due, and every command is answered."""
        end = self.now + nanoseconds
        self.run()
        while self.wake is not None and self.wake <= end:
            self.now = max(self.now, self.wake)
            self.wake = None
            _ = self >> events.Wake()
            self.run()
        self.now = end
        return self

    def play(self, frames: int, *values: int) -> Script:
        """Plays for this many periods. Both players send each frame's input right after the frame before it."""
        for n in range(frames):
            self.press(*(values or (n % 100 + 1, n % 90 + 2)))
            self.sleep(PERIOD + 1)
        return self


def settings(**changes: Any) -> Settings:
    """Settings with frequent checkpoints, a small ring, and the `wait` rule for inputs."""
    values = {"late_policy": "wait", "min_interval_frames": 40, "ring_capacity": 256, "chunk_bytes": 500}
    return msgspec.structs.replace(machine_settings(Config(), ME), **{**values, **changes})


def begin(chain: FakeChain, engine: FakeEngine | None = None, now: int = 1_000 * MS, **changes: Any) -> Script:
    """Starts a session, and answers every command until the machine waits."""
    script = Script(SessionMachine(ENTITY, settings(**changes)), chain, engine)
    script.now = now
    return (script >> events.Begin()).run()
