"""Where the live bench plays: a localnet of any kind, a published model, and sessions with players of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank import config
from awm_crank.client import publish, rollup, session, setup
from awm_crank.client.chain import Chain
from awm_crank.client.session import SessionAccounts
from awm_crank.engine.cartridge import Cartridge
from awm_crank.errors import RpcError
from awm_crank.localnet.rig import LocalnetProcess

PERIOD_US = {"solana": 300_000}
"""By kind, where it is not a sixtieth of a second: notifications come at a slot's end there."""
_LAMPORTS = 1_000_000_000_000
_PLAYER_LAMPORTS = 100_000_000_000
_TRIES = 40
_PAUSE_S = 0.2


class Match(NamedTuple):
    """A session and who plays it."""

    accounts: SessionAccounts
    players: tuple[Keypair, Keypair]
    seed: int


class Place:
    """An async context manager.

    Args:
        kind: the localnet's.
        options: further words of its command line.
        cartridge: what is published and played.
    """

    def __init__(self, kind: str, options: Sequence[str], cartridge: Cartridge) -> None:
        self.kind, self.cartridge = kind, cartridge
        self.net = LocalnetProcess(kind, *options)
        self.crank_key = Keypair()
        self.world = self.model = Pubkey.default()
        self.base: Chain
        self.chain: Chain

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.net.start)
        try:
            self.base = Chain(self.net.base_http, commitment="processed")
            self.chain = Chain(self.net.http, commitment="processed") if self.in_rollup else self.base
            self.crank_key = await asyncio.to_thread(self.net.funded, _LAMPORTS)
            owner = await asyncio.to_thread(self.net.funded, _LAMPORTS)
            self.world = await setup.find_or_create_world(self.base, owner)
            self.model = (await publish.publish(self.base, owner, self.world, self.cartridge)).model
        except BaseException:
            await asyncio.to_thread(self.net.stop)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.base.close()
        if self.chain is not self.base:
            await self.chain.close()
        await asyncio.to_thread(self.net.stop)

    @property
    def in_rollup(self) -> bool:
        """Sessions are played on another chain than they begin on."""
        return self.net.http != self.net.base_http

    @property
    def period_s(self) -> float:
        """From frame to frame."""
        return PERIOD_US.get(self.kind, 0) / 1e6 or 1 / 60

    @property
    def validators(self) -> list[int]:
        """Process ids of the localnet: it embeds the validator, or runs under it."""
        return [self.net.pid, *self.net.validators]

    def settings(self, keypair: str) -> config.Config:
        """The crank's configuration here: no limit but the machine's."""
        net = self.net
        chain = config.Chain(base_http=net.base_http, base_ws=net.base_ws, rollup_http=net.http, rollup_ws=net.ws)
        if not self.in_rollup:
            chain = config.Chain(base_http=net.http, rollup_ws=net.ws, world=str(self.world))
        crank = config.Crank(
            keypair=keypair, late_policy="wait", max_load_percent=0, spend_limit_lamports=100_000_000_000,
            total_spend_limit_lamports=_LAMPORTS, frame_period_us=PERIOD_US.get(self.kind, 0),
            send_timeout_ms=2000 if self.kind in PERIOD_US else 400,
        )  # fmt: skip
        return config.Config(chain=chain, crank=crank, log=config.Log(stats_interval_s=0))

    async def create(self, seed: int, writer: Pubkey, *, ring: int, checkpoint_bytes: int) -> Match:
        """A session that waits for player 2, where frames will be written.

        Args:
            writer: whose frames it takes.
            ring, checkpoint_bytes: what a rollup has to be paid for in advance.
        """
        players = await asyncio.to_thread(lambda: [self.net.funded(_PLAYER_LAMPORTS) for _ in range(2)])
        made = await session.create(self.base, players[0], self.world, self.model, writer=writer, seed=seed)
        if self.in_rollup:
            await rollup.delegate(
                self.base, self.chain, players[0], made.session, ring_records=ring, checkpoint_bytes=checkpoint_bytes
            )
        return Match(made, (players[0], players[1]), seed)

    async def join(self, match: Match) -> None:
        """Player 2 joins: the match begins."""
        await patiently(lambda: session.join(self.chain, match.players[1], self.world, match.accounts.session))


async def patiently(attempt: Callable[[], Awaitable[object]]) -> None:
    """Makes attempts until one does not raise RpcError; raises the last one's.

    A rollup may refuse the first transaction of a key, or to an account, that it is still fetching from its base chain.
    """
    for left in reversed(range(_TRIES)):
        try:
            await attempt()
            return
        except RpcError:
            if not left:
                raise
            await asyncio.sleep(_PAUSE_S)
