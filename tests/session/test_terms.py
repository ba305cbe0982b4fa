"""Who pays for a match, and for how long."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from session.script import ENTITY, ME, MODEL, OTHER, FakeChain, settings
from solders.pubkey import Pubkey

from awm_crank.session.setup import rent
from awm_crank.session.terms import Funds, Terms
from awm_crank.wire import bolt, layouts
from awm_crank.wire.accounts import Deposit, SessionState
from awm_crank.wire.worlds import Entity

EMPTY = rent(layouts.DEPOSIT.size)


def funds(lamports: int, price: int = 10_000, paid: int = 0) -> Funds:
    """A deposit with that many lamports beyond its rent."""
    return Funds(Deposit(ENTITY, OTHER, price, paid), EMPTY + lamports)


@given(st.integers(0, 2**40), st.integers(1, 10**6), st.integers(0, 2**31))
def test_paid_until(lamports: int, price: int, paid: int) -> None:
    """A deposit pays for whole frames alone, and not from its own rent."""
    until = funds(lamports, price, paid).paid_until()
    assert until is not None
    assert (until - paid) * price <= lamports < (until - paid + 1) * price
    assert funds(lamports, 0).paid_until() is None
    assert Funds(Deposit(ENTITY, OTHER, price, paid), EMPTY - 1).paid_until() == paid


def test_who_pays() -> None:
    """In a rollup nobody; for the list the operator; else the deposit, if its price is enough; else it is a guest."""
    state = FakeChain().session
    enough, cheap = funds(10**9), funds(10**9, 9_999)

    def payer(paid: Funds | None = None, **changes: object) -> str:
        return Terms.of(state, paid, None, settings(**changes)).payer

    assert payer() == payer(cheap) == "guest"
    assert payer(enough) == "deposit"
    assert payer(enough, in_rollup=True) == "nobody"
    assert payer(enough, admitted=frozenset([OTHER])) == payer(admission="list") == "operator"
    assert payer(cheap, admission="anyone-who-deposits") == "deposit"


def test_a_world_is_admitted() -> None:
    """Sessions of a world in the list are served, those of another world or of an unknown entity are not."""

    def refusal(state: SessionState, origin: bytes | None, *worlds: int) -> str:
        return Terms.of(state, None, origin, settings(admission="list", worlds=frozenset(worlds))).refusal

    state = msgspec.structs.replace(FakeChain().session, entity=bolt.entity_pda(3, 5))
    assert refusal(state, Entity(5).encode(), 3, 8) == ""
    for origin, world in ((Entity(5).encode(), 4), (Entity(6).encode(), 3), (b"", 3), (b"no entity", 3)):
        assert "crank.admitted" in refusal(state, origin, world)
    seeded = msgspec.structs.replace(state, entity=bolt.entity_pda(3, extra_seed=b"mine"))
    assert "crank.admitted" in refusal(seeded, Entity(5).encode(), 3)


def test_too_small() -> None:
    """A deposit has to pay for the accounts and a minute of frames; the reason says how much is missing."""
    state = FakeChain().session
    terms = Terms.of(state, funds(1_000 + 36_000_000), None, settings())
    assert terms.too_small(1_000) == ""
    assert "player 1 adds 1 with" in terms.too_small(1_001)
    assert Terms.of(state, None, None, settings()).too_small(10**12) == ""


def test_the_list_names_players_and_models() -> None:
    """A key in the list admits the player 1 or the model that it is, and nobody else."""
    state = FakeChain().session
    for key, served in ((OTHER, True), (MODEL, True), (ME, False), (Pubkey.new_unique(), False)):
        refusal = Terms.of(state, None, None, settings(admission="list", admitted=frozenset([key]))).refusal
        assert (refusal == "") == served
