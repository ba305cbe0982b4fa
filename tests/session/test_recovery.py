"""Where to resume from: finding the start on chain, and refusing accounts that disagree."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from session.script import FakeChain, FakeEngine, begin

from awm_crank.errors import AwmError, CheckpointError, LayoutError, VerifyError
from awm_crank.session.events import Role
from awm_crank.session.recovery import CatchUp, locate
from awm_crank.wire.accounts import ACTIVE, RECORD_SIZE


def played(frames: int) -> FakeChain:
    """A match of this many frames, with a checkpoint at frame 40, 80 and so on."""
    chain = FakeChain(status=ACTIVE)
    begin(chain).play(frames)
    return chain


LONG = played(90)


def replay(chain: FakeChain) -> CatchUp:
    """Recomputes every frame to the end."""
    engine, plan = FakeEngine(), locate(chain.accounts)
    one = CatchUp(engine, plan)
    state = engine.start_state(plan.start.block) if plan.state is None else engine.load(plan.state)
    while not one.done:
        one.advance(engine.backbone(state, one.position.block))
    return one


def copy_of(chain: FakeChain) -> FakeChain:
    """A copy of the accounts, to be altered."""
    other = FakeChain()
    other.accounts = dict(chain.accounts)
    return other


def test_from_frame_0() -> None:
    """Without a checkpoint, recovery starts from the start position and the genesis hash, and replays all records."""
    chain = played(12)
    plan = locate(chain.accounts)
    assert (plan.start.frame, plan.state, len(plan.records)) == (0, None, 12)
    assert replay(chain).position.frame == 12


def test_from_a_checkpoint() -> None:
    """With a checkpoint, recovery starts at its frame and replays only the later records."""
    plan = locate(LONG.accounts)
    assert (plan.start.frame, len(plan.records)) == (80, 10)
    assert replay(LONG).position.frame == 90


def test_nothing_to_replay() -> None:
    """At frame 0 there is nothing to replay."""
    assert replay(played(0)).done


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        (lambda c: c.accounts.update(checkpoint_b=None), "expected an account"),
        (lambda c: c.put("checkpoint_b", finalized=False), "not finalized"),
        (lambda c: c.put("checkpoint_b", frame=79), "frame 79"),
        (lambda c: c.put("checkpoint_b", state=bytes(2_000)), "another hash"),
        (lambda c: c.put("hidden", checkpoint_hash=bytes(32)), "another hash"),
    ],
)
def test_bad_checkpoint(alter: Callable[[FakeChain], object], says: str) -> None:
    """A checkpoint that is missing, unfinished, of another frame or of other bytes is refused."""
    chain = copy_of(LONG)
    alter(chain)
    with pytest.raises(CheckpointError, match=says):
        locate(chain.accounts)


def test_record_overwritten() -> None:
    """When the ring no longer holds a record that is needed, the error names the frames that it has."""
    chain = copy_of(LONG)
    chain.put("log", total_frames=90 + 256, write_index=90)
    chain.put("session", frame=90 + 256)
    chain.put("hidden", frame=90 + 256)
    with pytest.raises(LayoutError):
        locate(chain.accounts)


@pytest.mark.parametrize(
    ("at", "says"),
    [
        (4, "PlayerStates of frame 85"),  # an input
        (20, "chain hash of frame 85"),  # a source
        (24, "PlayerStates of frame 85"),  # a PlayerState
        (88, "chain hash of frame 85"),
    ],
)
def test_altered_record(at: int, says: str) -> None:
    """An altered byte in a record is found at that record's frame."""
    chain = copy_of(LONG)
    ring = bytearray(chain.log.ring)
    ring[84 * RECORD_SIZE + at] ^= 1
    chain.put("log", ring=bytes(ring))
    with pytest.raises(VerifyError, match=says):
        replay(chain)


@pytest.mark.parametrize("field", ["chain_hash", "feedback"])
def test_altered_end(field: str) -> None:
    """The replay must end with exactly what the hidden state holds."""
    chain = copy_of(LONG)
    chain.put("hidden", **{field: bytes(len(getattr(chain.hidden, field)))})
    with pytest.raises(VerifyError, match="frame 90"):
        replay(chain)


ROLES: list[Role] = ["session", "hidden", "log", "checkpoint_b"]


@hypothesis_settings(max_examples=150, deadline=None)
@given(st.sampled_from(ROLES), st.data())
def test_any_damage_is_a_typed_error(role: Role, data: st.DataObject) -> None:
    """Whatever byte of an account is altered or cut off, recovery either works or raises a typed error."""
    chain = copy_of(LONG)
    account = bytearray(chain.accounts[role] or b"")
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(account) - 1))
        account[at] ^= data.draw(st.integers(1, 255))
    else:
        del account[data.draw(st.integers(0, len(account))) :]
    chain.accounts[role] = bytes(account)
    try:
        replay(chain)
    except AwmError:
        return


def test_vanished_checkpoint() -> None:
    """In a rollup, a checkpoint that is missing or empty makes recovery start from frame 0 and the ring.

    A checkpoint that exists but is wrong is refused as on any chain.
    """
    gone, empty, wrong = copy_of(LONG), copy_of(LONG), copy_of(LONG)
    gone.accounts["checkpoint_b"] = None
    empty.put("checkpoint_b", finalized=False, frame=0, chain_hash=bytes(32))
    wrong.put("checkpoint_b", state=bytes(2_000))
    for chain in (gone, empty):
        plan = locate(chain.accounts, in_rollup=True)
        assert (plan.start.frame, plan.state, len(plan.records)) == (0, None, 90)
        with pytest.raises(CheckpointError):
            locate(chain.accounts)
    with pytest.raises(CheckpointError, match="another hash"):
        locate(wrong.accounts, in_rollup=True)
    assert locate(LONG.accounts, in_rollup=True) == locate(LONG.accounts)
