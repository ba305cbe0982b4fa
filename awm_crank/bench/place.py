"""Where the live bench plays: a place on a localnet of any kind, and sessions with players of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank import config
from awm_crank.client.session import SessionAccounts
from awm_crank.errors import RpcError
from awm_crank.rig.place import Place

PERIOD_US = {"solana": 300_000}
"""Microseconds from frame to frame, by kind, if not a sixtieth of a second: Solana notifies at the end of a slot."""
_LAMPORTS = 1_000_000_000_000
_PLAYER_LAMPORTS = 100_000_000_000
_TRIES = 40
_PAUSE_S = 0.2


class Pairing(NamedTuple):
    """A session and who plays it."""

    accounts: SessionAccounts
    players: tuple[Keypair, Keypair]
    seed: int


class BenchPlace(Place):
    """A place where many matches are played at once."""

    @property
    def kind(self) -> str:
        """The localnet's."""
        return self.net.kind

    @property
    def period_s(self) -> float:
        """From frame to frame."""
        return PERIOD_US.get(self.kind, 0) / 1e6 or 1 / 60

    @property
    def validators(self) -> list[int]:
        """Process ids of the localnet, which embeds the validator or is its parent."""
        return [self.net.pid, *self.net.validators]

    def settings(self) -> config.Config:
        """The crank's configuration here: only the machine limits it."""
        crank = config.CrankConfig(
            keypair=str(self.key_path), late_policy="wait", max_load_percent=0, spend_limit_lamports=100_000_000_000,
            total_spend_limit_lamports=_LAMPORTS, guest_share_percent=100, guest_frames=0,
            frame_period_us=PERIOD_US.get(self.kind, 0),
            send_timeout_ms=2000 if self.kind in PERIOD_US else 400,
        )  # fmt: skip
        return config.Config(chain=self.chains(), crank=crank, log=config.LogConfig(stats_interval_s=0))

    async def pairing(self, seed: int, writer: Pubkey, *, ring: int, checkpoint_bytes: int) -> Pairing:
        """A session that waits for player 2, on the chain where frames will be written.

        Args:
            writer: who may write its frames.
            ring, checkpoint_bytes: what a rollup has to be paid for in advance.
        """
        one, two = await asyncio.to_thread(lambda: [self.net.funded(_PLAYER_LAMPORTS) for _ in range(2)])
        accounts = await self.create(seed, players=(one, two), writer=writer)
        if self.in_rollup:
            await self.delegate(accounts, player=one, ring_records=ring, checkpoint_bytes=checkpoint_bytes)
        return Pairing(accounts, (one, two), seed)

    async def begin(self, made: Pairing) -> None:
        """Player 2 joins, and the match begins."""
        await patiently(lambda: self.join(made.accounts, made.players[1]))


async def patiently(attempt: Callable[[], Awaitable[object]]) -> None:
    """Repeats an attempt until it does not raise RpcError; raises the last one's.

    A rollup may refuse the first transaction of a key, or to an account, while it fetches that from its base chain.
    """
    for left in reversed(range(_TRIES)):
        try:
            await attempt()
            return
        except RpcError:
            if not left:
                raise
            await asyncio.sleep(_PAUSE_S)
