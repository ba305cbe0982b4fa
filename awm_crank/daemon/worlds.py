"""The World program as the endpoint has it: its interface, and the world whose `apply` the crank calls.

Where the configuration names no world, it is the permissionless one with the lowest id.
"""

from __future__ import annotations

import asyncio

from solders.pubkey import Pubkey

from ..errors import AwmError, ProgramError
from ..net.rpc import RpcClient
from ..telemetry import logs
from ..wire import bolt, interface, jsonrpc
from ..wire.worlds import Registry, World

_AGAIN_S = 0.25


class WorldWatch:
    """Checks World's interface, then finds the world.

    Args:
        rpc: the base chain's endpoint.
        named: the configured world's address. Empty means to look for one.
    """

    def __init__(self, rpc: RpcClient, named: str) -> None:
        self._rpc = rpc
        self._named = Pubkey.from_string(named) if named else None
        self.checked = asyncio.Event()
        """Set once World is deployed and has the interface that this crank speaks."""
        self.key: Pubkey | None = None
        """The world, once it is known. It stays None until the interface is checked, so no frame is signed before."""

    async def run(self) -> None:
        """Looks until the world is known.

        Raises:
            ProgramError: World has another interface. The error names it.
        """
        await check_interface(self._rpc)
        self.checked.set()
        self.key = self._named or await find(self._rpc)
        logs.get().info("world", world=str(self.key))


async def check_interface(rpc: RpcClient) -> None:
    """Waits until World is deployed. Raises ProgramError when it has another interface, and names that interface."""
    log = logs.get()
    while True:
        try:
            found = (await rpc.ask(jsonrpc.get_multiple_accounts(interface.world_accounts()))).value
            interface.check_world_accounts([None if account is None else account.raw for account in found])
            return
        except AwmError as error:
            if isinstance(error, ProgramError) and not error.recoverable:
                raise
            log.debug("World not found yet", problem=str(error))
        await asyncio.sleep(_AGAIN_S)


async def find(rpc: RpcClient) -> Pubkey:
    """Looks until there is a permissionless world."""
    log = logs.get()
    while True:
        try:
            if (world := await lowest(rpc)) is not None:
                return world
        except AwmError as error:
            log.debug("no world found yet", problem=str(error))
        await asyncio.sleep(_AGAIN_S)


async def lowest(rpc: RpcClient) -> Pubkey | None:
    """The permissionless world with the lowest id, or None when there is none. Raises AwmError."""
    account = (await rpc.ask(jsonrpc.get_account_info(bolt.registry_pda()))).value
    count = 0 if account is None else Registry.decode(account.raw).worlds
    for first in range(0, count, jsonrpc.MAX_ACCOUNTS):
        keys = [bolt.world_pda(number) for number in range(first, min(count, first + jsonrpc.MAX_ACCOUNTS))]
        found = (await rpc.ask(jsonrpc.get_multiple_accounts(keys))).value
        for key, world in zip(keys, found, strict=True):
            if world is not None and World.decode(world.raw).permissionless:
                return key
    return None
