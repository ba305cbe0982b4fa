"""Which sessions the machine takes, and what it prepares before the first frame."""

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
    """A session of another writer is released untouched, and looked at again when it changes."""
    chain = FakeChain(writer=OTHER)
    before = dict(chain.accounts)
    script = begin(chain)
    assert script.released is not None
    assert (script.released.ok, script.released.again) == (True, True)
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
    chain = FakeChain()
    script = begin(chain)
    assert [command.held for command in script.spent] == [False]
    assert script.machine.stage == "join"
    again = begin(chain, now=10_000_000_000)
    assert [command.held for command in again.spent] == [True]
    assert again.spent[0].lamports == script.spent[0].lamports


def test_rent_refused() -> None:
    """A session whose rent is refused is released with that reason, and can be found again."""
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
    """A claim that is refused for its epoch means that another process was first: this one stops and says so."""
    chain = FakeChain()
    chain.refuse["claim"] = deque([Code.EPOCH_MISMATCH])
    script = begin(chain)
    assert script.released is not None
    assert not script.released.ok
    assert "another process" in script.released.reason


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
    """When set-up transactions are refused or their answers are lost, the machine
    reads the accounts and plans again.
    """
    chain = FakeChain()
    chain.refuse["setup"] = deque([None] * lost + [Code.INSUFFICIENT_FUNDS])
    script = begin(chain, FakeEngine(state_size=60_000), spend_limit_lamports=2_000_000_000)
    script.sleep(3_000 * MS)
    assert script.machine.stage == "join"
    assert len(chain.checkpoint(1).state) == 60_000


def test_setup_that_never_works() -> None:
    """After repeated refusals the session is released with the last refusal."""
    chain = FakeChain()
    chain.refuse["setup"] = deque([Code.INSUFFICIENT_FUNDS] * 100)
    script = begin(chain)
    script.sleep(60_000 * MS)
    assert script.released is not None
    assert "6017" in script.released.reason


def test_model_that_cannot_be_served() -> None:
    """When the model fails to load, the session is released with that reason."""
    script = Script(SessionMachine(ENTITY, settings()), FakeChain())
    (script >> events.Begin()).run(until=lambda s: isinstance(s.todo[0], commands.LoadModel))
    _ = script >> events.ModelFailed(RpcError("model is broken"))
    assert script.released == commands.Release("model is broken", ok=False)


def test_closed_while_waiting() -> None:
    """A session that is closed before player 2 came is released without an error."""
    script = begin(FakeChain())
    _ = script >> events.Changed("session", b"")
    assert script.released == commands.Release("its accounts are gone", ok=True, again=True)
