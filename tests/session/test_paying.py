"""Matches whose frames are paid for, and what happens when they no longer are."""

from __future__ import annotations

from typing import Any

from session.script import ENTITY, MS, OTHER, FakeChain, Script, begin, settings

from awm_crank.session import events
from awm_crank.session.machine import SessionMachine
from awm_crank.session.setup import rent
from awm_crank.wire import layouts
from awm_crank.wire.accounts import ACTIVE, Deposit

EMPTY = rent(layouts.DEPOSIT.size)
PRICE = 10_000


def restarted(frames: int, at: int = 0, **changes: Any) -> Script:
    """A process that takes over a match at frame `at`, when its deposit pays for this many frames in all."""
    chain = FakeChain(status=ACTIVE)
    chain.accounts["deposit"] = Deposit(ENTITY, OTHER, PRICE, 0).encode()
    chain.deposit_lamports = EMPTY + 10**10
    begin(chain).play(max(1, at))
    chain.deposit_lamports = EMPTY + frames * PRICE
    return begin(chain, now=100_000_000 * MS, **changes)


def test_a_deposit_that_is_used_up() -> None:
    """With `anyone-who-deposits`, a match stops when its deposit is used up, reports why, and continues after a
    top-up.
    """
    script = restarted(30, at=5, admission="anyone-who-deposits").play(40)
    assert script.chain.session.frame == 30
    assert script.machine.waiting is not None
    assert script.machine.waiting.cause == "deposit"
    assert "session deposit" in script.machine.waiting.problem
    assert script.said("frames are paid for until")[0].fields["frame"] == 30
    assert script.machine.due(script.now) == 0
    missed = script.machine.schedule.missed
    script.sleep(60_000 * MS)
    assert script.machine.schedule.missed == missed
    script.chain.deposit_lamports += 10 * PRICE
    script.sleep(10_000 * MS).play(20)
    assert script.chain.session.frame == 40
    assert script.said("paid for again")


def test_a_paused_match_can_end() -> None:
    """A match that waits for its deposit is released as soon as it is ended."""
    script = restarted(30, at=5, admission="anyone-who-deposits").play(40)
    script.chain.end()
    script.notify("session")
    script.sleep(5_000 * MS)
    assert script.released is not None
    assert script.released.reason == "ended"


def test_a_guest_after_its_deposit() -> None:
    """With `anyone`, a match whose deposit is used up continues as a guest, if the crank grants its request."""
    script = restarted(30, at=5).play(60)
    assert script.chain.session.frame > 50
    assert [(spend.payer, spend.going_on) for spend in script.spent if spend.going_on] == [("guest", True)]


def test_a_guest_asks_after_its_sure_frames() -> None:
    """After `guest_frames` frames, a guest's match asks whether it may continue, and waits while the answer is no."""
    script = Script(SessionMachine(ENTITY, settings(guest_frames=20)), FakeChain(status=ACTIVE))
    script.going_on_refusal = "others wait"
    (script >> events.Begin()).run().play(40)
    assert script.chain.session.frame == 20
    assert script.machine.waiting is not None
    assert script.machine.waiting.cause == "budget"
    assert "others wait" in script.machine.waiting.problem
    script.going_on_refusal = ""
    script.sleep(10_000 * MS).play(50)
    assert script.chain.session.frame >= 60


def test_the_list_and_a_rollup_never_ask() -> None:
    """Matches of the operator's own list, and those in a rollup, are served without a limit."""
    cases: list[dict[str, Any]] = [{"admitted": frozenset([OTHER])}, {"in_rollup": True}, {"guest_frames": 0}]
    for changes in cases:
        script = begin(FakeChain(status=ACTIVE), **{"guest_frames": 10, **changes}).play(30)
        assert script.chain.session.frame == 30
        assert not [spend for spend in script.spent if spend.going_on]


def test_a_deposit_that_is_too_small_waits() -> None:
    """With `anyone-who-deposits`, a session with too small a deposit gets no accounts, and the reason names the missing
    amount. After a top-up it is served.
    """
    chain = FakeChain(status=ACTIVE)
    chain.accounts["deposit"] = Deposit(ENTITY, OTHER, PRICE, 0).encode()
    chain.deposit_lamports = EMPTY
    script = begin(chain, admission="anyone-who-deposits").sleep(30_000 * MS)
    assert script.machine.waiting is not None
    assert script.machine.waiting.cause == "deposit"
    assert "player 1 adds" in script.machine.waiting.problem
    assert "setup" not in chain.log_of
    assert len(script.said("trying again")) <= 5
    chain.deposit_lamports = EMPTY + 10**9
    script.sleep(11_000 * MS)
    assert script.machine.stage == "serve"
    assert "checkpoint_create_deposited" in chain.done


def test_a_small_deposit_is_no_worse_than_none() -> None:
    """With `anyone`, a match whose deposit is too small is served as a guest."""
    chain = FakeChain(status=ACTIVE)
    chain.accounts["deposit"] = Deposit(ENTITY, OTHER, PRICE, 0).encode()
    chain.deposit_lamports = EMPTY
    script = begin(chain)
    assert script.machine.stage == "serve"
    assert script.spent[0].payer == "guest"
    assert script.spent[0].lamports > 0
    assert script.spent[0].players[0] == OTHER
