"""What the writer ends and takes back is decided from a session's accounts alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from session.script import ENTITY, ME, OTHER, FakeChain
from solders.pubkey import Pubkey

from awm_crank.session import collecting
from awm_crank.wire.accounts import ACTIVE, ENDED, WAITING_PLAYERS, Deposit, LogPayments

WORLD = Pubkey.from_bytes(bytes([77] * 32))
NOW = 1_000_000.0


def found(deposit: Deposit | None = None, payers: Any = (ME, OTHER), **session: Any) -> collecting.Found:
    """A session whose checkpoint A and ring the writer paid for."""
    chain = FakeChain()
    chain.put("log", trailer=LogPayments(OTHER, ME, 9).encode())
    state = msgspec.structs.replace(chain.session, last_update=int(NOW) - 100, **session)
    return collecting.Found(state, msgspec.structs.replace(chain.hidden, frame=state.frame), chain.log, payers, deposit)


@pytest.mark.parametrize(
    ("session", "seconds", "dead"),
    [
        ({"status": WAITING_PLAYERS}, 800, False), ({"status": WAITING_PLAYERS}, 810, True),
        ({"status": ACTIVE}, 500, False), ({"status": ACTIVE}, 510, True),
        ({"status": ACTIVE, "frame": 3700, "last_fresh": 101}, 0, False),
        ({"status": ACTIVE, "frame": 3700, "last_fresh": 100}, 0, True),
        ({"status": ENDED}, 10_000_000, False),
    ],
)  # fmt: skip
def test_dead(session: dict[str, Any], seconds: int, dead: bool) -> None:
    """A session counts as dead exactly when the programs let its writer end it, plus a few seconds' grace."""
    state = found(**session)
    assert collecting.is_dead(state.session, NOW + seconds) is dead
    names = [step.program_id for step in collecting.steps(state, ME, WORLD, NOW + seconds)]
    assert bool(names and state.session.status != ENDED) is dead


def test_only_what_it_paid_for() -> None:
    """The writer takes back only what it paid for, and only when it may.

    From a settled session it takes its own checkpoint and ring, and settles the deposit. Before that it settles only
    the deposit. From a session without a frame it takes everything at once.
    """
    deposit = Deposit(ENTITY, OTHER, 5, 0)
    ended = found(deposit, status=ENDED, frame=7)
    assert len(collecting.steps(ended, ME, WORLD, NOW)) == 1
    assert len(collecting.steps(ended, ME, WORLD, NOW + 300)) == 3
    assert len(collecting.steps(found(deposit, status=ENDED), ME, WORLD, NOW)) == 3
    assert collecting.steps(found(status=ENDED, frame=7), OTHER, WORLD, NOW + 300)[0].accounts[4].pubkey == OTHER


def test_fees_are_drawn_now_and_then() -> None:
    """While a match runs, the writer draws its fee once every 3,600 frames, not for each frame."""
    deposit = Deposit(ENTITY, OTHER, 5, 100)
    for frame, count in ((3699, 0), (3700, 1)):
        running = found(deposit, status=ACTIVE, frame=frame, last_fresh=frame)
        assert len(collecting.steps(running, ME, WORLD, NOW)) == count
