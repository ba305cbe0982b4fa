"""A world that computes itself, in LiteSVM: the engine program, a cartridge's image, and one run.

Compute units are the VM's own count, so they are the same on every machine. The shards are put on the chain as
publishing leaves them; everything after that goes through transactions.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field

from solders.account import Account
from solders.compute_budget import set_compute_unit_limit
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import TransactionMetadata

from awm_crank.client.publish import SHARD_SIZE
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.onchain import dump_work
from awm_crank.localnet.genesis import shipped_programs
from awm_crank.wire import ids, merkle, onchain
from awm_crank.wire.accounts import EngineImage, EngineRun, WeightShard
from awm_crank.wire.contract import LEAF_BYTES, MAX_INCREASE

LIMIT = 1_400_000
LAMPORTS = 10**15
RUN = 1
_GROWS = 28
WAITS = 13
"""EngineRun.stage of a run that waits for inputs (AT_INPUTS of localnet/programs/engine/turn.h)."""


def finalized_shard(index: int, data: bytes, authority: Pubkey) -> WeightShard:
    """A shard as publishing leaves it."""
    return WeightShard(
        shard_index=index, data_size=len(data), authority=authority, finalized=True,
        data_hash=hashlib.sha256(data).digest(), entity=Pubkey.default(),
        merkle_root=merkle.root(merkle.leaf_hashes(data)),
        leaves_hashed=-(-len(data) // LEAF_BYTES), frontier=bytes(256), bolt_metadata=authority, data=data,
    )  # fmt: skip


@dataclass
class Spent:
    """The compute units and the time that a piece of work took."""

    units: list[int] = field(default_factory=list)
    """compute units of each transaction"""
    seconds: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.units + other.units, self.seconds + other.seconds)


class OnchainWorld:
    """One cartridge's image and one run of it.

    Args:
        cartridge: the world.
        part_words: words of the image's parts.
        parts_at_once: how many parts a turn is given; 0: all.
        code: another build of the engine program.
    """

    def __init__(
        self, cartridge: Cartridge, part_words: int = onchain.MAX_PART_WORDS, parts_at_once: int = 0,
        *, code: bytes | None = None,
    ) -> None:  # fmt: skip
        self.cartridge = cartridge
        self.svm = LiteSVM().with_mainnet_features().with_blockhash_check(False).with_transaction_history(0)
        for program, shipped in shipped_programs():
            self.svm.add_program(program, code if code and program == onchain.ENGINE else shipped)
        self.payer = Keypair.from_seed(hashlib.sha256(b"onchain payer").digest())
        self.svm.set_account(self.payer.pubkey(), Account(LAMPORTS, b"", Pubkey.default()))
        self.part_words, self.parts_at_once = part_words, parts_at_once
        self.shards: list[Pubkey] = []
        found = []
        for index, data in enumerate(cartridge.shards(SHARD_SIZE)):
            shard = finalized_shard(index, bytes(data), self.payer.pubkey())
            self.shards.append(Pubkey.from_bytes(hashlib.sha256(b"shard %d" % index).digest()))
            self.svm.set_account(self.shards[-1], Account(LAMPORTS, shard.encode(), ids.WEIGHT_SHARD))
            found.append(shard)
        self.key = onchain.Image(onchain.content(found), self.payer.pubkey())
        self.run_key = onchain.run_pda(self.payer.pubkey(), RUN)
        self._nonce = 0

    def send(self, *instructions: Instruction, signer: Keypair | None = None) -> int:
        """Sends one transaction; returns its compute units. Raises RuntimeError if the chain refuses it."""
        self._nonce += 1  # so that no two transactions are the same
        limit = set_compute_unit_limit(LIMIT - self._nonce % 500)
        by = signer or self.payer
        message = Message([limit, *instructions], by.pubkey())
        done = self.svm.send_transaction(Transaction([by], message, self.svm.latest_blockhash()))
        if not isinstance(done, TransactionMetadata):
            raise RuntimeError(f"{done.err()}: {done.meta().logs()[-2:]}")
        return done.compute_units_consumed()

    def data(self, key: Pubkey) -> bytes:
        """An account's bytes; empty where there is no account."""
        account = self.svm.get_account(key)
        return bytes(account.data) if account else b""

    def image(self) -> EngineImage:
        """Part 0 of the image."""
        return EngineImage.decode(self.data(self.key.key))

    def run(self) -> EngineRun:
        """The run."""
        return EngineRun.decode(self.data(self.run_key))

    def allocate(self) -> Spent:
        """Creates the image's accounts at their full size."""
        spent, began = Spent(), time.perf_counter()
        spent.units.append(self.send(onchain.image_open(self.key, self.shards, self.part_words)))
        image = self.image()
        for part in range(onchain.parts(image) + 1):
            left = -(-onchain.part_size(image, part) // MAX_INCREASE) + (part > 0)
            while left > 0:
                some = min(left, _GROWS)
                spent.units.append(self.send(*[onchain.image_grow(self.key, part)] * some))
                left -= some
        spent.seconds = time.perf_counter() - began
        return spent

    def build(self) -> Spent:
        """Makes the image."""
        spent, began = Spent(), time.perf_counter()
        image = self.image()
        every = range(1, onchain.parts(image) + 1)
        while not image.complete:
            spent.units.append(self.send(onchain.image_build(self.key, self.shards, every)))
            image = self.image()
        spent.seconds = time.perf_counter() - began
        return spent

    def make_run(self, block: bytes) -> None:
        """Opens the run, at its full size."""
        self.send(onchain.run_open(self.payer.pubkey(), RUN, self.key, block))
        self.make_run_whole()

    def make_run_whole(self) -> None:
        """Grows the run until it does not grow any more."""
        payer, size = self.payer.pubkey(), 0
        while size != (size := len(self.data(self.run_key))):
            self.send(*[onchain.run_grow(payer, RUN, self.key)] * _GROWS)

    def open(self, block: bytes) -> Spent:
        """Opens the run and works until it waits for the inputs of frame 1."""
        self.make_run(block)
        return self.turn()

    def turn(self) -> Spent:
        """Sends turns until the run waits for inputs."""
        spent, began = Spent(), time.perf_counter()
        count = onchain.parts(self.image())
        run = self.run()
        while run.stage != WAITS or run.fed > run.frame:
            first = max(1, run.wants)
            some = [(first - 1 + i) % count + 1 for i in range(min(count, self.parts_at_once or count))]
            spent.units.append(self.send(onchain.run_turn(self.run_key, self.key, some)))
            run = self.run()
        spent.seconds = time.perf_counter() - began
        return spent

    def frame(self, inputs: bytes) -> Spent:
        """Gives the next frame's inputs (16 bytes), and works until the frame after it waits for its own."""
        self.send(onchain.run_feed(self.payer.pubkey(), RUN, self.run().fed + 1, inputs))
        return self.turn()

    def block(self) -> bytes:
        """The block of the run's frame."""
        return onchain.block_of(self.run(), self.cartridge.shape.encoding.block_size)

    def state(self) -> bytes:
        """The recurrent state, which has read that block, serialized."""
        run = self.run()
        return dump_work(self.cartridge.shape, run.work, run.step)
