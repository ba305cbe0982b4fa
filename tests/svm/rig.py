"""An in-process chain (LiteSVM) with all programs deployed, and a session on it, for the tests of the programs."""

from __future__ import annotations

import enum
import hashlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from solders.account import Account
from solders.clock import Clock
from solders.compute_budget import set_compute_unit_limit
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

import awm_crank
from awm_crank.wire import bolt, ids, layouts, programs
from awm_crank.wire.accounts import RECORD_SIZE
from awm_crank.wire.args import FrameArgs, Input, Lifecycle
from awm_crank.wire.contract import START
from awm_crank.wire.layouts import PLAYER_STATE

PROGRAMS = Path(awm_crank.__file__).parent / "localnet" / "programs"
TABLE: dict[str, dict[str, str]] = json.loads((PROGRAMS / "programs.json").read_text())
SOURCES = Path(__file__).resolve().parents[2] / "localnet" / "programs"
ATTACKERS = Path(__file__).resolve().parent / "attackers"
COMPONENTS = (ids.SESSION_STATE, ids.HIDDEN_STATE, ids.INPUT_BUFFER, ids.FRAME_LOG)
INPUT_COMPONENTS = (ids.SESSION_STATE, ids.INPUT_BUFFER)
NOW = 1_700_000_000
SOL = 10**9
LEAF = 65_536


# names and numbers of localnet/programs/include/errors.h; a test compares them with docs and IDLs
_int_enum: Any = enum.IntEnum
Error: Any = _int_enum(
    "Error",
    [
        (n, int(v))
        for n, v in re.findall(
            r"(\w+) = (\d+),", (SOURCES / "include" / "errors.h").read_text().split("enum WorldError")[0]
        )
    ],
)


def load_tool(name: str) -> Any:
    """Loads programs/<name>.py, which is outside the package, as a module."""
    spec = importlib.util.spec_from_file_location(f"awm_programs_{name}", SOURCES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Chain:
    """LiteSVM with the programs, a payer, and sends that report the outcome.

    The environment variable AWM_BOLT_WORLD names a file to deploy as World in place of the stand-in (docs/programs.md).
    """

    def __init__(self) -> None:
        self.svm = LiteSVM().with_mainnet_features().with_blockhash_check(False).with_transaction_history(0)
        for entry in TABLE.values():
            name = next(n for n, e in TABLE.items() if e is entry)
            file = PROGRAMS / f"{name}.so"
            if name == "world":
                file = Path(os.environ.get("AWM_BOLT_WORLD") or file)
            self.svm.add_program_from_file(Pubkey.from_string(entry["program_id"]), file)
        clock = self.svm.get_clock()
        self.svm.set_clock(
            Clock(clock.slot, clock.epoch_start_timestamp, clock.epoch, clock.leader_schedule_epoch, NOW)
        )
        self.payer = self.key(1)
        self.nonce = 0

    def key(self, number: int, lamports: int = 100 * SOL) -> Keypair:
        """A funded key pair; the same number always gives the same key."""
        pair = Keypair.from_seed(hashlib.sha256(b"rig %d" % number).digest())
        if lamports and not self.lamports(pair.pubkey()):
            self.svm.airdrop(pair.pubkey(), lamports)
        return pair

    def send(
        self, *instructions: Instruction, signers: Sequence[Keypair] = (), units: int = 1_400_000
    ) -> TransactionMetadata | FailedTransactionMetadata:
        """Sends one transaction, which the rig's payer pays for. Every transaction's bytes are distinct."""
        self.nonce += 1
        limit = set_compute_unit_limit(units - self.nonce % 1000 if units == 1_400_000 else units)
        message = Message.new_with_blockhash([limit, *instructions], self.payer.pubkey(), self.svm.latest_blockhash())
        pairs = [self.payer, *(s for s in dict.fromkeys(signers) if s != self.payer)]
        transaction = Transaction(pairs, message, self.svm.latest_blockhash())
        assert len(bytes(transaction)) <= 1232, "LiteSVM takes it, a validator does not"
        return self.svm.send_transaction(transaction)

    def ok(self, *instructions: Instruction, signers: Sequence[Keypair] = (), units: int = 1_400_000) -> Any:
        """Sends, expects success, and returns the transaction's metadata."""
        result = self.send(*instructions, signers=signers, units=units)
        assert isinstance(result, TransactionMetadata), (result.err(), result.meta().logs())
        return result

    def refused(self, code: int, *instructions: Instruction, signers: Sequence[Keypair] = ()) -> None:
        """Sends, expects this custom error, and checks that no byte or lamport of any program's accounts changed."""
        before = self.snapshot()
        result = self.send(*instructions, signers=signers)
        assert isinstance(result, FailedTransactionMetadata), "accepted"
        error: Any = result.err()
        assert json.loads(error.to_json()) == [len(instructions), code], (result.err(), result.meta().logs())
        assert self.snapshot() == before

    def snapshot(self) -> dict[str, tuple[int, bytes, str]]:
        """All accounts of all our programs: address -> lamports, data, owner."""
        found: dict[str, tuple[int, bytes, str]] = {}
        for entry in TABLE.values():
            for address, account in self.svm.get_program_accounts(Pubkey.from_string(entry["program_id"])):
                found[str(address)] = (account.lamports, bytes(account.data), str(account.owner))
        return found

    def data(self, key: Pubkey) -> bytes:
        """An account's bytes; empty where there is no account."""
        account = self.svm.get_account(key)
        return bytes(account.data) if account else b""

    def lamports(self, key: Pubkey) -> int:
        """An account's lamports."""
        return int(self.svm.get_balance(key) or 0)

    def put(self, key: Pubkey, data: bytes, owner: Pubkey, lamports: int = SOL) -> None:
        """Places an account on the chain unchecked."""
        self.svm.set_account(key, Account(lamports, data, owner))

    def warp(self, seconds: int) -> None:
        """Moves the clock forward."""
        clock = self.svm.get_clock()
        now = clock.unix_timestamp + seconds
        self.svm.set_clock(
            Clock(clock.slot, clock.epoch_start_timestamp, clock.epoch, clock.leader_schedule_epoch, now)
        )

    def publish(self, model: Pubkey, cartridge_hash: bytes, extra_size: int = 0) -> None:
        """Puts a ready manifest of that cartridge at the address `model`."""
        layout = layouts.MODEL_MANIFEST
        data = bytearray(layout.discriminator + bytes(layout.size - 8))
        extra = bytes((extra_size,))
        for name, value in (("ready", b"\1"), ("cartridge_hash", cartridge_hash), ("extra_size", extra)):
            data[layout.offset(name) : layout.offset(name) + len(value)] = value
        self.put(model, bytes(data), ids.MODEL_MANIFEST)

    def new_world(self, *, guarded: bool = False) -> Pubkey:
        """Makes a new world, and the registry where it is missing.

        Args:
            guarded: as publishing makes it: the payer is its authority, and only our systems are approved.
        """
        registry = bolt.registry_pda()
        if not self.data(registry):
            self.ok(bolt.initialize_registry(self.payer.pubkey()))
        number = int.from_bytes(self.data(registry)[8:16], "little")
        payer, world = self.payer.pubkey(), bolt.world_pda(number)
        self.ok(bolt.initialize_new_world(payer, number))
        if guarded:
            approvals = [bolt.approve_system(payer, world, system) for system in ids.SYSTEMS.values()]
            self.ok(bolt.add_authority(payer, payer, number), *approvals)
        return world

    def new_entity(self, world: Pubkey, extra_seed: bytes | None = None) -> Pubkey:
        """Makes a new entity of the world."""
        data = self.data(world)
        number, entities = (int.from_bytes(data[at : at + 8], "little") for at in (8, 16))
        entity = bolt.entity_pda(number, 0 if extra_seed else entities, extra_seed)
        self.ok(bolt.add_entity(self.payer.pubkey(), world, entity, extra_seed))
        return entity


def players(**fields: int) -> bytes:
    """Two PlayerStates in a start-like position (64 bytes); `p0_…`/`p1_…` replace fields."""
    out = b""
    for index in range(2):
        values = dict.fromkeys(PLAYER_STATE.names, 0) | START[index]
        values |= {k[3:]: v for k, v in fields.items() if k.startswith(f"p{index}_")}
        out += PLAYER_STATE.body.pack(*values.values())
    return out


NEUTRAL = bytes(8)
MODEL = Pubkey.from_bytes(hashlib.sha256(b"model").digest())
CARTRIDGE = hashlib.sha256(b"cartridge").digest()
CHALLENGE_S = 300


@dataclass
class Session:
    """A session with two players and a writer. The test brings it to the state that it needs."""

    chain: Chain
    world: Pubkey
    entity: Pubkey
    player1: Keypair
    player2: Keypair
    writer: Keypair
    epoch: int = 0
    chain_hashes: list[bytes] = field(default_factory=list)

    @classmethod
    def new(
        cls, chain: Chain, number: int = 0, *, writer: bool = True, create: bool = True, guarded: bool = True
    ) -> Session:
        """Makes entity and components in a world of its own, and sends CREATE with the writer (or none)."""
        world = chain.new_world(guarded=guarded)
        entity = chain.new_entity(world)
        player1, player2, crank = (chain.key(10 + 10 * number + i) for i in range(3))
        self = cls(chain, world, entity, player1, player2, crank)
        for program in COMPONENTS:
            chain.ok(bolt.initialize_component(self.p1, entity, program), signers=[self.player1])
        if create:
            chain.ok(self.lifecycle(0, self.player1, writer=self.w if writer else ids.ZERO_KEY), signers=[self.player1])
        return self

    @classmethod
    def active(
        cls, chain: Chain, number: int = 0, *, capacity: int = 256, max_frames: int = 0, guarded: bool = True
    ) -> Session:
        """A session that is created, joined and claimed, with its ring and cartridge."""
        self = cls.new(chain, number, create=False, guarded=guarded)
        chain.ok(self.lifecycle(0, self.player1, writer=self.w, max_frames=max_frames), signers=[self.player1])
        chain.ok(self.lifecycle(1, self.player2, character=2), signers=[self.player2])
        if capacity:
            self.grow_ring(capacity)
        self.claim()
        self.pin()
        return self

    @property
    def p1(self) -> Pubkey:
        return self.player1.pubkey()

    @property
    def p2(self) -> Pubkey:
        return self.player2.pubkey()

    @property
    def w(self) -> Pubkey:
        return self.writer.pubkey()

    def at(self, program: Pubkey) -> Pubkey:
        """The address of the session's component of that program."""
        return bolt.component_pda(program, self.entity)

    def data(self, program: Pubkey) -> bytes:
        """The bytes of that component."""
        return self.chain.data(self.at(program))

    def frame(self) -> int:
        """SessionState.frame."""
        return int.from_bytes(self.data(ids.SESSION_STATE)[9:13], "little")

    def status(self) -> int:
        """SessionState.status."""
        return self.data(ids.SESSION_STATE)[8]

    def chain_hash(self) -> bytes:
        """HiddenState.chain_hash."""
        return self.data(ids.HIDDEN_STATE)[90:122]

    def lifecycle(self, action: int, player: Keypair, **fields: Any) -> Instruction:
        """A session-lifecycle instruction by `player`, with binary args."""
        values: dict[str, Any] = {
            "stage": 32,
            "model": MODEL,
            "seed": 7,
            "d_inner": 256,
            "d_state": 16,
            "num_layers": 2,
        }
        args = Lifecycle(action, player.pubkey(), **(values | {"character": 1} | fields)).to_binary()
        return self.apply(ids.SESSION_LIFECYCLE, player, COMPONENTS, args)

    def apply(self, system: Pubkey, signer: Keypair, components: Sequence[Pubkey], args: bytes) -> Instruction:
        """A World apply over this session's components."""
        return bolt.apply_entity(system, signer.pubkey(), self.world, self.entity, components, args)

    def input(self, player: Keypair, data: bytes, frame: int = 0) -> Instruction:
        """A submit-input instruction by `player`, with binary args."""
        args = Input(player.pubkey(), data, frame).to_binary()
        return self.apply(ids.SUBMIT_INPUT, player, INPUT_COMPONENTS, args)

    def submit(self, player: Keypair, data: bytes, frame: int = 0) -> Any:
        """Sends a player's input."""
        return self.chain.ok(self.input(player, data, frame), signers=[player])

    def expected_inputs(self) -> tuple[bytes, bytes]:
        """The inputs (16) and sources (2) that the buffer demands, with `hold`."""
        data = self.data(ids.INPUT_BUFFER)
        return data[12:28], bytes(0 if ready else 1 for ready in data[28:30])

    def inference(self, **fields: Any) -> Instruction:
        """A run-inference instruction for the next frame; keyword arguments replace the correct fields."""
        inputs, sources = self.expected_inputs()
        values: dict[str, Any] = {"frame": self.frame() + 1, "epoch": self.epoch, "inputs": inputs, "sources": sources}
        values |= {"players": players(p0_character=1, p1_character=2), "feedback": bytes(16)}
        values |= {"extra": self.no_extra()} | fields
        signer = values.pop("signer", self.writer)
        return self.apply(ids.RUN_INFERENCE, signer, COMPONENTS, FrameArgs(**values).to_binary())

    def step(self, **fields: Any) -> Any:
        """Sends one frame, and returns the transaction's metadata."""
        result = self.chain.ok(self.inference(**fields), signers=[self.writer])
        self.chain_hashes.append(self.chain_hash())
        return result

    def claim(self) -> None:
        """Claims the writer's next epoch."""
        self.chain.ok(programs.claim(self.w, self.entity, self.epoch), signers=[self.writer])
        self.epoch += 1

    def pin(self) -> None:
        """Pins the cartridge that the match plays, and makes its manifest where it is missing."""
        if not self.chain.data(MODEL):
            self.chain.publish(MODEL, CARTRIDGE)
        self.chain.ok(programs.pin_cartridge(self.w, self.entity, MODEL), signers=[self.writer])

    def grow_ring(self, capacity: int) -> None:
        """Grows the ring to its full size."""
        for _ in range(-(-capacity * RECORD_SIZE // 10_240)):
            self.chain.ok(programs.ring_grow(self.w, self.entity, capacity), signers=[self.writer])

    def create_checkpoint(self, side: int, size: int) -> Pubkey:
        """Makes a checkpoint account of full size."""
        self.chain.ok(programs.checkpoint_create(self.w, self.entity, side, size), signers=[self.writer])
        for _ in range(-(-(layouts.CHECKPOINT.size + size) // 10_240) - 1):
            self.chain.ok(programs.checkpoint_grow(self.w, self.entity, side), signers=[self.writer])
        return programs.checkpoint_pda(self.entity, side)

    def settle(self) -> None:
        """Ends the match by player 1, and lets its challenge time pass."""
        self.chain.ok(self.lifecycle(2, self.player1), signers=[self.player1])
        self.chain.warp(CHALLENGE_S)

    def header(self) -> tuple[int, bytes, bytes, bytes, bytes]:
        """frame, inputs, players, feedback and chain hash of the current frame, as a checkpoint names them."""
        state, hidden, log = (self.data(p) for p in (ids.SESSION_STATE, ids.HIDDEN_STATE, ids.FRAME_LOG))
        frame, capacity = self.frame(), int.from_bytes(log[78:80], "little")
        record = (
            log[layouts.FRAME_LOG.size + (frame - 1) % capacity * RECORD_SIZE :]
            if frame and capacity
            else bytes(RECORD_SIZE)
        )
        return frame, record[4:20], state[82:146], hidden[122:138], hidden[90:122]

    def no_extra(self) -> bytes:
        """Extra feedback of the match's size, all zero."""
        return bytes(2 * (self.data(ids.HIDDEN_STATE)[layouts.HIDDEN_STATE.offset("holds")] >> 4))

    def begin(self, side: int, header: tuple[int, bytes, bytes, bytes, bytes]) -> Instruction:
        """A checkpoint_begin instruction."""
        return programs.checkpoint_begin(self.w, self.entity, side, *header, self.no_extra())

    def write_checkpoint(self, side: int, header: tuple[int, bytes, bytes, bytes, bytes], data: bytes) -> bytes:
        """Begins a checkpoint, writes all chunks, and returns the hash to finalize with."""
        self.chain.ok(self.begin(side, header), signers=[self.writer])
        for at in range(0, len(data), 800):
            chunk = programs.checkpoint_write(self.w, self.entity, side, at, data[at : at + 800])
            self.chain.ok(chunk, signers=[self.writer])
        frame, *rest = header
        return hashlib.sha256(frame.to_bytes(4, "little") + b"".join(rest) + bytes(4) + data + self.no_extra()).digest()

    def finalize(self, side: int, digest: bytes) -> Instruction:
        """A checkpoint_finalize instruction."""
        return programs.checkpoint_finalize(self.w, self.entity, side, digest)

    def checkpoint(self, side: int, data: bytes) -> bytes:
        """Makes a finalized checkpoint of the current frame, and returns its hash."""
        digest = self.write_checkpoint(side, self.header(), data)
        self.chain.ok(self.finalize(side, digest), signers=[self.writer])
        return digest
