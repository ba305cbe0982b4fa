"""What the crank may spend: the guests' share of its money, and the budgets of an hour and a day. Pure.

A *guest* is a match that the crank serves for anyone: it is not in `crank.admitted`, and no deposit pays its frames.
Guests together may use a share of every budget, and one player a quarter of that share. So neither one stranger nor all
strangers together can use up the money that other matches need: those with a deposit, those on the list, and those that
are running.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice, takewhile
from typing import NamedTuple

import msgspec
from solders.pubkey import Pubkey

from ..config import CrankConfig
from ..session.commands import Spend
from ..telemetry.stats import Budget
from ..wire import ids

FEE_LAMPORTS = 5_000
"""The network's fee for a transaction with one signature."""
_PLAYER_PART = 4
"""A player may hold one part in this many of the guests' share."""
_HOUR_S, _DAY_S = 3_600, 86_400
_NOTE_S = 60.0
_UNSEEN_S = 5.0
"""How long a grant counts as not taken off the balance yet."""
_LONGEST_LINE = 16
"""How many earlier wishes are looked at before a guest's wish is granted."""
_PATIENCE_S = 30.0
"""A wish that has not come again for this long no longer waits."""


class Refused(NamedTuple):
    """Why a request to spend was refused."""

    budget: str
    text: str


class _Wish(NamedTuple):
    spend: Spend
    budget: str
    last: float


class Budgets:
    """Records what was spent for which session, and decides about each request to spend.

    Args:
        limits: the `[crank]` settings.
        clock: seconds, monotonic.
    """

    def __init__(self, limits: CrankConfig, clock: Callable[[], float]) -> None:
        self._limits, self._clock = limits, clock
        self.held: dict[Pubkey, Spend] = {}
        """Entity → what its accounts hold, and for whom."""
        self.balance = 0
        """Lamports on the crank's key, as last read."""
        self.fees = 0
        """Lamports paid in fees so far. A deposit pays its match's back, and a rollup takes none."""
        self._guest_fees = 0
        self._granted = 0
        """Rent that was granted so far; closing a session takes nothing off."""
        self._history: deque[tuple[float, int, int]] = deque()
        """(moment, rent granted and fees paid until then, guests' fees until then), oldest first."""
        self._wishes: dict[Pubkey, _Wish] = {}
        self._unseen: deque[tuple[float, int]] = deque()
        """(moment, lamports) of grants that the balance may not show yet."""

    # -- what happened --------------------------------------------------------------------------------------------

    def paid(self, entity: Pubkey, transactions: int) -> None:
        """Counts the fees of a session's transactions."""
        spend = self.held.get(entity)
        if spend is not None and spend.payer == "guest":
            self._guest_fees += FEE_LAMPORTS * transactions
        elif spend is not None and spend.payer in ("deposit", "nobody"):
            self.fees -= FEE_LAMPORTS * transactions

    def note(self) -> None:
        """Records what was paid until now. Call it at least once a minute, so that the budgets' windows are exact to a
        minute.
        """
        now = self._clock()
        if not self._history or now - self._history[-1][0] >= _NOTE_S:
            self._history.append((now, self._granted + self.fees, self._guest_fees))
        while len(self._history) > 1 and self._history[1][0] <= now - _DAY_S:
            self._history.popleft()

    def forget(self, entity: Pubkey) -> None:
        """A session's accounts are closed, and their rent is back."""
        self.held.pop(entity, None)
        self._wishes.pop(entity, None)

    @property
    def rent(self) -> int:
        """Lamports in all sessions' accounts that the crank paid for."""
        return sum(spend.lamports for spend in self.held.values())

    # -- what is allowed ------------------------------------------------------------------------------------------

    def grant(self, entity: Pubkey, spend: Spend) -> Refused | None:
        """Decides about a request to spend, and records it. Returns None if the lamports may be spent."""
        refused = self._refusal(entity, spend) or self._behind_others(entity, spend)
        now = self._clock()
        if refused is not None:
            # a repeated request keeps its place in the queue
            self._wishes[entity] = _Wish(spend, refused.budget, now)
            return refused
        self._wishes.pop(entity, None)
        if spend.going_on:
            # the rent in its accounts stays counted as before; from now on, the crank pays for its frames
            held = self.held.get(entity, spend)
            self.held[entity] = msgspec.structs.replace(held, payer="guest", players=spend.players)
        else:
            self._granted += spend.lamports
            self._unseen.append((now, spend.lamports))
            self.held[entity] = spend
        return None

    def lines(self) -> list[Budget]:
        """Each budget that has a limit: the limit, what is spent of it, and what waits for it."""
        self._expire()
        limit, spent = self._guests()
        found = [("guests", limit, spent)] if self._limits.guest_share_percent < 100 else []
        found += [(name, limit, self._since(seconds)[0]) for name, seconds, limit, _ in self._windows() if limit]
        found.append(("rent", self._limits.total_spend_limit_lamports, self.rent))
        waiting = {
            name: sum(w.spend.lamports for w in self._wishes.values() if w.budget == name) for name, _, _ in found
        }
        return [Budget(name, limit, spent, waiting[name]) for name, limit, spent in found]

    def _refusal(self, entity: Pubkey, spend: Spend) -> Refused | None:
        if spend.payer == "guest" and (refused := self._beyond_share(entity, spend)):
            return refused
        if spend.going_on or (not spend.lamports and spend.payer != "guest"):
            # a running match is never stopped for a budget, and one that a deposit pays for costs nothing
            return None
        return self._over_budget(spend) or self._below_reserve(spend) or self._too_dear(entity, spend)

    def _beyond_share(self, entity: Pubkey, spend: Spend) -> Refused | None:
        share = self._limits.guest_share_percent
        if share >= 100:
            return None
        limit, spent = self._guests(without=entity)
        mine = self.held.get(entity)
        wanted = mine.lamports if spend.going_on and mine is not None else spend.lamports
        others = [held for key, held in self.held.items() if held.payer == "guest" and key != entity]
        rent = sum(held.lamports for held in others)
        allowed = (
            f"crank.guest_share_percent allows {limit} of the crank's money for matches that nobody pays for; they "
            f"have {spent}"
        )
        # the first match is served at any price, as long as fees have not used up the share
        if spent + (wanted if rent else 0) > limit:
            return Refused("guests", f"{allowed}, and this one would take {wanted}")
        if spend.going_on:
            self._expire()
            waits = any(wish.budget == "guests" and not wish.spend.going_on for wish in self._wishes.values())
            return Refused("guests", f"{allowed}, and others wait for it") if waits else None
        for player in set(spend.players) - {ids.ZERO_KEY}:
            has = sum(held.lamports for held in others if player in held.players)
            if has and has + wanted > limit // _PLAYER_PART:
                return Refused(
                    "guests", f"player {player} holds {has} of the {limit // _PLAYER_PART} lamports that one player may"
                )
        return None

    def _guests(self, without: Pubkey | None = None) -> tuple[int, int]:
        """The guests' share of the budget, and how much of it they use: rent in their accounts, and their fees of one
        day.
        """
        fees = self._since(_DAY_S)[1]
        guests = [held.lamports for key, held in self.held.items() if held.payer == "guest" and key != without]
        return (self._left() + self.rent + fees) * self._limits.guest_share_percent // 100, sum(guests) + fees

    def _left(self) -> int:
        """The balance minus the amounts that were granted recently and that the balance may not show yet."""
        while self._unseen and self._clock() - self._unseen[0][0] > _UNSEEN_S:
            self._unseen.popleft()
        return max(0, self.balance - sum(lamports for _, lamports in self._unseen))

    def _since(self, seconds: int) -> tuple[int, int]:
        """The lamports that were paid in the last `seconds`: in total, and as guests' fees."""
        start = self._clock() - seconds
        # between two calls of `note`, this counts too much rather than too little
        before = max(((paid, fees) for at, paid, fees in self._history if at <= start), default=(0, 0))
        return self._granted + self.fees - before[0], self._guest_fees - before[1]

    def _windows(self) -> list[tuple[str, int, int, str]]:
        limits = self._limits
        return [
            ("hour", _HOUR_S, limits.hourly_budget_lamports, "hourly_budget_lamports"),
            ("day", _DAY_S, limits.daily_budget_lamports, "daily_budget_lamports"),
        ]

    def _over_budget(self, spend: Spend) -> Refused | None:
        share = self._limits.guest_share_percent if spend.payer == "guest" else 100
        for name, seconds, whole, setting in self._windows():
            limit, paid = whole * share // 100, self._since(seconds)[0]
            if whole and paid + spend.lamports > limit:
                part = f", {limit} of it for matches that nobody pays for" if limit < whole else ""
                return Refused(name, f"{paid} lamports were paid in {seconds} s; crank.{setting} allows {whole}{part}")
        return None

    def _below_reserve(self, spend: Spend) -> Refused | None:
        reserve, left = self._limits.reserve_lamports, self._left() - spend.lamports
        if not spend.lamports or left >= reserve:
            return None
        return Refused(
            "reserve", f"its accounts cost {spend.lamports} lamports, which would leave {left}; crank.reserve_lamports "
            f"keeps {reserve} for running matches",
        )  # fmt: skip

    def _too_dear(self, entity: Pubkey, spend: Spend) -> Refused | None:
        mine = self.held.get(entity)
        rent = self.rent - (0 if mine is None else mine.lamports)
        if rent + spend.lamports <= self._limits.total_spend_limit_lamports:
            return None
        return Refused(
            "rent", f"its accounts would cost {spend.lamports} lamports, and other sessions' accounts hold {rent}; "
            f"crank.total_spend_limit_lamports allows {self._limits.total_spend_limit_lamports} in all",
        )  # fmt: skip

    def _behind_others(self, entity: Pubkey, spend: Spend) -> Refused | None:
        """Guests are served in the order in which they came, so that nobody gets ahead by asking more often."""
        if spend.payer != "guest" or spend.going_on:
            return None
        self._expire()
        earlier = takewhile(lambda item: item[0] != entity, self._wishes.items())
        guests = ((key, wish) for key, wish in earlier if wish.spend.payer == "guest" and not wish.spend.going_on)
        for key, wish in islice(guests, _LONGEST_LINE):
            if self._refusal(key, wish.spend) is None:
                return Refused(wish.budget, "other matches that nobody pays for have waited longer")
        return None

    def _expire(self) -> None:
        now = self._clock()
        for key in [key for key, wish in self._wishes.items() if now - wish.last > _PATIENCE_S]:
            del self._wishes[key]
