"""Looks for the sessions that this crank may write, on one chain or on two."""

from __future__ import annotations

from collections.abc import Sequence

from solders.pubkey import Pubkey

from ..config import Config
from ..net.pubsub import PubSub
from ..net.rpc import RpcClient
from . import worlds
from .chains import Chains
from .delegated import Delegated
from .discovery import Discovery
from .roster import Roster
from .tasks import Tasks


class Search:
    """Finds out how many chains there are, then watches them for sessions and passes those to `roster`.

    Args:
        base, rpc, pubsub: the base chain's endpoint, and the RPC and WebSocket endpoints of the chain that runs the
            matches.
        writers: the keys whose sessions are looked for.
        tasks: runs the background tasks.
    """

    def __init__(
        self, config: Config, base: RpcClient, rpc: RpcClient, pubsub: PubSub, writers: Sequence[Pubkey],
        roster: Roster, tasks: Tasks,
    ) -> None:  # fmt: skip
        self._config, self._base, self._rpc, self._writers, self._roster = config, base, rpc, writers, roster
        self._tasks = tasks
        self.chains = Chains(base, rpc)
        self.discovery = Discovery(pubsub, rpc, writers, roster.admit, tasks.spawn)
        self._delegated: Delegated | None = None

    @property
    def delegated(self) -> int:
        """How many sessions are delegated but not visible in the rollup yet."""
        return 0 if self._delegated is None else len(self._delegated.waiting)

    async def run(self) -> None:
        """Starts the search. Raises ConfigError if there are two chains and the base chain's WebSocket URL is not
        known.
        """
        keep = self._tasks.keep
        keep(self.discovery.run(), self.chains.watch())
        if await self.chains.two():
            base_ws = self._config.base_ws()
            self._roster.play_in_rollup()
            self._delegated = Delegated(self._base, base_ws, self._rpc, self._writers, self._roster.admit)
            keep(self._delegated.run())
        if admitted := self._config.crank.admitted:
            self._roster.admit_worlds(await worlds.numbers(self._base, admitted))
        self.discovery.subscribe()
