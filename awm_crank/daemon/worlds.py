"""Checks the World program on the endpoint, and finds the World account whose `apply` the crank calls.

If the configuration names no World account, the crank takes the first one that has an authority and runs matches,
otherwise the first permissionless one. If that account stops running matches, another one takes its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from solders.pubkey import Pubkey

from ..errors import AwmError, ProgramError
from ..net.rpc import RpcClient
from ..telemetry import logs
from ..wire import bolt, ids, interface, jsonrpc
from ..wire.worlds import Registry, World, best_world
from .patience import persist

_AGAIN_S = 0.25
_LOOK_S = 2.0
"""Between two looks at whether the world still runs matches."""


class WorldWatch:
    """Checks World's interface, finds a World account, and finds another when it no longer runs matches.

    A component is not tied to a World account, so a match can go on through any other.

    Args:
        rpc: the base chain's endpoint.
        named: the configured World account's address. Empty means: search for one.
    """

    def __init__(self, rpc: RpcClient, named: str) -> None:
        self._rpc = rpc
        self._named = Pubkey.from_string(named) if named else None
        self.checked = asyncio.Event()
        """Set once World is deployed and has the interface that this crank speaks."""
        self.key: Pubkey | None = None
        """The world, once it is known. It stays None until the interface is checked, so no frame is signed before."""
        self.problem = ""
        """Why no match can be served: the world no longer runs our systems, and no other does. Empty: none."""

    async def run(self) -> None:
        """Watches without end.

        Raises:
            ProgramError: World has another interface. The error names it.
        """
        await check_interface(self._rpc)
        self.checked.set()
        self.key = self._named or await find(self._rpc)
        logs.get().info("world", world=str(self.key))
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                await self._look()
            except AwmError as error:
                logs.get().debug("cannot look at the world", problem=str(error))

    async def _look(self) -> None:
        assert self.key is not None
        account = (await self._rpc.ask(jsonrpc.get_account_info(self.key))).value
        if account is not None and World.decode(account.raw).runs_matches:
            self.problem = ""
            return
        seized, other = self.key, await lowest(self._rpc)
        if not self.problem:
            logs.get().error(
                "the world no longer runs our systems", world=str(seized), other=str(other) if other else "none",
                reason="one of its authorities has approved others: choose another with chain.world",
            )  # fmt: skip
        self.problem = f"world {seized} no longer runs our systems"
        if other is not None:
            # matches go on; the crank is ready again as soon as the next check finds this World account in order
            self.key = other


async def check_interface(rpc: RpcClient) -> None:
    """Waits until World is deployed. Raises ProgramError, which names the interface found, if it is not the expected
    one.
    """

    async def look() -> None:
        request = jsonrpc.get_multiple_accounts(interface.world_accounts())
        found = (await rpc.ask(request, patience_s=0, deadline_s=10.0)).value
        interface.check_world_accounts([None if account is None else account.raw for account in found])

    def other(error: AwmError) -> bool:
        return isinstance(error, ProgramError) and not error.recoverable

    await persist(look, "the World program", fatal=other)


async def numbers(rpc: RpcClient, keys: Sequence[str]) -> frozenset[int]:
    """Returns the ids of those keys that are World accounts. Waits until the endpoint has answered."""

    async def look() -> frozenset[int]:
        found: set[int] = set()
        for at in range(0, len(keys), jsonrpc.MAX_ACCOUNTS):
            some = [Pubkey.from_string(key) for key in keys[at : at + jsonrpc.MAX_ACCOUNTS]]
            accounts = (await rpc.ask(jsonrpc.get_multiple_accounts(some), patience_s=0, deadline_s=10.0)).value
            for key, account in zip(some, accounts, strict=True):
                # an account that World does not own is a player or a model
                if account is None or account.owner_key != ids.WORLD:
                    continue
                try:
                    found.add(World.decode(account.raw, address=key).id)
                except AwmError as error:
                    logs.get().warning("an entry of crank.admitted is no world", problem=str(error))
        return frozenset(found)

    return await persist(look, "the worlds in crank.admitted")


async def find(rpc: RpcClient) -> Pubkey:
    """Searches until it finds a World account that runs matches."""
    while True:
        if (world := await persist(lambda: lowest(rpc), "a world that runs matches")) is not None:
            return world
        await asyncio.sleep(_AGAIN_S)


async def lowest(rpc: RpcClient) -> Pubkey | None:
    """Returns the first World account that has an authority and runs matches, else the first that runs them, else None.

    Raises:
        AwmError: the accounts cannot be read.
    """
    account = (await rpc.ask(jsonrpc.get_account_info(bolt.registry_pda()))).value
    count = 0 if account is None else Registry.decode(account.raw).worlds
    worlds: list[tuple[Pubkey, World]] = []
    for first in range(0, count, jsonrpc.MAX_ACCOUNTS):
        keys = [bolt.world_pda(number) for number in range(first, min(count, first + jsonrpc.MAX_ACCOUNTS))]
        found = (await rpc.ask(jsonrpc.get_multiple_accounts(keys))).value
        worlds += [(key, World.decode(each.raw)) for key, each in zip(keys, found, strict=True) if each is not None]
    return best_world(worlds)
