"""A crank of a few lines that works step by step. It makes sessions with frames, ring and checkpoints for tests."""

from __future__ import annotations

import asyncio
from hashlib import sha256

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank.client import session
from awm_crank.client.chain import Chain
from awm_crank.engine import ReferenceEngine
from awm_crank.net.rpc import RpcClient
from awm_crank.wire import bolt, frame_records, ids, programs
from awm_crank.wire.accounts import RECORD_SIZE
from awm_crank.wire.args import FrameArgs
from awm_crank.wire.transaction import Signer, compute_unit_limit, sign_once


class MiniCrank:
    """Serves one session on demand, as its writer."""

    def __init__(
        self, net: Chain, writer: Keypair, world: Pubkey, accounts: session.SessionAccounts, engine: ReferenceEngine
    ) -> None:
        self.net, self.writer, self.world, self.accounts, self.engine = net, writer, world, accounts, engine
        self.side = 0

    async def open(self, capacity: int = 256) -> None:
        """Claims the session, and makes the ring and both checkpoint accounts."""
        key, entity = self.writer.pubkey(), self.accounts.entity
        view = await session.show(self.net, self.accounts.session)
        assert view.hidden is not None
        self.epoch = view.hidden.epoch + 1
        state = view.session
        pin = programs.pin_cartridge(key, entity, state.model)
        await self.net.send([programs.claim(key, entity, self.epoch - 1), pin], self.writer)
        view = await session.show(self.net, self.accounts.session)
        block = frame_records.block(state.players, bytes(16), bytes(16), state.stage)
        self.block, self.frame, self.chain_hash = block, 0, view.genesis
        self.state = self.engine.start_state(block)
        grows = [programs.ring_grow(key, entity, capacity)] * -(-RECORD_SIZE * capacity // programs.GROWTH)
        await self.net.send(grows, self.writer)
        data_size = self.engine.state_size
        for side in (0, 1):
            grows = [programs.checkpoint_grow(key, entity, side)] * (data_size // programs.GROWTH + 1)
            await self.net.send([programs.checkpoint_create(key, entity, side, data_size), *grows], self.writer)

    async def frames(self, count: int) -> None:
        """Writes this many frames, and holds a player's last input where no new one came."""
        for _ in range(count):
            view = await session.show(self.net, self.accounts.session)
            assert view.inputs is not None
            inputs, sources = frame_records.chosen_inputs(
                view.inputs.inputs, (view.inputs.p1_ready, view.inputs.p2_ready), hold=True
            )
            await self.write(inputs, sources)

    async def burst(self, count: int) -> None:
        """Writes this many frames with neutral inputs, in one request."""
        signer = Signer(bytes(self.writer))
        blockhash = bytes((await self.net.blockhash())[0])
        runs = [self._frame(bytes(16), b"\2\2") for _ in range(count)]
        signed = [sign_once([run], signer.pubkey, (signer,), blockhash).base64().decode() for run in runs]
        options = {"encoding": "base64", "skipPreflight": True}
        async with RpcClient(self.net.url) as rpc:
            await rpc.batch([("sendTransaction", [each, options]) for each in signed])
        for _ in range(1000):
            if (await session.show(self.net, self.accounts.session)).session.frame == self.frame:
                return
            await asyncio.sleep(0.01)
        raise TimeoutError(f"frame {self.frame} did not land")

    async def write(self, inputs: bytes, sources: bytes) -> None:
        """Writes one frame."""
        await self.net.send([self._frame(inputs, sources)], self.writer)

    def _frame(self, inputs: bytes, sources: bytes) -> Instruction:
        context = self.engine.backbone(self.state, self.block)
        self.block = self.engine.heads(context, self.block, inputs)
        self.frame += 1
        players, feedback = frame_records.block_players(self.block), frame_records.block_feedback(self.block)
        self.chain_hash = frame_records.advance(self.chain_hash, self.frame, inputs, sources, players, feedback)
        args = FrameArgs(self.frame, self.epoch, inputs, sources, players, feedback).to_binary()
        return bolt.apply_entity(
            ids.RUN_INFERENCE, self.writer.pubkey(), self.world, self.accounts.entity, ids.SESSION_COMPONENTS, args
        )

    async def checkpoint(self) -> None:
        """Writes and finalizes a checkpoint of the current frame, on the free side."""
        key, entity, side = self.writer.pubkey(), self.accounts.entity, self.side
        data = self.engine.dump(self.state)
        block = self.block
        head = self.frame.to_bytes(4, "little") + block[80:96] + block[:80] + self.chain_hash + bytes(4)
        begin = programs.checkpoint_begin(
            key, entity, side, self.frame, block[80:96], block[:64], block[64:80], self.chain_hash
        )
        await self.net.send([begin], self.writer)
        for at in range(0, len(data), 900):
            write = programs.checkpoint_write(key, entity, side, at, data[at : at + 900])
            await self.net.send([write], self.writer)
        finalize = programs.checkpoint_finalize(key, entity, side, sha256(head + data).digest())
        await self.net.send([compute_unit_limit(1_400_000), finalize], self.writer)
        self.side = 1 - side
