"""Whose session it is, and what it takes before its first frame."""

from __future__ import annotations

from collections import deque

import pytest
from session.script import (
    ENTITY,
    ME,
    MS,
    OTHER,
    FakeChain,
    FakeEngine,
    Script,
    begin,
    settings,
)

from awm_crank.errors import RpcError
from awm_crank.session import commands, events
from awm_crank.session.machine import SessionMachine
from awm_crank.wire import ids
from awm_crank.wire.failures import Code


def test_anothers_session() -> None:
    """A session of another writer is let go untouched, and looked at again when it changes."""
    chain = FakeChain(writer=OTHER)
    before = dict(chain.accounts)
    script = begin(chain)
    assert script.released is not None
    assert (script.released.ok, script.released.again) == (True, True)
    assert chain.accounts == before


def test_unbound_session_is_bound_where_configured() -> None:
    """A session that names no writer is bound and served by a crank that is configured to."""
    chain = FakeChain(writer=ids.ZERO_KEY)
    assert begin(chain, adopt=True).machine.stage == "join"
    assert chain.hidden.writer == ME


def test_unbound_session_is_left_otherwise() -> None:
    """By default it is left alone."""
    chain = FakeChain(writer=ids.ZERO_KEY)
    script = begin(chain)
    assert script.released is not None
    assert chain.hidden.writer == ids.ZERO_KEY


def test_bound_by_another_first() -> None:
    """When another crank binds it first, it is let go."""
    chain = FakeChain(writer=ids.ZERO_KEY)
    chain.refuse["bind"] = deque([Code.WRITER_ALREADY_BOUND])
    script = begin(chain, adopt=True)
    chain.put("hidden", writer=OTHER)
    script.sleep(200 * MS)
    assert script.released is not None
    assert str(OTHER) in script.released.reason


def test_rent_is_asked_for_once() -> None:
    """Accounts that have to be made are asked for before anything is sent; those that stand are only told."""
    chain = FakeChain()
    script = begin(chain)
    assert [command.held for command in script.spent] == [False]
    assert script.machine.stage == "join"
    again = begin(chain, now=10_000_000_000)
    assert [command.held for command in again.spent] == [True]
    assert again.spent[0].lamports == script.spent[0].lamports


def test_rent_refused() -> None:
    """A session whose rent is refused is let go with that reason, and may come again."""
    chain = FakeChain()
    script = Script(SessionMachine(ENTITY, settings()), chain)
    script.rent_refusal = "too dear"
    (script >> events.Begin()).run()
    assert script.released is not None
    assert (script.released.reason, script.released.again) == ("too dear", True)
    assert chain.accounts["checkpoint_a"] is None


def test_spending_limit() -> None:
    """Accounts that would cost more than the limit are not made; the message names the setting and both sums."""
    script = begin(FakeChain(), spend_limit_lamports=100_000)
    assert script.released is not None
    assert not script.released.ok
    assert "crank.spend_limit_lamports allows 100000" in script.released.reason
    assert "setup" not in script.chain.log_of


def test_claim_lost_to_another() -> None:
    """A claim refused for its epoch means that another process was first: it serves, this one stops loudly."""
    chain = FakeChain()
    chain.refuse["claim"] = deque([Code.EPOCH_MISMATCH])
    script = begin(chain)
    assert script.released is not None
    assert not script.released.ok
    assert "another process" in script.released.reason


def test_claim_answer_lost() -> None:
    """A claim whose answer is lost is made again; its own success in the meantime is no takeover."""
    chain = FakeChain()
    chain.refuse["claim"] = deque([None])
    script = begin(chain)
    script.sleep(200 * MS)
    assert script.machine.stage == "join"
    assert chain.hidden.epoch == 2


@pytest.mark.parametrize("lost", range(4))
def test_setup_answers_lost(lost: int) -> None:
    """Set-up transactions that are refused or whose answers are lost are planned anew from what is there."""
    chain = FakeChain()
    chain.refuse["setup"] = deque([None] * lost + [Code.INSUFFICIENT_FUNDS])
    script = begin(chain, FakeEngine(state_size=60_000), spend_limit_lamports=2_000_000_000)
    script.sleep(3_000 * MS)
    assert script.machine.stage == "join"
    assert len(chain.checkpoint(1).state) == 60_000


def test_setup_that_never_works() -> None:
    """Refused again and again, the session is let go with the last refusal."""
    chain = FakeChain()
    chain.refuse["setup"] = deque([Code.INSUFFICIENT_FUNDS] * 100)
    script = begin(chain)
    script.sleep(60_000 * MS)
    assert script.released is not None
    assert "6017" in script.released.reason


def test_model_that_cannot_be_served() -> None:
    """A model that fails to load is the reason that the session is not served."""
    script = Script(SessionMachine(ENTITY, settings()), FakeChain())
    (script >> events.Begin()).run(until=lambda s: isinstance(s.todo[0], commands.LoadModel))
    _ = script >> events.ModelFailed(RpcError("model is broken"))
    assert script.released == commands.Release("model is broken", ok=False)


def test_closed_while_waiting() -> None:
    """A session closed before player 2 came is let go in peace."""
    script = begin(FakeChain())
    _ = script >> events.Changed("session", b"")
    assert script.released == commands.Release("its accounts are gone", ok=True, again=True)
