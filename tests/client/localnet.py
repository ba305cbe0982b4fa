"""A localnet with a world, a published small model and funded keys, for the client's and the commands' tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from client.minicrank import MiniCrank
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank.client import publish, session, setup
from awm_crank.client.chain import Chain
from awm_crank.engine import Cartridge, ReferenceEngine, Shape
from awm_crank.engine.seeded import cartridge
from awm_crank.localnet.rig import EmbeddedLocalnet

SHAPE = Shape(d_model=32, d_inner=64, d_state=16, headdim=32, num_layers=1)


@dataclass
class Arena:
    """Everything that a test needs to play a match, on one chain."""

    net: EmbeddedLocalnet
    cartridge: Cartridge
    engine: ReferenceEngine
    world: Pubkey
    model: Pubkey

    def chain(self) -> Chain:
        """A fresh client, for one event loop."""
        return Chain(self.net.http, commitment="processed")

    async def played(
        self,
        chain: Chain,
        frames: int,
        *,
        checkpoints: tuple[int, ...] = (),
        max_frames: int = 0,
        challenge_s: int = 0,
    ) -> tuple[session.SessionAccounts, MiniCrank, Keypair, Keypair]:
        """A session with this many frames, and checkpoints at these frames; also its crank, player 1 and player 2."""
        player1, player2, writer = (self.net.funded(10_000_000_000) for _ in range(3))
        made = await session.create(
            chain, player1, self.world, self.model, writer=writer.pubkey(), character=2, seed=9, max_frames=max_frames,
            challenge_s=challenge_s,
        )  # fmt: skip
        await session.join(chain, player2, self.world, made.session, character=20)
        crank = MiniCrank(chain, writer, self.world, made, self.engine)
        await crank.open()
        for frame in range(1, frames + 1):
            await crank.frames(1)
            if frame in checkpoints:
                await crank.checkpoint()
        return made, crank, player1, player2


_STOCKS_ROWS = (19, 22)


def small_cartridge(seed: int) -> Cartridge:
    """A small seeded model whose players never lose a stock; otherwise its noise
    would end a match within a few frames.
    """
    made = cartridge(SHAPE, seed)
    arrays = {name: array.copy() for name, array in made.arrays.items()}
    for row in _STOCKS_ROWS:
        arrays["heads.w"][row] = 0
        arrays["heads.b"][row] = 1 << 20
    return Cartridge.build(
        name=made.name, version=made.version, shape=made.shape, formats=made.formats, luts=made.luts, arrays=arrays,
        total_params=made.total_params,
    )  # fmt: skip


@contextmanager
def arena() -> Iterator[Arena]:
    """Starts a localnet and publishes a small seeded model on it."""
    made = small_cartridge(3)
    with EmbeddedLocalnet() as net:

        async def prepare() -> tuple[Pubkey, Pubkey]:
            async with Chain(net.http) as chain:
                world = await setup.find_or_create_world(chain, net.faucet)
                return world, (await publish.publish(chain, net.faucet, world, made)).model

        world, model = asyncio.run(prepare())
        yield Arena(net, made, ReferenceEngine(made), world, model)
