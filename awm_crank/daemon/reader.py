"""Accounts read for machines: what all asked for in one loop turn, in as few requests as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from ..errors import AwmError
from ..net.rpc import RpcClient
from ..session import events
from ..session.events import Role
from ..wire import jsonrpc
from .session import ServedSession

_PATIENCE_S = 2.0
"""For how long one read is tried again here; after that the machine knows, and asks again by itself."""
_SMALL = 3
"""Roles that one answer can hold of many sessions; more means the big accounts as well."""


class Reader:
    """Reads accounts.

    Args:
        rpc: the sessions' endpoint.
        deliver: given `Fetched` or `FetchFailed` for each session.
        spawn: runs a request as a task.
    """

    def __init__(
        self,
        rpc: RpcClient,
        deliver: Callable[[ServedSession, events.Event], object],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._rpc, self._deliver, self._spawn = rpc, deliver, spawn
        self._wanted: dict[ServedSession, set[Role]] = {}

    def __len__(self) -> int:
        """Sessions whose accounts are to be read in this turn."""
        return len(self._wanted)

    def want(self, served: ServedSession, roles: Iterable[Role]) -> None:
        """Reads these of a session's accounts, all at one moment."""
        if not self._wanted:
            asyncio.get_running_loop().call_soon(self._start)
        self._wanted.setdefault(served, set()).update(roles)

    def drop(self, served: ServedSession) -> None:
        """The session is served no more."""
        self._wanted.pop(served, None)

    def _start(self) -> None:
        wanted, self._wanted = self._wanted, {}
        group: list[tuple[ServedSession, list[Role]]] = []
        count = 0
        for served, roles in wanted.items():
            # the big accounts would make one answer of many sessions too large
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

    async def _read(self, group: list[tuple[ServedSession, list[Role]]]) -> None:
        keys = [served.keys[role] for served, roles in group for role in roles]
        try:
            found = iter((await self._rpc.ask(jsonrpc.get_multiple_accounts(keys), patience_s=_PATIENCE_S)).value)
        except AwmError as error:
            for served, _ in group:
                self._deliver(served, events.FetchFailed(error))
            return
        read = [(served, {role: _raw(next(found)) for role in roles}) for served, roles in group]
        for served, accounts in read:
            self._deliver(served, events.Fetched(accounts))


def _raw(account: jsonrpc.RpcAccount | None) -> bytes | None:
    return None if account is None else account.raw
