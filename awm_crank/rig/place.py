"""A place to play: a running localnet with a world and a published model, and the keys of two players and a crank."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank import config
from awm_crank.client import publish, rollup, session, setup
from awm_crank.client.chain import Chain
from awm_crank.client.keys import write_keypair
from awm_crank.client.session import SessionAccounts
from awm_crank.engine.cartridge import Cartridge
from awm_crank.localnet.rig import LocalnetProcess
from awm_crank.rig.crank import CrankProcess


class Place:
    """Sessions on a localnet, and the crank processes that serve them. An async context manager.

    Args:
        net: the localnet.
        chain: where sessions are played; the rollup, if there is one.
        world, model: on the base chain.
        folder: where keys, configurations and logs go.
        base: where sessions begin; `chain`, unless there is a rollup.
    """

    characters = (0, 0)
    """what player 1 and player 2 play, as numbers of the session's account"""

    def __init__(
        self, net: LocalnetProcess, chain: Chain, world: Pubkey, model: Pubkey, folder: Path, base: Chain | None = None
    ) -> None:
        self.net, self.chain, self.world, self.model, self.folder = net, chain, world, model, folder
        self.base = base or chain
        self.players = (net.funded(), net.funded())
        self.crank_key = net.funded()
        self.key_path = folder / "crank.json"
        write_keypair(self.key_path, self.crank_key)
        self._cranks: list[CrankProcess] = []

    @classmethod
    async def make(cls, net: LocalnetProcess, folder: Path, cartridge: Cartridge) -> Self:
        """Publishes a cartridge into the localnet's world. Raises AwmError."""
        base = Chain(net.base_http, commitment="processed")
        world = await setup.find_or_create_world(base, net.faucet)
        model = (await publish.publish(base, net.faucet, world, cartridge)).model
        chain = base if net.http == net.base_http else Chain(net.http, commitment="processed")
        return cls(net, chain, world, model, folder, base)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends every crank that still runs, and closes the connections."""
        for crank in self._cranks:
            if crank.running:
                crank.kill()
        await self.chain.close()
        if self.base is not self.chain:
            await self.base.close()

    @property
    def in_rollup(self) -> bool:
        """Whether sessions are played on another chain than they begin on."""
        return self.base is not self.chain

    def chains(self) -> config.ChainConfig:
        """The crank's settings for where the chains are."""
        net = self.net
        if self.in_rollup:
            return config.ChainConfig(base_http=net.base_http, rollup_http=net.http, rollup_ws=net.ws)
        return config.ChainConfig(base_http=net.http, rollup_ws=net.ws, world=str(self.world))

    def crank(self, settings: config.Config, name: str = "crank") -> CrankProcess:
        """Starts a crank. It ends with the place at the latest."""
        process = CrankProcess(self.folder, settings, name)
        self._cranks.append(process)
        return process

    async def create(
        self,
        seed: int = 7,
        max_frames: int = 0,
        *,
        players: tuple[Keypair, Keypair] | None = None,
        writer: Pubkey | None = None,
    ) -> SessionAccounts:
        """A session of player 1 on the base chain, which waits for player 2.

        Args:
            players: their keys; the place's own if None.
            writer: who may write its frames; the crank's key if None.
        """
        return await session.create(
            self.base, (players or self.players)[0], self.world, self.model,
            writer=self.crank_key.pubkey() if writer is None else writer, max_frames=max_frames, seed=seed,
            # nothing depends on this match's result, so it needs no challenge time
            character=self.characters[0], challenge_s=0,
        )  # fmt: skip

    async def delegate(
        self, match: SessionAccounts, *, player: Keypair | None = None, ring_records: int, checkpoint_bytes: int
    ) -> None:
        """Hands a session over to the rollup, with lamports for a ring and checkpoints of these sizes."""
        await rollup.delegate(
            self.base, self.chain, player or self.players[0], match.session,
            ring_records=ring_records, checkpoint_bytes=checkpoint_bytes,
        )  # fmt: skip

    async def join(self, match: SessionAccounts, player: Keypair | None = None) -> None:
        """Player 2 joins, and the match begins."""
        await session.join(
            self.chain, player or self.players[1], self.world, match.session, character=self.characters[1]
        )
