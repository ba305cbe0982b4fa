"""The machine opens the right sessions, and prepares their accounts before the first frame."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from session.script import (
    ENTITY,
    ME,
    MODEL,
    MS,
    OTHER,
    FakeChain,
    FakeEngine,
    Script,
    begin,
    settings,
)

from awm_crank.errors import AwmError, CartridgeError, RpcError
from awm_crank.session import commands, events
from awm_crank.session.machine import SessionMachine
from awm_crank.session.settings import Admission
from awm_crank.wire import ids
from awm_crank.wire.accounts import ACTIVE, Deposit
from awm_crank.wire.failures import Code


def waits(script: Script) -> bool:
    """Whether the machine says that it waits for something."""
    return script.machine.waiting is not None


def test_anothers_session() -> None:
    """A session of another writer is released untouched, and looked at again when it changes."""
    chain = FakeChain(writer=OTHER)
    before = dict(chain.accounts)
    script = begin(chain)
    assert script.released is not None
    assert script.released.outcome == "elsewhere"
    assert chain.accounts == before


def test_unbound_session_is_bound_where_configured() -> None:
    """A crank that is configured to bind sessions binds and serves a session that names no writer."""
    chain = FakeChain(writer=ids.ZERO_KEY)
    assert begin(chain, adopt=True).machine.stage == "join"
    assert chain.hidden.writer == ME


def test_unbound_session_is_left_otherwise() -> None:
    """By default a session that names no writer is left alone."""
    chain = FakeChain(writer=ids.ZERO_KEY)
    script = begin(chain)
    assert script.released is not None
    assert chain.hidden.writer == ids.ZERO_KEY


def test_bound_by_another_first() -> None:
    """When another crank binds the session first, the machine releases it."""
    chain = FakeChain(writer=ids.ZERO_KEY)
    chain.refuse["bind"] = deque([Code.WRITER_ALREADY_BOUND])
    script = begin(chain, adopt=True)
    chain.put("hidden", writer=OTHER)
    script.sleep(200 * MS)
    assert script.released is not None
    assert str(OTHER) in script.released.reason


def test_rent_is_asked_for_once() -> None:
    """The machine asks for rent before it sends anything, and reports the accounts that exist already."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain)
    assert [command.held for command in script.spent] == [False]
    assert script.machine.stage == "serve"
    again = begin(chain, now=10_000_000_000)
    assert [command.held for command in again.spent] == [True]
    assert again.spent[0].lamports == script.spent[0].lamports


def test_rent_refused() -> None:
    """A session whose rent is refused waits, says why, and is served when there is room."""
    chain = FakeChain(status=ACTIVE)
    script = Script(SessionMachine(ENTITY, settings()), chain)
    script.rent_refusal = "too dear"
    (script >> events.Begin()).run()
    script.sleep(60_000 * MS)
    assert script.machine.waiting == ("rent", "too dear")
    assert chain.accounts["checkpoint_a"] is None
    script.rent_refusal = ""
    script.sleep(5_000 * MS)
    assert script.machine.stage == "serve"
    assert not waits(script)


def test_spending_limit() -> None:
    """Accounts that would cost more than the limit are not made; the message names the setting and both sums."""
    script = begin(FakeChain(status=ACTIVE), spend_limit_lamports=100_000).sleep(60_000 * MS)
    assert script.machine.waiting is not None
    assert script.machine.waiting.cause == "rent"
    assert "crank.spend_limit_lamports allows 100000" in script.machine.waiting.problem
    assert "setup" not in script.chain.log_of


def test_claim_lost_to_another() -> None:
    """A claim that is refused for its epoch means that another process was first: once that one works, this one
    stops.
    """
    chain = FakeChain()
    chain.refuse["claim"] = deque([Code.EPOCH_MISMATCH])
    script = Script(SessionMachine(ENTITY, settings()), chain)
    (script >> events.Begin()).run(until=lambda s: bool(s.sent))
    chain.put("hidden", epoch=1)
    script.sleep(500 * MS)
    assert script.released is None
    chain.put("hidden", epoch=1, data_size=5)
    script.sleep(1_000 * MS)
    assert script.released is not None
    assert script.released.outcome == "yielded"
    assert "another process" in script.released.reason


def test_claim_of_a_dead_process() -> None:
    """A claim of a killed process can land later. No frame follows it, so the session is claimed again."""
    chain = FakeChain()
    chain.refuse["claim"] = deque([Code.EPOCH_MISMATCH])
    script = Script(SessionMachine(ENTITY, settings()), chain)
    (script >> events.Begin()).run(until=lambda s: bool(s.sent))
    chain.put("hidden", epoch=1)
    script.sleep(4_000 * MS)
    assert (script.machine.stage, chain.hidden.epoch) == ("join", 2)


def test_claim_answer_lost() -> None:
    """A claim whose answer is lost is made again; its own success in the meantime is not mistaken for a takeover."""
    chain = FakeChain()
    chain.refuse["claim"] = deque([None])
    script = begin(chain)
    script.sleep(200 * MS)
    assert script.machine.stage == "join"
    assert chain.hidden.epoch == 2


@pytest.mark.parametrize("lost", range(4))
def test_setup_answers_lost(lost: int) -> None:
    """When set-up transactions are refused or their answers are lost, the accounts are read and the rest is planned
    again.
    """
    chain = FakeChain(status=ACTIVE)
    chain.refuse["setup"] = deque([None] * lost + [Code.INSUFFICIENT_FUNDS])
    script = begin(chain, FakeEngine(state_size=60_000), spend_limit_lamports=2_000_000_000)
    script.sleep(3_000 * MS)
    assert script.machine.stage == "serve"
    assert len(chain.checkpoint(1).state) == 60_000


def test_setup_without_funds() -> None:
    """While the key cannot pay, the set-up is tried again without end, and the session says what it waits for."""
    chain = FakeChain(status=ACTIVE)
    chain.refuse["setup"] = deque([Code.INSUFFICIENT_FUNDS] * 1000)
    script = begin(chain)
    script.sleep(600_000 * MS)
    assert script.machine.waiting is not None
    assert "6017" in script.machine.waiting.problem
    tries = len(script.chain.log_of)
    assert tries < 700
    # one line whenever the number of tries has doubled, not one each second
    assert len(script.said("trying again")) < 20
    chain.refuse.clear()
    script.sleep(1_100 * MS)
    assert script.machine.stage == "serve"
    assert not waits(script)


@pytest.mark.parametrize(
    ("error", "cause", "longest_s"),
    [(RpcError("HTTP 502"), "endpoint", 1), (CartridgeError("another hash"), "model", 10)],
)
def test_model_that_cannot_be_loaded(error: AwmError, cause: str, longest_s: int) -> None:
    """A model that fails to load is loaded again, with growing pauses, until it is there."""
    script = Script(SessionMachine(ENTITY, settings()), FakeChain())
    script.model_error = error
    (script >> events.Begin()).sleep(60_000 * MS)
    assert script.released is None
    assert script.machine.waiting == (cause, str(error))
    assert script.machine.stalled(script.now) == str(error)
    script.model_error = None
    script.sleep(longest_s * 1_050 * MS)
    assert script.machine.stage == "join"
    assert not waits(script)


def test_closed_while_waiting() -> None:
    """A session that is closed before player 2 came is released once every read has shown that for some seconds."""
    script = begin(FakeChain())
    chain = dict(script.chain.accounts)
    script.chain.accounts |= {"session": None, "hidden": None, "inputs": None}
    _ = script >> events.Changed("session", b"")
    script.sleep(2_000 * MS)
    assert script.released is None
    # an endpoint whose node was behind
    script.chain.accounts = chain
    script.sleep(2_000 * MS)
    assert script.machine.stage == "join"
    script.chain.accounts = {**chain, "session": None, "hidden": None}
    script.sleep(10_000 * MS)
    assert script.released == commands.Release("its accounts are gone", "gone")


def test_nothing_is_made_for_nobody() -> None:
    """Before player 2 has joined, the crank makes nothing at its own expense; a deposit pays for everything at once."""
    chain = FakeChain()
    script = begin(chain)
    assert script.machine.stage == "join"
    assert "setup" not in chain.log_of
    assert not script.spent
    deposited = FakeChain()
    deposited.accounts["deposit"] = Deposit(ENTITY, OTHER, 10_000, 0).encode()
    deposited.deposit_lamports = 10**10
    script = begin(deposited, spend_limit_lamports=0)
    assert script.machine.stage == "join"
    assert deposited.log.capacity >= 256
    assert {"checkpoint_create_deposited", "ring_fund"} <= set(deposited.done)
    assert [command.lamports for command in script.spent] == [0]


def test_a_long_challenge_time_is_not_served() -> None:
    """A session with a very long challenge time is not served, because the crank gets its money back only
    afterwards.
    """
    for seconds, served in ((600, True), (601, False)):
        chain = FakeChain()
        chain.put("session", challenge_s=seconds)
        script = begin(chain, max_challenge_s=600)
        assert (script.released is None) == served
        if script.released is not None:
            assert "crank.max_challenge_s is 600" in script.released.reason


@pytest.mark.parametrize(
    ("admission", "fields", "price", "reason"),
    [
        ("list", {}, None, "crank.admitted"), ("list", {"admitted": frozenset([MODEL])}, None, ""),
        ("list", {"admitted": frozenset([OTHER])}, None, ""),
        ("anyone-who-deposits", {}, None, "has deposited nothing"),
        ("anyone-who-deposits", {"frame_price_lamports": 9}, 8, "8 lamports a frame"),
        ("anyone-who-deposits", {"frame_price_lamports": 9}, 9, ""),
        ("anyone-who-deposits", {"in_rollup": True}, None, ""),
    ],
)  # fmt: skip
def test_who_is_admitted(admission: Admission, fields: dict[str, Any], price: int | None, reason: str) -> None:
    """For a session that is not admitted, the crank sends nothing, not even a claim. After a deposit the session is
    admitted.

    A match that has frames is never given up for this reason.
    """
    chain = FakeChain()
    if price is not None:
        chain.accounts["deposit"] = Deposit(ENTITY, OTHER, price, 0).encode()
        chain.deposit_lamports = 10**10
    script = begin(chain, admission=admission, **fields)
    assert bool(script.released) == bool(reason)
    if script.released is not None:
        assert reason in script.released.reason
        assert script.released.outcome == "elsewhere"
        assert not chain.log_of
        chain.put("session", frame=5, status=ACTIVE)
        running = Script(SessionMachine(ENTITY, settings(admission=admission, **fields)), chain)
        (running >> events.Begin()).run(until=lambda s: "claim" in s.chain.log_of)
        assert "claim" in chain.log_of
