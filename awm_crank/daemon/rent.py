"""Asks the chain for the crank's balance and for closed sessions, and answers machines' requests to spend with
`Budgets`.
"""

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
    """Decides about the machines' `Spend` commands.

    Args:
        limits: the `[crank]` settings.
        rpc: the sessions' endpoint.
        fees: lamports that this process has paid in fees so far.
        clock: seconds, monotonic.
        balance: asks for the lamports on the crank's key.
        live: the entities of the sessions that are being served, which are not closed.
        deliver: called with the answer to each `Spend` command of a session.
        spawn: runs a request to the endpoint as a task.
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
        """Records at intervals what was paid and what has come back, without end."""
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
        """Takes a session's `Spend` command; the answer is delivered later. Accounts that exist already are only
        recorded.
        """
        if spend.held:
            self.budgets.held[served.entity] = spend
        else:
            self._spawn(self._answer(served, spend))

    async def _answer(self, served: ServedSession, spend: Spend) -> None:
        answer = await self.ask(served.entity, spend)
        if answer.refusal and not served.rent_refused:
            # the machine asks again and again, but the refusal is counted once
            self._stats.refuse(answer.cause)
        served.rent_refused = bool(answer.refusal)
        self._deliver(served, answer)

    async def ask(self, entity: Pubkey, spend: Spend) -> Granted:
        """Decides about a request to spend. Before it refuses one, it checks which sessions were closed."""
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
