"""The accounts that are created before the first frame: the missing ones are found, and their cost is right."""

from __future__ import annotations

import pytest
from session.script import ENTITY, ME, FakeChain, Script, begin, settings

from awm_crank.errors import AccountError
from awm_crank.session import setup
from awm_crank.session.checkpoints import Cadence
from awm_crank.session.machine import SessionMachine
from awm_crank.wire import layouts, rollup
from awm_crank.wire.accounts import ACTIVE, RECORD_SIZE

CADENCE = Cadence(100, 300)


def missing(chain: FakeChain, state_size: int = 50_000) -> list[int]:
    """The number of instructions in each planned transaction."""
    plan = setup.missing(chain.accounts, writer=ME, entity=ENTITY, state_size=state_size, cadence=CADENCE)
    return [len(instructions) for instructions in plan]


def test_creation_comes_alone() -> None:
    """One transaction creates both checkpoints before any account grows."""
    assert missing(FakeChain()) == [2]


def test_growth_is_exact() -> None:
    """The plan contains as many growths as are needed, eight to a transaction."""
    chain = FakeChain()
    script = Script(SessionMachine(ENTITY, settings()), chain)
    plan = setup.missing(chain.accounts, writer=ME, entity=ENTITY, state_size=50_000, cadence=CADENCE)
    for instructions in plan:
        for instruction in instructions:
            assert chain._instruction(bytes(instruction.data), []) is None
    # (216 + 50,000 - 10,240) / 10,240 → 4 each, and 28,800 bytes of ring → 3
    assert missing(chain) == [8, 3]
    assert script.machine.stage == "look"


def test_nothing_is_missing_afterwards() -> None:
    """Once a session is served, no account is missing, even for another process."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain)
    assert missing(chain, script.engine.state_size) == []


def test_another_models_checkpoints() -> None:
    """Checkpoints that were made for a state of another size are refused by name."""
    chain = FakeChain(status=ACTIVE)
    begin(chain)
    with pytest.raises(AccountError, match="checkpoint A"):
        missing(chain, 4_000)


def test_ring_missing_from_a_running_match() -> None:
    """A match that has frames but no ring cannot be continued."""
    chain = FakeChain()
    begin(chain)
    chain.put("log", capacity=0, ring=b"", total_frames=5)
    with pytest.raises(AccountError, match="cannot be continued"):
        missing(chain, 2_000)


def test_cost_is_the_rent() -> None:
    """The cost is the rent of both checkpoints and of the ring beyond the log's own size."""
    state, capacity = 1_000, 256
    accounts = 2 * setup.rent(layouts.CHECKPOINT.size + state)
    ring = setup.rent(layouts.FRAME_LOG_BYTES + capacity * RECORD_SIZE) - setup.rent(layouts.FRAME_LOG_BYTES)
    assert setup.cost(state, capacity) == accounts + ring
    assert setup.rent(0) == 890_880


def test_ring_capacity() -> None:
    """The capacity is read from a log that has its ring."""
    chain = FakeChain()
    begin(chain)
    assert setup.ring_capacity(chain.accounts["log"] or b"") == chain.log.capacity


def test_in_a_rollup() -> None:
    """In a rollup, checkpoints exist only there, are made in the same steps, and cost the crank nothing."""
    chain = FakeChain()
    plan = setup.missing(
        chain.accounts, writer=ME, entity=ENTITY, state_size=50_000, cadence=CADENCE, in_rollup=True
    )  # fmt: skip
    made = [rollup.checkpoint_create_ephemeral(ME, ENTITY, side, 50_000) for side in (0, 1)]
    assert plan == [tuple(made)]
    assert setup.cost(50_000, 300, in_rollup=True) == 0
    chain.join()
    begin(chain)
    accounts = {**chain.accounts, "checkpoint_b": (chain.accounts["checkpoint_b"] or b"")[:300]}
    size = len(chain.accounts["checkpoint_a"] or b"") - layouts.CHECKPOINT.size
    (step,) = setup.missing(accounts, writer=ME, entity=ENTITY, state_size=size, cadence=CADENCE, in_rollup=True)
    assert step == (rollup.checkpoint_grow_ephemeral(ME, ENTITY, 1),)
