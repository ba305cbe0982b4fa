"""What sessions' accounts may cost: the rent that lies in them, and the limit on all of it together."""

from __future__ import annotations

from collections.abc import Set

from solders.pubkey import Pubkey

from ..config import Crank
from ..errors import AwmError
from ..net.rpc import RpcClient
from ..telemetry import logs
from ..wire import jsonrpc, programs


class Rent:
    """The rent of each session's accounts, as far as this process knows them.

    Args:
        limits: `total_spend_limit_lamports`.
    """

    def __init__(self, limits: Crank) -> None:
        self._limit = limits.total_spend_limit_lamports
        self._spent: dict[Pubkey, int] = {}

    @property
    def spent(self) -> int:
        """Lamports in all sessions' accounts."""
        return sum(self._spent.values())

    def charge(self, entity: Pubkey, lamports: int) -> None:
        """A session's accounts hold that much."""
        self._spent[entity] = lamports

    def too_dear(self, entity: Pubkey, lamports: int) -> str:
        """Why a session's accounts may not be made; empty where they may, and then they are charged."""
        spent = self.spent - self._spent.get(entity, 0)
        if spent + lamports > self._limit:
            return (
                f"its accounts would cost {lamports} lamports beyond the {spent} that lie in other sessions'; "
                f"crank.total_spend_limit_lamports allows {self._limit}"
            )
        self.charge(entity, lamports)
        return ""

    def charged(self) -> list[Pubkey]:
        """The entities whose accounts are charged."""
        return list(self._spent)

    def closed(self, entity: Pubkey) -> None:
        """A session's accounts are gone, and their rent is back."""
        self._spent.pop(entity, None)


async def settle(rent: Rent, rpc: RpcClient, live: Set[Pubkey]) -> None:
    """Finds the sessions, but for the `live` ones, that were closed meanwhile."""
    charged = [entity for entity in rent.charged() if entity not in live]
    for at in range(0, len(charged), jsonrpc.MAX_ACCOUNTS):
        entities = charged[at : at + jsonrpc.MAX_ACCOUNTS]
        keys = [programs.checkpoint_pda(entity, 0) for entity in entities]
        try:
            answer = await rpc.post(jsonrpc.get_multiple_accounts(1, keys))
            found = jsonrpc.decode_result(answer, jsonrpc.AccountsResult, "getMultipleAccounts").value
        except AwmError as error:
            logs.get().warning("cannot look for closed sessions", problem=str(error))
            return
        for entity, account in zip(entities, found, strict=True):
            if account is None:
                rent.closed(entity)
