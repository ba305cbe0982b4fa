"""Decides whether the next frame of a running match is paid for, and asks for more money in time."""

from __future__ import annotations

from .commands import Fetch, Spend
from .effects import SMALL, Effects
from .events import Cause, Role
from .opening import Opened
from .settings import MILLISECOND
from .terms import Funds

NOTICE_FRAMES = 3600
"""How many frames before the paid ones end the crank looks for more: a minute."""
_AGAIN_NS = 10_000 * MILLISECOND
_READ: tuple[Role, ...] = (*SMALL, "deposit")


class Paying:
    """Knows up to which frame a match is paid for. After that frame the match waits, and it continues as soon as
    somebody pays.

    Args:
        opened: the match at the time when serving begins.
    """

    def __init__(self, effects: Effects, opened: Opened) -> None:
        terms, frame = opened.terms, opened.last.frame
        self._effects = effects
        self._wish = Spend(0, held=False, payer="guest", players=opened.players, going_on=True)
        self._asking = False
        self._ask_at = 0
        self._problem = ""
        self._cause: Cause = "deposit"
        self._until: int | None = None
        portion = effects.settings.guest_frames
        if terms.payer == "deposit" and terms.funds is not None:
            self._until = terms.funds.paid_until()
        elif terms.payer == "guest" and portion:
            # a match that an earlier process has started to pay for is played to its end
            self._until = (frame // portion + 1) * portion

    def covers(self, frame: int) -> bool:
        """Whether this frame is paid for. Asks for more money in time, and reports why the match waits."""
        effects = self._effects
        if self._until is None or frame + NOTICE_FRAMES <= self._until:
            return True
        if not self._asking and effects.now >= self._ask_at:
            self._asking = True
            effects.emit(Fetch(_READ))
        if frame <= self._until:
            return True
        if self._problem and effects.retry_at is None:
            effects.again(self._problem, _READ, self._cause)
        return False

    def read(self, data: bytes | None, lamports: int) -> None:
        """Takes the current deposit."""
        if self._until is None:
            return
        effects, funds = self._effects, Funds.read(data, lamports)
        if funds is not None and funds.deposit.frame_lamports >= effects.settings.frame_price_lamports:
            until = funds.paid_until()
            if until is None or until > self._until:
                self._paid(until)
                return
        if effects.settings.admission == "anyone":
            effects.emit(self._wish)
            return
        self._unpaid("its deposit is used up: player 1 can add to it with `awm-crank session deposit`", "deposit")

    def granted(self, refusal: str, cause: Cause) -> None:
        """Takes the answer to the request to continue at the crank's expense."""
        if refusal:
            self._unpaid(f"{refusal}; player 1 can pay for it with `awm-crank session deposit`", cause)
        else:
            portion = self._effects.settings.guest_frames
            self._paid(None if self._until is None or not portion else self._until + portion)

    def _paid(self, until: int | None) -> None:
        if self._problem:
            self._effects.log("info", "paid for again", until_frame=until)
            self._effects.progressed()
        self._until, self._asking, self._problem = until, False, ""

    def _unpaid(self, problem: str, cause: Cause) -> None:
        if problem != self._problem:
            self._effects.log("warning", "frames are paid for until", frame=self._until, problem=problem)
        self._problem, self._cause = problem, cause
        self._asking, self._ask_at = False, self._effects.now + _AGAIN_NS
