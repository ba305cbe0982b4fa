"""What a frame and a multiply-add cost on chain: the kernel as an SBF program in the SVM, for the demo's shape.

The program is `engine/data/kernel.so`, built from engine/native/sbf_main.c by tools/build_kernel_program.py.
Compute units are counted by the VM, so the table is the same on every machine. Three rows:

- plain: the kernel as it is.
- packed: the matrix loop with two rows in one 64-bit multiply-add (weights widened to 4 bytes each); the frame's
  figure is the plain one with its projections and heads at that price.
- with a sol_matmul_i8 syscall: the frame without its matrix loops, plus what the syscall is assumed to cost: 100 units
  a call and one for every 64 multiply-adds (assumptions; no validator has it).
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from solders.account import Account
from solders.compute_budget import ComputeBudget
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import TransactionMetadata

from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.frame import start_block
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.seeded import SHAPES, cartridge

FRAME, BACKBONE, HEADS, MATMUL, PACKED, NOTHING = range(6)
SYSCALL_BASE, SYSCALL_MACS_A_UNIT = 100, 64
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
        self.program_id, self.image, self.work, self.matrix = (Pubkey([n] * 32) for n in (1, 2, 3, 4))
        self.svm.add_program(self.program_id, code)
        self.at_context = _round(self.sizes["state"])
        self.at_next = self.at_context + self.sizes["context"]
        self.at_scratch = self.at_next + 128
        self._put(self.image, engine.image())
        self._put(self.work, bytes(self.at_scratch + self.sizes["scratch"]))
        self._put(self.matrix, bytes(16))

    def _put(self, key: Pubkey, data: bytes) -> None:
        self.svm.set_account(key, Account(RENT, data, self.program_id))

    def run(self, mode: int, block: bytes | None = None, inputs: bytes = bytes(16)) -> int:
        """Compute units of one instruction. Raises RuntimeError if the program refuses it."""
        metas = [AccountMeta(self.image, False, False), AccountMeta(self.work, False, True)]
        if mode == PACKED:
            metas.append(AccountMeta(self.matrix, False, False))
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

    def packed(self, w: NDArray[np.integer], a: NDArray[np.integer]) -> tuple[int, NDArray[np.int32]]:
        """Compute units and sums of the packed loop over `w` (rows by 2, columns by 8) and activations."""
        rows, columns = w.shape
        pairs = w[0::2].astype(np.int64) + (w[1::2].astype(np.int64) << 32)
        parts = (np.array([rows // 2, columns]), a.astype(np.int64), pairs)
        self._put(self.matrix, b"".join(part.astype("<i8").tobytes() for part in parts))
        units = self.run(PACKED)
        return units, np.frombuffer(self._work(self.at_scratch, 4 * rows), "<i4")


def figures() -> dict[str, float]:
    """Every figure of the table, in compute units."""
    shape = SHAPES["demo"]
    made = cartridge(shape, 1)
    box = Sandbox(made, program())
    nothing = box.run(NOTHING)
    block = start_block(32, (1, 20))
    frame, backbone, heads = (box.run(mode, block) - nothing for mode in (FRAME, BACKBONE, HEADS))
    loop = box.run(MATMUL) - nothing
    projections = shape.num_layers * (shape.proj_rows * shape.d_model + shape.d_model * shape.d_inner)
    others = shape.d_model * (shape.frame_dim + 58 + 26) + 1050 * shape.d_model
    w = made.arrays["layers.0.in_proj.w"]
    packed, _ = box.packed(w, np.arange(shape.d_model) - 64)
    plain_mac, packed_mac = loop / projections, (packed - nothing) / w.size
    macs = projections + others
    calls = 2 * shape.num_layers + 4
    without = frame - macs * plain_mac
    return {
        "multiply-adds": macs,
        "frame, plain": frame,
        "backbone, plain": backbone,
        "heads, plain": heads,
        "multiply-add, plain": plain_mac,
        "multiply-add, packed": packed_mac,
        "frame, packed": without + macs * packed_mac,
        "frame without matrix loops": without,
        "frame, sol_matmul_i8": without + calls * SYSCALL_BASE + macs / SYSCALL_MACS_A_UNIT,
    }


def report(seconds: float) -> tuple[str, dict[str, Any]]:
    """The table as text, and the figures. Compute units do not depend on time: `seconds` is not used."""
    del seconds
    found = figures()
    shape = SHAPES["demo"]
    lines = [
        f"The kernel as an SBF program, {shape.num_layers} layers x d_model {shape.d_model} x d_state {shape.d_state},"
        f" {found['multiply-adds']:,.0f} multiply-adds a frame; compute units",
        "                          a frame  a multiply-add",
        f"plain                {found['frame, plain']:12,.0f}  {found['multiply-add, plain']:14.2f}",
        f"  backbone           {found['backbone, plain']:12,.0f}",
        f"  heads              {found['heads, plain']:12,.0f}",
        f"packed, two a word   {found['frame, packed']:12,.0f}  {found['multiply-add, packed']:14.2f}   (projected)",
        f"with sol_matmul_i8   {found['frame, sol_matmul_i8']:12,.0f}  {1 / SYSCALL_MACS_A_UNIT:14.3f}   (projected: "
        f"{SYSCALL_BASE} units a call and 1 for {SYSCALL_MACS_A_UNIT} multiply-adds, assumed)",
        f"all but the matrices {found['frame without matrix loops']:12,.0f}",
    ]
    return "\n".join(lines) + "\n", found
