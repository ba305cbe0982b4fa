"""World as the endpoint has it: its interface, and the world that applies name where the configuration names none.

That is the permissionless one of the lowest id.
"""

from __future__ import annotations

import asyncio

from solders.pubkey import Pubkey

from ..errors import AwmError, ProgramError
from ..net.rpc import RpcClient
from ..telemetry import logs
from ..wire import bolt, interface, jsonrpc
from ..wire.worlds import Registry, World

_LOOK_AGAIN_S = 0.25


async def check_interface(rpc: RpcClient) -> None:
    """Waits until World is deployed. Raises ProgramError when it has another interface than ours, and names that."""
    log = logs.get()
    while True:
        try:
            answer = await rpc.post(jsonrpc.get_multiple_accounts(1, interface.world_accounts()))
            found = jsonrpc.decode_result(answer, jsonrpc.AccountsResult, "getMultipleAccounts").value
            interface.check_world_accounts([None if account is None else account.raw for account in found])
            return
        except AwmError as error:
            if isinstance(error, ProgramError) and not error.recoverable:
                raise
            log.debug("no World yet", problem=str(error))
        await asyncio.sleep(_LOOK_AGAIN_S)


async def find(rpc: RpcClient) -> Pubkey:
    """Looks until there is one."""
    log = logs.get()
    while True:
        try:
            if (world := await lowest(rpc)) is not None:
                return world
        except AwmError as error:
            log.debug("no world yet", problem=str(error))
        await asyncio.sleep(_LOOK_AGAIN_S)


async def lowest(rpc: RpcClient) -> Pubkey | None:
    """The permissionless world of the lowest id; None where there is none. Raises AwmError."""
    answer = await rpc.post(jsonrpc.get_account_info(1, bolt.registry_pda()))
    account = jsonrpc.decode_result(answer, jsonrpc.AccountResult, "getAccountInfo").value
    count = 0 if account is None else Registry.decode(account.raw).worlds
    for first in range(0, count, jsonrpc.MAX_ACCOUNTS):
        keys = [bolt.world_pda(number) for number in range(first, min(count, first + jsonrpc.MAX_ACCOUNTS))]
        answer = await rpc.post(jsonrpc.get_multiple_accounts(1, keys))
        found = jsonrpc.decode_result(answer, jsonrpc.AccountsResult, "getMultipleAccounts").value
        for key, world in zip(keys, found, strict=True):
            if world is not None and World.decode(world.raw).permissionless:
                return key
    return None
