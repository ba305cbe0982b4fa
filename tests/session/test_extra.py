"""Extra feedback in a session: frames, checkpoints and recovery of a world that feeds more back to itself."""

from __future__ import annotations

import pytest
from session.script import MS, FakeChain, FakeEngine, begin

from awm_crank.session import setup
from awm_crank.session.recovery import CatchUp, locate
from awm_crank.wire import layouts
from awm_crank.wire.accounts import ACTIVE, RECORD_SIZE, WAITING_PLAYERS, FrameRecord

SIZES = (1, 5, 6, 12)


def played(size: int, frames: int) -> FakeChain:
    """A match of this many frames, with a checkpoint at frame 40, 80 and so on."""
    chain = FakeChain(status=ACTIVE, extra_size=size)
    begin(chain, FakeEngine(extra_size=size)).play(frames)
    return chain


@pytest.mark.parametrize("size", SIZES)
def test_a_match_is_served(size: int) -> None:
    """The crank makes ring and checkpoints of the right size, and each record ends with its frame's extra feedback."""
    chain = played(size, 90)
    assert chain.log.record_size == RECORD_SIZE + 2 * size
    extras = [FrameRecord.decode(chain.log.record(frame)).extra for frame in range(1, 91)]
    assert {len(each) for each in extras} == {2 * size}
    assert len(set(extras)) > 3
    hidden = chain.hidden
    assert hidden.checkpoint_frame == 80
    checkpoint = chain.checkpoint(hidden.checkpoint_side)
    assert checkpoint.extra == extras[79]
    assert len(checkpoint.recurrent) == checkpoint.data_size


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("frames", [0, 12, 40, 90])
def test_recovery(size: int, frames: int) -> None:
    """A restarted crank finds the same frame from accounts alone, and goes on with the match."""
    chain = played(size, frames)
    plan = locate(chain.accounts)
    engine = FakeEngine(extra_size=size)
    catch_up = CatchUp(engine, plan)
    state = engine.start_state(plan.start.block) if plan.state is None else engine.load(plan.state)
    while not catch_up.done:
        catch_up.advance(engine.backbone(state, catch_up.position.block))
    extra = FrameRecord.decode(chain.log.record(frames)).extra if frames else bytes(2 * size)
    assert catch_up.position.extra == extra
    script = begin(chain, engine, now=10_000 * MS)
    script.play(3)
    assert chain.session.frame == frames + 3


def test_a_model_of_another_size_is_not_served() -> None:
    """A session whose manifest claims other extra feedback than its cartridge has is let go, and nothing is paid."""
    chain = FakeChain(status=WAITING_PLAYERS, extra_size=5)
    script = begin(chain, FakeEngine(extra_size=6))
    script.sleep(30_000 * MS)
    assert script.said("not served")
    assert chain.accounts["checkpoint_a"] is None
    assert not chain.log.capacity


def test_cost_counts_the_extra_feedback() -> None:
    """Every record and both checkpoints are longer by two players' extra feedback."""
    more = setup.cost(1_000, 256, extra_size=12) - setup.cost(1_000, 256)
    assert more == (256 + 2) * 24 * 6960
    assert setup.cost(1_000, 256, extra_size=12, in_rollup=True) == 0
    assert layouts.FRAME_RECORD.size == RECORD_SIZE
