"""Who pays for a match: its deposit, the operator, or the operator as a guest's host (docs/money.md)."""

from __future__ import annotations

from typing import NamedTuple, Self

from ..errors import AwmError
from ..wire import bolt, layouts
from ..wire.accounts import Deposit, SessionState
from ..wire.worlds import Entity
from .settings import Payer, Settings
from .setup import rent

START_FRAMES = 3600
"""A deposit that is to pay for a match must pay for this many frames at the start, which is a minute."""


class Funds(NamedTuple):
    """A deposit and its lamports."""

    deposit: Deposit
    lamports: int

    @classmethod
    def read(cls, data: bytes | None, lamports: int) -> Self | None:
        """Decodes a deposit account; None if there is no account. Raises LayoutError, AccountError."""
        return None if not data else cls(Deposit.decode(data), lamports)

    @property
    def free(self) -> int:
        """The lamports beyond the deposit account's own rent."""
        return self.lamports - rent(layouts.DEPOSIT.size)

    def paid_until(self) -> int | None:
        """The last frame that the deposit pays for. None: a frame costs nothing."""
        price = self.deposit.frame_lamports
        return self.deposit.paid_frames + max(0, self.free) // price if price else None


class Terms(NamedTuple):
    """The conditions under which a session is served."""

    payer: Payer
    refusal: str = ""
    """Why the session is not served; empty if it is. A match that has frames is never refused."""
    funds: Funds | None = None

    @classmethod
    def of(cls, session: SessionState, funds: Funds | None, origin: bytes | None, settings: Settings) -> Self:
        """The terms of a session.

        Args:
            origin: the entity's account, for worlds in `crank.admitted`.
        """
        listed = _is_listed(session, origin, settings)
        refusal = "" if session.frame else _refusal(session, funds, settings, listed=listed)
        return cls(_payer(funds, settings, listed=listed), refusal, funds)

    def too_small(self, accounts: int) -> str:
        """Why the deposit cannot pay for the match's start; empty if it can, or if it need not.

        Args:
            accounts: lamports that the deposit still has to pay for checkpoints and ring.
        """
        if self.payer != "deposit" or self.funds is None:
            return ""
        free = self.funds.free
        frames = START_FRAMES * self.funds.deposit.frame_lamports
        if free >= accounts + frames:
            return ""
        return (
            f"its deposit holds {max(0, free)} lamports; its accounts cost {accounts} and its first minute {frames}: "
            f"player 1 adds {accounts + frames - free} with `awm-crank session deposit`"
        )


def _is_listed(session: SessionState, origin: bytes | None, settings: Settings) -> bool:
    """Whether player 1, the model or the entity's world is in `crank.admitted`."""
    if {session.player1, session.model} & settings.admitted:
        return True
    if not settings.worlds or not origin:
        return False
    try:
        number = Entity.decode(origin).id
    except AwmError:
        return False
    return any(bolt.entity_pda(world, number) == session.entity for world in settings.worlds)


def _refusal(session: SessionState, funds: Funds | None, settings: Settings, *, listed: bool) -> str:
    if session.challenge_s > settings.max_challenge_s:
        return f"its challenge time is {session.challenge_s} s; crank.max_challenge_s is {settings.max_challenge_s}"
    if listed or settings.admission == "anyone":
        return ""
    if settings.admission == "list":
        return f"neither player 1 {session.player1} nor the model {session.model} nor the world is in crank.admitted"
    if settings.in_rollup:
        return ""
    if funds is None:
        return "its player 1 has deposited nothing, and crank.admission is anyone-who-deposits"
    price, least = funds.deposit.frame_lamports, settings.frame_price_lamports
    return f"its deposit pays {price} lamports a frame, crank.frame_price_lamports is {least}" if price < least else ""


def _payer(funds: Funds | None, settings: Settings, *, listed: bool) -> Payer:
    if settings.in_rollup:
        return "nobody"
    if listed or settings.admission == "list":
        return "operator"
    if settings.admission == "anyone-who-deposits":
        # a match that runs without a deposit was started with other settings
        return "deposit" if funds is not None else "operator"
    pays = funds is not None and funds.deposit.frame_lamports >= settings.frame_price_lamports
    return "deposit" if pays else "guest"
