"""Prepares the accounts that a session needs: asks who may pay for them, and plans transactions until all are
on chain.
"""

from __future__ import annotations

from solders.instruction import Instruction

from ..engine.api import Engine
from ..wire.accounts import ENDED, WAITING_PLAYERS, Checkpoint, SessionState
from . import setup
from .checkpoints import Cadence
from .commands import Spend
from .effects import ALL, Effects
from .events import Cause, Role
from .terms import Terms

_SAME_PLAN_TRIES = 5
"""Reads that must show no effect of set-up transactions that were accepted, before they are sent again."""


class Preparing:
    """Decides which accounts to make next, and who pays. `plan` and `problem` hold the last decision."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self.granted = False
        """The crank may spend what the session costs it."""
        self.plan: list[tuple[Instruction, ...]] = []
        """The transactions to send now."""
        self.problem: tuple[str, Cause] | None = None
        """What keeps the accounts from being made, and its kind."""
        self._sent: list[tuple[Instruction, ...]] = []
        self._same = 0
        """Reads that showed no effect of what was sent."""

    def refused(self) -> None:
        """A transaction of the plan was refused, so the plan is sent again even if it is the same."""
        self._same = _SAME_PLAN_TRIES

    def is_whole(
        self, engine: Engine, session: SessionState, accounts: dict[Role, bytes | None], terms: Terms, cadence: Cadence
    ) -> bool:
        """Whether checkpoints and ring are complete. If not, sets `plan` or `problem`, or asks for the lamports.

        Before player 2 has joined, nothing is made at the crank's own expense.
        """
        effects, settings = self._effects, self._effects.settings
        self.plan, self.problem, payer = [], None, terms.payer
        state_size, extra = engine.state_size, engine.extra_size
        whole = setup.cost(state_size, cadence.capacity, extra_size=extra)
        deposited = self._deposit_pays(accounts, terms, whole)
        lamports, limit = 0 if settings.in_rollup or deposited else whole, settings.spend_limit_lamports
        if not session.frame and (small := terms.too_small(0 if _made(accounts) else whole)):
            if settings.admission != "anyone":
                self.problem = small, "deposit"
                return False
            # a match with too small a deposit is treated as one without a deposit
            payer = "guest"
        if session.status == WAITING_PLAYERS and 0 < lamports <= limit:
            return True
        plan = setup.missing(
            accounts, writer=settings.me, entity=effects.entity, state_size=state_size, cadence=cadence,
            extra_size=extra, in_rollup=settings.in_rollup, deposited=deposited,
        )  # fmt: skip
        spend = Spend(lamports, not plan, payer, (session.player1, session.player2))
        if not plan:
            if not self.granted:
                self.granted = True
                effects.emit(spend)
            self._sent = []
            return True
        if lamports > limit:
            cost = f"its accounts would cost {lamports} lamports"
            self.problem = f"{cost}, crank.spend_limit_lamports allows {limit}", "rent"
        elif session.status == ENDED:
            if effects.confirmed("ended before its accounts were made", ALL):
                effects.release("ended before its accounts were made", "over")
        elif not self.granted:
            effects.emit(spend)
        else:
            self._send(plan, lamports, state_size, cadence.capacity)
        return False

    def _send(self, plan: list[tuple[Instruction, ...]], lamports: int, state_size: int, ring: int) -> None:
        effects = self._effects
        if plan == self._sent and self._same < _SAME_PLAN_TRIES:
            self._same += 1
            effects.again("the set-up was accepted but is not on chain yet", ALL, "accounts", tries=self._same)
            return
        if not self._sent:
            effects.log("info", "preparing", lamports=lamports, ring=ring, state=state_size)
        self.plan = self._sent = plan
        self._same = 0

    def _deposit_pays(self, accounts: dict[Role, bytes | None], terms: Terms, whole: int) -> bool:
        """Whether the deposit has paid for checkpoints and ring, or will."""
        if self._effects.settings.in_rollup:
            return False
        if (made := _made(accounts)) is not None:
            return Checkpoint.decode_head(made).payer != self._effects.settings.me
        return terms.funds is not None and terms.funds.free >= whole


def _made(accounts: dict[Role, bytes | None]) -> bytes | None:
    """Decodes a checkpoint account that exists."""
    return accounts["checkpoint_a"] or accounts["checkpoint_b"]
