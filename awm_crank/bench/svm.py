"""What a frame costs on chain, in compute units: the plain kernel as a program, and the engine program.

- plain: `engine/data/kernel.so`, the kernel as every host runs it, built from engine/native/sbf_main.c by
  tools/build_kernel_program.py. Its image is the host's.
- packed: the engine program (localnet/programs/engine/), with two rows in a multiply and everything else made for this
  machine. Its image is made on chain; a frame takes one or more transactions of 1.4 M units.
- with `sol_matmul_i8`: a figure by its price, 100 units a call and one a multiply-add, which MagicBlock's validators
  0.8.3 to 0.8.6 charge. An activation has 15 bits, so it takes two calls with 8 bits each; the packed loop is cheaper.

Compute units are the VM's own count, so the table is the same on every machine. tools/onchain_frames.py measures larger
shapes and more frames.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

from solders.account import Account
from solders.compute_budget import ComputeBudget
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import TransactionMetadata

from awm_crank.bench.onchain import OnchainWorld
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.frame import INPUTS_SIZE, start_block
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.packaged import demo_cartridge
from awm_crank.engine.seeded import SHAPES, cartridge

FRAME, MATMUL, NOTHING = 0, 3, 4
"""Modes of the kernel program (native/sbf_main.c) that are measured here."""
CALL_UNITS = 100
"""What one call of sol_matmul_i8 costs besides one unit for each multiply-add."""
PLANES = 2
"""Calls for one matrix: an activation has 15 bits."""
PACKED_MAC = 1.62
"""Units of a multiply-add in the engine program's loop: 259 instructions for 160 (programs/engine/matmul.h)."""
LIMIT = 2**40
RENT = 10**12


def program() -> bytes:
    """The prebuilt program."""
    return (resources.files("awm_crank") / "engine" / "data" / "kernel.so").read_bytes()


def _round(size: int) -> int:
    return -(-size // 64) * 64


class Sandbox:
    """One session of a cartridge inside LiteSVM: `run` a mode, then look at state, context and next block."""

    def __init__(self, made: Cartridge, code: bytes) -> None:
        engine = NativeEngine(made, "plain")
        self.sizes = engine.sizes()
        self.block_size = engine.cartridge.shape.encoding.block_size
        budget = ComputeBudget(False)
        budget.compute_unit_limit = LIMIT
        self.svm = LiteSVM().with_compute_budget(budget).with_sigverify(False).with_blockhash_check(False)
        self.svm = self.svm.with_transaction_history(0)
        self.payer = Keypair.from_seed(bytes(32))
        self.svm.airdrop(self.payer.pubkey(), RENT)
        self.program_id, self.image, self.work = (Pubkey([n] * 32) for n in (1, 2, 3))
        self.svm.add_program(self.program_id, code)
        self.at_context = _round(self.sizes["state"])
        self.at_next = self.at_context + self.sizes["context"]
        self.at_scratch = self.at_next + 128
        self._put(self.image, engine.image())
        self._put(self.work, bytes(self.at_scratch + self.sizes["scratch"]))

    def _put(self, key: Pubkey, data: bytes) -> None:
        self.svm.set_account(key, Account(RENT, data, self.program_id))

    def run(self, mode: int, block: bytes | None = None, inputs: bytes = bytes(16)) -> int:
        """Compute units of one instruction. Raises RuntimeError if the program refuses it."""
        metas = [AccountMeta(self.image, False, False), AccountMeta(self.work, False, True)]
        instruction = Instruction(self.program_id, bytes([mode]) + (block or bytes(self.block_size)) + inputs, metas)
        message = Message([instruction], self.payer.pubkey())
        done = self.svm.send_transaction(Transaction([self.payer], message, self.svm.latest_blockhash()))
        if not isinstance(done, TransactionMetadata):
            raise RuntimeError(f"the kernel program failed: {done.err()}")
        return done.compute_units_consumed()

    def _work(self, begin: int, size: int) -> bytes:
        account = self.svm.get_account(self.work)
        assert account is not None
        return bytes(account.data[begin : begin + size])

    def state(self) -> bytes:
        """The state in the layout of NativeEngine."""
        return self._work(0, self.sizes["state"])

    def context(self, d_model: int) -> bytes:
        return self._work(self.at_context, 2 * d_model)

    def next_block(self) -> bytes:
        return self._work(self.at_next, self.block_size)


@dataclass(frozen=True)
class Row:
    """One world's figures, in compute units a frame."""

    world: str
    macs: int
    plain: int
    plain_mac: float
    packed: int
    transactions: int
    syscall: float


def _row(name: str, made: Cartridge) -> Row:
    shape, box = made.shape, Sandbox(made, program())
    block = start_block(32, (1, 20))
    nothing = box.run(NOTHING)
    plain, loop = box.run(FRAME, block) - nothing, box.run(MATMUL) - nothing
    projections = shape.num_layers * (shape.proj_rows * shape.d_model + shape.d_model * shape.d_inner)
    low = 2 * shape.player_floats
    others = shape.d_model * (shape.frame_dim + low + shape.encoding.ctrl_dim + shape.encoding.head_rows)
    macs = projections + others
    world = OnchainWorld(made)
    world.allocate()
    world.build()
    world.open(block)
    spent = [world.frame(bytes(INPUTS_SIZE)) for _ in range(2)][-1]
    packed = sum(spent.units)
    calls = PLANES * (2 * shape.num_layers + 4) * CALL_UNITS
    return Row(
        name, macs, plain, loop / projections, packed, len(spent.units),
        packed - PACKED_MAC * macs + calls + PLANES * macs,
    )  # fmt: skip


def figures() -> list[Row]:
    """The tiny shape and the world that the package ships."""
    return [_row("tiny", cartridge(SHAPES["tiny"], 1)), _row("shipped", demo_cartridge())]


def report(seconds: float) -> tuple[str, dict[str, Any]]:
    """The table as text, and the figures. Compute units do not depend on time: `seconds` is not used."""
    del seconds
    rows = figures()
    lines = [
        "Compute units a frame in Solana's virtual machine",
        "world     multiply-adds        plain  a multiply-add       packed  transactions  sol_matmul_i8 (by its price)",
        *(
            f"{row.world:9} {row.macs:13,} {row.plain:12,} {row.plain_mac:15.2f} {row.packed:12,} {row.transactions:13}"
            f" {row.syscall:30,.0f}"
            for row in rows
        ),
    ]
    return "\n".join(lines) + "\n", {row.world: asdict(row) for row in rows}
