"""Asks the chain what `Budgets` has to know: the crank's balance, and which sessions' accounts are closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Set

from solders.pubkey import Pubkey

from ..config import CrankConfig
from ..errors import AwmError
from ..net.rpc import RpcClient
from ..session.commands import Spend
from ..session.events import Granted
from ..telemetry import logs
from ..telemetry.stats import Stats
from ..wire import jsonrpc, programs
from .budgets import Budgets
from .session import ServedSession

_NOTE_S = 30.0


class Rent:
    """Decides about machines' wishes to spend.

    Args:
        limits: the `[crank]` settings.
        rpc: the sessions' endpoint.
        fees: lamports that this process has paid in fees so far.
        clock: seconds, monotonic.
        balance: asks for the lamports on the crank's key.
        live: the entities of the sessions that are being served, which are not closed.
        deliver: given the answer to each wish of a session.
        spawn: runs a question to the endpoint as a task.
        stats: counts the sessions that were refused.
    """

    def __init__(
        self,
        limits: CrankConfig,
        rpc: RpcClient,
        fees: Callable[[], int],
        balance: Callable[[], Awaitable[int]],
        live: Callable[[], Set[Pubkey]],
        deliver: Callable[[ServedSession, Granted], object],
        spawn: Callable[[Coroutine[object, object, None]], object],
        stats: Stats,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budgets = Budgets(limits, clock)
        self._rpc, self._fees, self._balance, self._live = rpc, fees, balance, live
        self._deliver, self._spawn, self._stats = deliver, spawn, stats
        self._counted = 0

    async def run(self) -> None:
        """Writes down now and then what was paid and what has come back, for ever."""
        while True:
            self._note()
            await asyncio.sleep(_NOTE_S)
            await self._forget_closed()

    def _note(self) -> None:
        fees = self._fees()
        self.budgets.fees += fees - self._counted
        self._counted = fees
        self.budgets.note()

    def want(self, served: ServedSession, spend: Spend) -> None:
        """Takes a session's wish; the answer comes later. Accounts that are there are only noted."""
        if spend.held:
            self.budgets.held[served.entity] = spend
        else:
            self._spawn(self._answer(served, spend))

    async def _answer(self, served: ServedSession, spend: Spend) -> None:
        answer = await self.ask(served.entity, spend)
        if answer.refusal and not served.rent_refused:
            # it asks again and again, and counts once
            self._stats.refuse(answer.cause)
        served.rent_refused = bool(answer.refusal)
        self._deliver(served, answer)

    async def ask(self, entity: Pubkey, spend: Spend) -> Granted:
        """Decides about a wish. Before it refuses one, it finds out which sessions were closed."""
        self._note()
        try:
            self.budgets.balance = await self._balance()
        except AwmError as error:
            return Granted(f"the crank's balance is not known: {error}", "endpoint")
        if self.budgets.grant(entity, spend) is None:
            return Granted()
        await self._forget_closed()
        refused = self.budgets.grant(entity, spend)
        return Granted() if refused is None else Granted(refused.text, "rent" if refused.budget == "rent" else "budget")

    async def _forget_closed(self) -> None:
        budgets, live = self.budgets, self._live()
        charged = [entity for entity in budgets.held if entity not in live]
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
                    budgets.forget(entity)
