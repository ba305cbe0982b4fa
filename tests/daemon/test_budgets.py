"""Who may spend how much of the crank's money: guests, players, hours and days."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from awm_crank.config import CrankConfig
from awm_crank.daemon.budgets import FEE_LAMPORTS, Budgets
from awm_crank.session.commands import Spend
from awm_crank.session.settings import Payer

SOL = 10**9
RENT = 560_000_000
"""What a small model's accounts cost."""


class World:
    """Budgets with a clock and a wallet that pays what is granted."""

    def __init__(self, balance: int, **limits: Any) -> None:
        self.now = 1_000.0
        self.budgets = Budgets(CrankConfig(**limits), lambda: self.now)
        self.budgets.balance = balance

    def ask(
        self, payer: Payer = "guest", lamports: int = RENT, players: tuple[Pubkey, Pubkey] | None = None,
        entity: Pubkey | None = None, going_on: bool = False,
    ) -> str:  # fmt: skip
        """Asks for lamports. Returns the budget that refuses them, or "". The wallet pays within a minute."""
        players = players or (Pubkey.new_unique(), Pubkey.new_unique())
        spend = Spend(lamports, False, payer, players, going_on)
        refused = self.budgets.grant(entity or Pubkey.new_unique(), spend)
        if refused is None:
            self.pass_time(60)
            self.budgets.balance -= spend.lamports
        return "" if refused is None else refused.budget

    def pass_time(self, seconds: float) -> None:
        """Advances the clock, while the crank records its payments."""
        for _ in range(int(seconds // 60)):
            self.now += 60
            self.budgets.note()


def test_strangers_with_many_keys() -> None:
    """Guests of ever new keys get half of the money. A deposit and the list are served from the other half."""
    world = World(4 * SOL)
    answers = [world.ask() for _ in range(7)]
    assert answers == ["", "", "", "guests", "guests", "guests", "guests"]
    assert world.budgets.balance > 2 * SOL
    assert world.ask("operator") == ""
    assert world.ask("deposit", 0) == ""


def test_one_stranger() -> None:
    """One key, as player 1 or 2, gets a quarter of the guests' share, or one match. Another player is then served."""
    for seat in (0, 1):
        world, same = World(4 * SOL), Pubkey.new_unique()

        def pair(seat: int = seat, same: Pubkey = same) -> tuple[Pubkey, Pubkey]:
            other = Pubkey.new_unique()
            return (same, other) if seat == 0 else (other, same)

        assert [world.ask(players=pair()) for _ in range(7)] == ["", *["guests"] * 6]
        world.pass_time(60)
        assert world.ask() == ""
    rich, same = World(40 * SOL), Pubkey.new_unique()
    answers = [rich.ask(players=(same, Pubkey.new_unique())) for _ in range(12)]
    assert answers.count("") == 20 * SOL // 4 // RENT == 8


def test_the_first_match_is_served_however_dear() -> None:
    """A crank whose money is enough for one match serves one."""
    world = World(2 * SOL)
    assert world.ask(lamports=1_500_000_000) == ""
    assert world.ask(lamports=1) == "guests"


def test_grants_that_the_balance_does_not_show_yet() -> None:
    """A burst of wishes is decided on what is left, although the balance was read before any of them was paid."""
    world = World(4 * SOL)
    spends = [Spend(RENT, False, "guest", (Pubkey.new_unique(), Pubkey.new_unique())) for _ in range(7)]
    granted = [world.budgets.grant(Pubkey.new_unique(), spend) is None for spend in spends]
    assert granted.count(True) == 3


def test_fees_of_guests_count_for_a_day() -> None:
    """What guests' frames cost uses their share up, and time gives it back. Frames that a deposit pays do not count."""
    world, guest, paid = World(4 * SOL), Pubkey.new_unique(), Pubkey.new_unique()
    assert world.ask(entity=guest) == world.ask("deposit", 0, entity=paid) == ""
    world.budgets.fees += FEE_LAMPORTS * 600_000
    world.budgets.paid(paid, 200_000)
    world.budgets.paid(guest, 400_000)
    assert world.budgets.fees == FEE_LAMPORTS * 400_000
    world.budgets.forget(guest)
    world.pass_time(60)
    assert world.ask() == ""
    assert world.ask() == "guests"
    world.pass_time(25 * 3600)
    assert world.ask() == ""


def test_hour_and_day() -> None:
    """Guests may use their part of a budget, the list all of it, and a deposit needs none. Time gives it back."""
    world = World(10**12, hourly_budget_lamports=100, daily_budget_lamports=150, reserve_lamports=0)
    assert world.ask(lamports=50) == ""
    assert world.ask(lamports=1) == "hour"
    assert world.ask("operator", 50) == ""
    assert world.ask("operator", 1) == "hour"
    assert world.ask("deposit", 0) == ""
    world.pass_time(3_600)
    assert world.ask(lamports=1) == "day"
    assert world.ask("operator", 50) == ""
    assert world.ask("operator", 1) == "day"
    world.pass_time(86_400)
    assert world.ask("operator", 100) == ""


def test_a_running_match_is_stopped_by_no_budget() -> None:
    """After its guaranteed frames, a guest's match continues, unless the guests' share is used up or another guest
    waits.
    """
    world, running = World(4 * SOL, hourly_budget_lamports=1), Pubkey.new_unique()
    world.budgets.held[running] = Spend(RENT, True, "guest")
    assert world.ask(lamports=0, entity=running, going_on=True) == ""
    assert world.budgets.held[running].lamports == RENT
    assert world.ask() == "hour"
    world = World(4 * SOL)
    world.budgets.held[running] = Spend(RENT, True, "guest")
    assert world.ask(lamports=2 * SOL) == "guests"
    assert world.ask(lamports=0, entity=running, going_on=True) == "guests"
    world.now += 31
    assert world.ask(lamports=0, entity=running, going_on=True) == ""
    world.budgets.fees += 3 * SOL
    world.budgets.balance -= 3 * SOL
    world.budgets.paid(running, 3 * SOL // FEE_LAMPORTS)
    assert world.ask(lamports=0, entity=running, going_on=True) == "guests"


def test_first_come() -> None:
    """When money is available again, the guest that has waited longest gets it, no matter how often others ask."""
    world, first = World(4 * SOL), Pubkey.new_unique()
    held = [Pubkey.new_unique() for _ in range(3)]
    assert [world.ask(entity=entity) for entity in held] == ["", "", ""]
    assert world.ask(entity=first) == "guests"
    for _ in range(3):
        assert world.ask() == "guests"
    world.budgets.forget(held[0])
    world.budgets.balance += RENT
    assert world.ask() == "guests"
    assert world.ask(entity=first) == ""
    assert world.ask() == "guests"


def test_reserve() -> None:
    """What running matches need for fees is not spent on the accounts of a new session."""
    world = World(1_000, reserve_lamports=300)
    assert world.ask("operator", 701) == "reserve"
    assert world.ask("operator", 700) == ""
    assert world.ask("deposit", 0) == ""


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60), st.booleans())))
def test_total(steps: list[tuple[int, int, bool]]) -> None:
    """In whatever order sessions ask and close, the sum that was granted never exceeds the limit."""
    world = World(10**12, total_spend_limit_lamports=100)
    entities = [Pubkey.new_unique() for _ in range(6)]
    held: dict[int, int] = {}
    for which, lamports, close in steps:
        if close:
            world.budgets.forget(entities[which])
            held.pop(which, None)
            continue
        fits = lamports == 0 or sum(held.values()) - held.get(which, 0) + lamports <= 100
        assert (world.ask("operator", lamports, entity=entities[which]) == "") == fits
        if fits:
            held[which] = lamports
        assert world.budgets.rent == sum(held.values()) <= 100


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 2 * SOL)), max_size=40), st.integers(1, 99)
)
def test_guests_never_take_more_than_their_share(wishes: list[tuple[int, int, int]], share: int) -> None:
    """Whoever asks for whatever, beyond the first match guests hold at most their share of the money."""
    world = World(10 * SOL, guest_share_percent=share, reserve_lamports=0)
    keys = [Pubkey.new_unique() for _ in range(10)]
    for one, two, lamports in wishes:
        world.ask(lamports=lamports, players=(keys[one], keys[two]))
    held = [spend.lamports for spend in world.budgets.held.values()]
    assert len(held) <= 1 or sum(held) <= 10 * SOL * share // 100
    assert world.budgets.balance + sum(held) == 10 * SOL


def test_lines() -> None:
    """Each budget with a limit says what it allows, what counts against it, and what waits for it."""
    world = World(4 * SOL, daily_budget_lamports=10 * SOL)
    assert world.ask(lamports=RENT) == ""
    assert world.ask(lamports=2 * SOL) == "guests"
    assert {line.name: line[1:] for line in world.budgets.lines()} == {
        "guests": (2 * SOL, RENT, 2 * SOL), "day": (10 * SOL, RENT, 0), "rent": (100 * SOL, RENT, 0),
    }  # fmt: skip
    assert [line.name for line in World(SOL, guest_share_percent=100).budgets.lines()] == ["rent"]
