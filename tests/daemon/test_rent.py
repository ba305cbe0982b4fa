"""The limit on what the accounts of all sessions may cost together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from awm_crank.config import CrankConfig
from awm_crank.daemon.rent import Rent
from awm_crank.errors import RpcError
from awm_crank.net.rpc import RpcClient


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60), st.booleans())))
def test_rent(steps: list[tuple[int, int, bool]]) -> None:
    """In whatever order sessions ask and close, the sum that was granted never exceeds the limit."""
    rent = Rent(CrankConfig(total_spend_limit_lamports=100), RpcClient("http://127.0.0.1:1"))
    entities = [Pubkey.new_unique() for _ in range(6)]
    held: dict[int, int] = {}
    for which, lamports, close in steps:
        if close:
            rent.closed(entities[which])
            held.pop(which, None)
        else:
            fits = sum(held.values()) - held.get(which, 0) + lamports <= 100
            assert (rent.too_dear(entities[which], lamports) == "") == fits
            if fits:
                held[which] = lamports
        assert rent.spent == sum(held.values()) <= 100
        assert set(rent.charged()) == {entities[n] for n in held}


def test_rent_that_lies_there() -> None:
    """Rent that is found on chain counts, even beyond the limit."""
    rent = Rent(CrankConfig(total_spend_limit_lamports=100), RpcClient("http://127.0.0.1:1"))
    rent.charge(Pubkey.new_unique(), 150)
    assert "crank.total_spend_limit_lamports" in rent.too_dear(Pubkey.new_unique(), 1)


async def test_budget() -> None:
    """Rent and fees of the last hour and day count together; closing gives no budget back, time does."""
    now, fees = 0.0, 0
    limits = CrankConfig(hourly_budget_lamports=100, daily_budget_lamports=150)
    rent = Rent(limits, RpcClient("http://127.0.0.1:1"), lambda: fees, lambda: now)
    entities = [Pubkey.new_unique() for _ in range(6)]
    assert await rent.ask(entities[0], 60, set()) == ""
    rent.closed(entities[0])
    fees = 30
    assert "crank.hourly_budget_lamports" in await rent.ask(entities[1], 20, set())
    assert await rent.ask(entities[1], 10, set()) == ""
    now = 3_601.0
    assert await rent.ask(entities[2], 50, set()) == ""
    assert "crank.daily_budget_lamports" in await rent.ask(entities[3], 1, set())
    now = 3_601.0 + 86_401.0
    assert await rent.ask(entities[4], 100, set()) == ""


async def test_reserve() -> None:
    """What running matches need for fees is not spent on the accounts of a new session."""
    balance = [1_000]

    async def ask() -> int:
        return balance[0]

    rent = Rent(CrankConfig(reserve_lamports=300), RpcClient("http://127.0.0.1:1"), balance=ask)
    assert "crank.reserve_lamports keeps 300" in await rent.ask(Pubkey.new_unique(), 701, set())
    assert await rent.ask(Pubkey.new_unique(), 700, set()) == ""
    balance[0] = 0
    assert await rent.ask(Pubkey.new_unique(), 0, set()) == ""


async def test_reserve_when_the_balance_is_not_known() -> None:
    """An endpoint that does not say the balance delays a session, and nothing else."""

    async def ask() -> int:
        raise RpcError("getBalance failed")

    rent = Rent(CrankConfig(), RpcClient("http://127.0.0.1:1"), balance=ask)
    assert "getBalance failed" in await rent.ask(Pubkey.new_unique(), 1, set())
