"""Decides, from a session's accounts, what the writer may end or take back. It is pure, so tests need no chain."""

from __future__ import annotations

from msgspec import Struct
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from ..wire import bolt, deposits, ids, programs
from ..wire.accounts import ACTIVE, ENDED, WAITING_PLAYERS, Deposit, FrameLog, HiddenState, SessionState
from ..wire.args import END, Lifecycle
from ..wire.contract import IDLE_FRAMES, IDLE_LIMIT_S, WAITING_LIMIT_S

_CLOCK_S = 5
"""The chain's clock may be a little behind ours: asking too early costs a refusal."""
_DRAW_FRAMES = 3600
"""Frames that are worth a transaction of their own."""


class Found(Struct, frozen=True):
    """A session's accounts. An account that does not exist is None."""

    session: SessionState
    hidden: HiddenState
    log: FrameLog | None
    checkpoint_payers: tuple[Pubkey | None, Pubkey | None]
    """Who paid for checkpoint A and B."""
    deposit: Deposit | None


def is_dead(session: SessionState, now_s: float) -> bool:
    """Whether the programs let the writer end the session: nobody has joined, no frame exists, or nobody plays."""
    silent = now_s - session.last_update - _CLOCK_S
    if session.status == WAITING_PLAYERS:
        return silent >= WAITING_LIMIT_S
    if session.status != ACTIVE:
        return False
    return silent >= IDLE_LIMIT_S or session.frame - session.last_fresh >= IDLE_FRAMES


def is_settled(session: SessionState, now_s: float) -> bool:
    """Whether anybody may close the session's accounts and return their rent to the owners."""
    if session.status != ENDED:
        return False
    return not session.frame or now_s - session.last_update - _CLOCK_S >= session.challenge_s


def steps(found: Found, me: Pubkey, world: Pubkey, now_s: float) -> list[Instruction]:
    """The instructions with which the writer ends an abandoned session, or collects what it paid and earned.

    Args:
        me: the writer's key.
        world: a world that runs matches.
        now_s: the time in unix seconds.
    """
    session, entity = found.session, found.session.entity
    if is_dead(session, now_s):
        args = Lifecycle(END, me).to_binary()
        return [bolt.apply_entity(ids.SESSION_LIFECYCLE, me, world, entity, ids.SESSION_COMPONENTS, args)]
    made: list[Instruction] = []
    deposit = found.deposit
    if deposit is not None and session.status == ENDED:
        made.append(deposits.deposit_close(me, entity, deposit.depositor, me))
    elif deposit is not None and found.hidden.frame - deposit.paid_frames >= _DRAW_FRAMES:
        made.append(deposits.deposit_draw(me, entity))
    if is_settled(session, now_s):
        for side, payer in enumerate(found.checkpoint_payers):
            if payer == me:
                made.append(programs.checkpoint_close(me, entity, side, me))
        paid = None if found.log is None else found.log.payments
        if paid is not None and paid.ring_lamports and paid.ring_payer == me:
            made.append(programs.ring_shrink(me, entity, me))
    return made
