"""Machines' wishes to spend, answered with what the chain says."""

from __future__ import annotations

from typing import Any

import pytest
from daemon import fakes

from awm_crank.config import CrankConfig
from awm_crank.daemon.rent import Rent
from awm_crank.daemon.session import ServedSession
from awm_crank.errors import RpcError
from awm_crank.net.rpc import RpcClient
from awm_crank.session.commands import Spend
from awm_crank.session.events import Granted
from awm_crank.telemetry.stats import Stats


class Asked:
    """A Rent with a balance that the test sets, and its answers."""

    def __init__(self, **limits: Any) -> None:
        self.balance: int | RpcError = 10**12
        self.hands, self.stats = fakes.Hands(), Stats()
        self.answers: list[Granted] = []
        rpc = RpcClient("http://127.0.0.1:1", retry_s=0)
        self.rent = Rent(
            CrankConfig(**limits), rpc, lambda: 0, self._balance, set, self._take, self.hands.spawn, self.stats
        )

    async def _balance(self) -> int:
        if isinstance(self.balance, RpcError):
            raise self.balance
        return self.balance

    def _take(self, _: ServedSession, event: Any) -> None:
        self.answers.append(event)

    async def want(self, lamports: int, served: ServedSession | None = None, *, held: bool = False) -> Granted | None:
        """Asks for the rent of one of the operator's own matches. Returns the answer; None if there is none."""
        self.answers.clear()
        self.rent.want(served or fakes.session(), Spend(lamports, held))
        await self.hands.settle()
        return self.answers[0] if self.answers else None


async def test_wishes() -> None:
    """A wish within the limits is granted. One beyond them is refused with the limit's name, and counts once."""
    asked, served = Asked(total_spend_limit_lamports=100), fakes.session()
    assert await asked.want(100) == Granted()
    for _ in range(3):
        answer = await asked.want(1, served)
        assert answer is not None
        assert answer.cause == "rent"
        assert "crank.total_spend_limit_lamports allows 100" in answer.refusal
    assert asked.stats.refused_sessions == {"rent": 1}


async def test_rent_that_lies_there() -> None:
    """Rent that is found on chain counts, even beyond the limit, and asks for no answer."""
    asked = Asked(total_spend_limit_lamports=100)
    assert await asked.want(150, held=True) is None
    answer = await asked.want(1)
    assert answer is not None
    assert answer.cause == "rent"


async def test_balance_unknown() -> None:
    """An endpoint that does not say the balance delays a session, which does not look like the session's own fault."""
    asked = Asked()
    asked.balance = RpcError("getBalance failed")
    answer = await asked.want(1)
    assert answer is not None
    assert answer.cause == "endpoint"
    assert "getBalance failed" in answer.refusal


@pytest.mark.parametrize("balance", [0, 49_999_999])
async def test_reserve(balance: int) -> None:
    """Below the reserve, a new session waits for the budget."""
    asked = Asked()
    asked.balance = balance
    answer = await asked.want(1)
    assert answer is not None
    assert (answer.cause, "crank.reserve_lamports keeps 50000000" in answer.refusal) == ("budget", True)
    assert not asked.rent.budgets.held
