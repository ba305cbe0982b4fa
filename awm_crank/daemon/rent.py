"""Counts the rent in sessions' accounts, and enforces the limits on it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Set

from solders.pubkey import Pubkey

from ..config import CrankConfig
from ..errors import AwmError
from ..net.rpc import RpcClient
from ..telemetry import logs
from ..wire import jsonrpc, programs

_DAY_S = 86_400


class Rent:
    """The rent in each session's accounts, as far as this process knows them.

    Args:
        limits: `total_spend_limit_lamports`, and the budgets for an hour and for a day.
        rpc: the sessions' endpoint, to find out which sessions were closed.
        fees: lamports that this process has paid in fees so far.
        clock: seconds, monotonic.
        balance: asks for the lamports on the crank's key. None: the reserve is not checked.
    """

    def __init__(
        self,
        limits: CrankConfig,
        rpc: RpcClient,
        fees: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
        balance: Callable[[], Awaitable[int]] | None = None,
    ) -> None:
        self._limit = limits.total_spend_limit_lamports
        self._budgets = (
            (3600, limits.hourly_budget_lamports, "hourly_budget_lamports"),
            (_DAY_S, limits.daily_budget_lamports, "daily_budget_lamports"),
        )
        self._reserve = limits.reserve_lamports
        self._fees, self._balance, self._clock = fees, balance, clock
        self._granted = 0
        """Rent that was granted so far; closing a session takes nothing off."""
        self._history: deque[tuple[float, int]] = deque()
        """(moment, rent granted and fees paid until then), oldest first."""
        self._rpc = rpc
        self._spent: dict[Pubkey, int] = {}

    @property
    def spent(self) -> int:
        """Lamports in all sessions' accounts."""
        return sum(self._spent.values())

    def charge(self, entity: Pubkey, lamports: int) -> None:
        """Records that a session's accounts hold this many lamports."""
        self._spent[entity] = lamports

    def too_dear(self, entity: Pubkey, lamports: int) -> str:
        """Charges a session's accounts if the limit allows it. Otherwise returns the reason; empty if charged."""
        spent = self.spent - self._spent.get(entity, 0)
        if spent + lamports > self._limit:
            return (
                f"its accounts would cost {lamports} lamports, and other sessions' accounts hold {spent}; "
                f"crank.total_spend_limit_lamports allows {self._limit} in all"
            )
        self.charge(entity, lamports)
        return ""

    def over_budget(self, lamports: int) -> str:
        """Why no more sessions may be prepared, given what was paid in the last hour and day; empty if they may."""
        now, total = self._clock(), self._granted + self._fees()
        self._history.append((now, total))
        for seconds, limit, name in self._budgets:
            if not limit:
                continue
            # the total at the start of the window; between two samples this counts too much rather than too little
            before = max((paid for at, paid in self._history if at <= now - seconds), default=0)
            if total - before + lamports > limit:
                return f"{total - before} lamports were paid in {seconds} s; crank.{name} allows {limit}"
        while len(self._history) > 1 and self._history[1][0] <= now - _DAY_S:
            self._history.popleft()
        return ""

    async def ask(self, entity: Pubkey, lamports: int, live: Set[Pubkey]) -> str:
        """Like `too_dear`, but before it refuses, it checks which sessions were closed and frees their rent.

        Args:
            live: entities of the sessions that are being served and so are not closed.
        """
        refusal = self.over_budget(lamports) or await self._below_reserve(lamports)
        if refusal:
            return refusal
        refusal = self.too_dear(entity, lamports)
        if refusal:
            await self._forget_closed(live)
            refusal = self.too_dear(entity, lamports)
        if not refusal:
            self._granted += lamports
        return refusal

    async def _below_reserve(self, lamports: int) -> str:
        if self._balance is None or not lamports or not self._reserve:
            return ""
        try:
            left = await self._balance() - lamports
        except AwmError as error:
            return f"the balance is not known: {error}"
        if left >= self._reserve:
            return ""
        return (
            f"its accounts cost {lamports} lamports, which would leave {left}; crank.reserve_lamports keeps "
            f"{self._reserve} for running matches"
        )

    def charged(self) -> list[Pubkey]:
        """The entities whose accounts are counted."""
        return list(self._spent)

    def closed(self, entity: Pubkey) -> None:
        """Records that a session's accounts are closed, so that their rent is available again."""
        self._spent.pop(entity, None)

    async def _forget_closed(self, live: Set[Pubkey]) -> None:
        charged = [entity for entity in self.charged() if entity not in live]
        for at in range(0, len(charged), jsonrpc.MAX_ACCOUNTS):
            entities = charged[at : at + jsonrpc.MAX_ACCOUNTS]
            keys = [programs.checkpoint_pda(entity, 0) for entity in entities]
            try:
                found = (await self._rpc.ask(jsonrpc.get_multiple_accounts(keys))).value
            except AwmError as error:
                logs.get().warning("cannot look for closed sessions", problem=str(error))
                return
            for entity, account in zip(entities, found, strict=True):
                if account is None:
                    self.closed(entity)
