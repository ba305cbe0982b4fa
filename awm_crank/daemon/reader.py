"""Reads accounts for machines. All accounts wanted in one loop turn are read in as few requests as possible."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable

from ..errors import AwmError
from ..net.rpc import RpcClient
from ..session import events
from ..session.events import Role
from ..wire import jsonrpc
from .patience import hedged
from .session import ServedSession

_SMALL = 3
"""Accounts of one session that one request may read for many sessions. More include the big accounts."""
_SHORTEST_S, _LONGEST_S = 3.0, 24.0
"""How long an answer may take before the read counts as failed. The time doubles while reads time out."""

_Wanted = tuple[ServedSession, list[Role]]


class Reader:
    """Reads accounts.

    Args:
        rpc: the sessions' endpoint.
        deliver: called with `Fetched` or `FetchFailed` for each session.
        spawn: runs a request as a task.
    """

    def __init__(
        self,
        rpc: RpcClient,
        deliver: Callable[[ServedSession, events.Event], object],
        spawn: Callable[[Coroutine[object, object, None]], object],
    ) -> None:
        self._rpc, self._deliver, self._spawn = rpc, deliver, spawn
        self._wanted: dict[ServedSession, set[Role]] = {}
        self._patience = _SHORTEST_S

    def __len__(self) -> int:
        """The number of sessions whose accounts will be read in this turn."""
        return len(self._wanted)

    def want(self, served: ServedSession, roles: Iterable[Role]) -> None:
        """Queues a read of these accounts of a session, all at the same slot."""
        if not self._wanted:
            asyncio.get_running_loop().call_soon(self._start)
        self._wanted.setdefault(served, set()).update(roles)

    def drop(self, served: ServedSession) -> None:
        """Forgets a session that is no longer served."""
        self._wanted.pop(served, None)

    def _start(self) -> None:
        wanted, self._wanted = self._wanted, {}
        group: list[_Wanted] = []
        count = 0
        for served, roles in wanted.items():
            # with the large accounts, one answer for many sessions would be too large
            big = len(roles) > _SMALL
            if group and (big or count + len(roles) > jsonrpc.MAX_ACCOUNTS):
                self._spawn(self._read(group))
                group, count = [], 0
            group.append((served, list(roles)))
            count += len(roles)
            if big:
                self._spawn(self._read(group))
                group, count = [], 0
        if group:
            self._spawn(self._read(group))

    async def _read(self, group: list[_Wanted]) -> None:
        request = jsonrpc.get_multiple_accounts([served.keys[role] for served, roles in group for role in roles])
        patience = self._patience
        big = len(group[0][1]) > _SMALL
        try:
            answer = await hedged(
                lambda: self._rpc.ask(request, patience_s=0, deadline_s=patience),
                "getMultipleAccounts", total_s=patience, growth=2.0 if big else 1.0,
            )  # fmt: skip
            found = iter(answer.value)
            read = [(served, _fetched({role: next(found) for role in roles})) for served, roles in group]
        except AwmError as error:
            # an endpoint that is slow for every session gets more time
            self._patience = min(2 * patience, _LONGEST_S)
            for served, _ in group:
                self._deliver(served, events.FetchFailed(error))
            return
        self._patience = _SHORTEST_S
        for served, event in read:
            self._deliver(served, event)


def _fetched(accounts: dict[Role, jsonrpc.RpcAccount | None]) -> events.Fetched:
    deposit = accounts.get("deposit")
    data: dict[Role, bytes | None] = {
        role: None if account is None else account.raw for role, account in accounts.items()
    }
    return events.Fetched(data, 0 if deposit is None else deposit.lamports)
