"""Whole scripts over the machine: from finding a session to its last checkpoint, with and without crashes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from session.script import (
    CARTRIDGE,
    ENTITY,
    MS,
    PERIOD,
    FakeChain,
    FakeEngine,
    Script,
    begin,
    settings,
)

from awm_crank.session import commands, events
from awm_crank.session.machine import SessionMachine
from awm_crank.wire.accounts import ACTIVE, ENDED, WAITING_PLAYERS


def records(chain: FakeChain) -> list[bytes]:
    """All records that the ring still holds."""
    return [chain.log.record(frame) for frame in chain.log.holds()]


def undisturbed(frames: int, engine: FakeEngine | None = None) -> FakeChain:
    """The log of a match in which nothing went wrong."""
    chain = FakeChain(status=ACTIVE)
    begin(chain, engine).play(frames)
    return chain


def test_from_found_to_ready() -> None:
    """For a session that waits for player 2, the machine claims it and names its cartridge.

    Accounts are made after JOIN.
    """
    chain = FakeChain()
    script = begin(chain)
    assert script.machine.stage == "join"
    assert chain.hidden.epoch == 1
    assert chain.hidden.cartridge_hash == CARTRIDGE
    assert chain.log.capacity == 0
    # a notification of the join may get lost, so the accounts are read now and then
    assert script.wake is not None
    assert script.wake - script.now == 1_000 * MS
    chain.join()
    script.notify("session", "hidden")
    script.run()
    assert chain.log.capacity >= 256
    assert len(chain.checkpoint(0).state) == len(chain.checkpoint(1).state) == script.engine.state_size
    assert script.machine.stage == "serve"


def test_player_2_joins() -> None:
    """JOIN starts the serving from the warmed-up state; the first frame waits for both inputs."""
    chain = FakeChain()
    script = begin(chain)
    chain.join()
    script.notify("hidden", "session", "inputs")
    script.run()
    assert script.machine.stage == "serve"
    assert not script.frames
    script.press(1)
    assert not script.run().frames
    script.press(1, 2)
    assert [frame.frame for frame in script.run().frames] == [1]
    assert chain.session.frame == 1


def test_session_is_watched_until_it_begins() -> None:
    """The session's account is watched for every change while player 2 is awaited, and only for its end after that."""
    chain = FakeChain()
    script = begin(chain)
    assert script.watched
    chain.join()
    script.notify("session")
    script.run()
    assert (script.machine.stage, script.watched) == ("serve", False)
    script.play(3)
    chain.end()
    script.notify("session")
    script.sleep(100 * MS)
    assert script.released is not None
    assert script.released.reason == "ended"


def test_session_is_watched_again() -> None:
    """When the chain goes back to before player 2 joined, the account is watched again and the match still begins."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain)
    assert (script.machine.stage, script.watched) == ("serve", False)
    hidden = chain.accounts["hidden"]
    chain.put("session", status=WAITING_PLAYERS)
    chain.put("hidden", chain_hash=bytes([1] * 32))
    script.notify("hidden")
    chain.accounts["hidden"] = hidden
    script.run()
    assert (script.machine.stage, script.watched) == ("join", True)
    chain.put("session", status=ACTIVE)
    script.notify("session")
    script.run().play(3)
    assert (chain.session.frame, script.watched) == (3, False)


def test_join_while_reading() -> None:
    """A JOIN that arrives while older accounts are being read is not lost."""
    chain = FakeChain()
    script = begin(chain)
    _ = script >> events.Watching()
    stale = dict(chain.accounts)
    fetch = script << commands.Fetch
    script.todo.clear()
    chain.join()
    script.notify("session")
    _ = script >> events.Fetched({role: stale[role] for role in fetch.roles})
    script.sleep(100 * MS)
    assert script.machine.stage == "serve"


def test_frames_by_the_schedule() -> None:
    """Each tick sends one frame on time.

    The backbone runs as soon as the last frame has landed, before the inputs arrive.
    """
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(10)
    schedule = script.machine.schedule
    assert [frame.frame for frame in script.frames] == list(range(1, 11))
    assert (schedule.on_time, schedule.late, schedule.missed) == (10, 0, 0)
    assert all(a.tick_due + PERIOD <= b.tick_due + 1 for a, b in zip(script.landed, script.landed[1:], strict=False))
    script.chain.press(1, 1)
    steps = script.engine.steps
    script.notify("inputs")
    assert script.run().engine.steps == steps


def test_early_inputs_wait_for_the_tick() -> None:
    """Inputs that arrive long before the tick do not make its frame go out early."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain)
    script.press(1, 1)
    script.run()
    script.press(2, 2)
    script.run()
    assert len(script.frames) == 1
    script.sleep(PERIOD - MS)
    assert len(script.frames) == 1
    script.sleep(2 * MS)
    assert len(script.frames) == 2


def test_confirmation_is_the_accounts_change() -> None:
    """An accepted send does not count as a frame; the change of the hidden state does."""
    script = begin(FakeChain(status=ACTIVE))
    script.mute = True
    script.chain.press(1, 1)
    script.chain.press(2, 1)
    _ = script >> events.Changed("inputs", script.chain.accounts["inputs"] or b"")
    script.run()
    assert script.chain.session.frame == 1
    assert script.machine.frame == 0
    script.mute = False
    script.notify("hidden")
    assert script.machine.frame == 1


def test_max_frames_ends_with_a_checkpoint() -> None:
    """When max_frames ends the session, the machine writes a checkpoint of the last frame and lets the session go."""
    chain = FakeChain(status=ACTIVE, max_frames=5)
    script = begin(chain).play(5)
    assert chain.session.status == ENDED
    assert (chain.hidden.initialized, chain.hidden.checkpoint_frame) == (True, 5)
    assert script.released == commands.Release("ended", "over")


def test_ko_ends_with_a_checkpoint() -> None:
    """The frame that takes the last stock also ends with a checkpoint, whichever notification comes first."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain, FakeEngine(ko_at=4)).play(6)
    assert chain.session.frame == 4
    assert chain.hidden.checkpoint_frame == 4
    assert script.released == commands.Release("ended", "over")


def test_end_by_a_player() -> None:
    """After an END between frames, the checkpoint is of the last frame, although the backbone has consumed it."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(7)
    chain.end()
    script.notify("session")
    script.run()
    assert script.released == commands.Release("ended", "over")
    other = FakeChain(status=ACTIVE, max_frames=7)
    begin(other).play(7)
    assert chain.checkpoint(0).state == other.checkpoint(0).state


def test_end_overtakes_a_frame() -> None:
    """A frame that is refused because the session has just ended leads to the end, not to a retry."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(3)
    script.press(5, 5)
    chain.end()
    script.sleep(PERIOD)
    assert script.machine.counters.refusals == {"NOT_ACTIVE": 1}
    assert script.released == commands.Release("ended", "over")
    assert chain.hidden.checkpoint_frame == 3


def test_stop_leaves_a_checkpoint() -> None:
    """On a stop, the machine writes a checkpoint of the last frame and then releases the session."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(9)
    (script >> events.Stop()).run()
    assert chain.hidden.checkpoint_frame == 9
    assert script.released == commands.Release("stopped", "stopped")
    assert chain.session.status == ACTIVE


def test_stop_with_a_frame_in_flight() -> None:
    """On a stop, the machine waits for the frame in flight, and the checkpoint is of that frame."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(4)
    script.press(1, 1)
    script.mute = True
    script.drop_answers = 1
    script.sleep(PERIOD)
    (script >> events.Stop()).run()
    assert script.released is None
    script.mute = False
    script.sleep(500 * MS)
    assert chain.hidden.checkpoint_frame == 5
    assert script.released is not None


def test_stop_before_serving() -> None:
    """A stop while the session is being opened releases it at once."""
    script = Script(SessionMachine(ENTITY, settings()), FakeChain())
    _ = script >> events.Begin() >> events.Stop()
    assert script.released == commands.Release("stopped", "stopped")


def test_nothing_after_release() -> None:
    """A machine that has released its session asks for nothing more."""
    script = begin(FakeChain(status=ACTIVE, max_frames=1)).play(1)
    assert script.machine.stage == "done"
    assert not (script >> events.Wake()).commands


@pytest.mark.parametrize("frames", [0, 1, 39, 40, 42, 55, 81, 130])
def test_restart_resumes(frames: int) -> None:
    """A second process recomputes from the last checkpoint and plays on; the log equals an undisturbed match's."""
    chain = FakeChain(status=ACTIVE)
    begin(chain).play(frames)
    second = begin(chain, now=10_000_000 * MS)
    assert second.machine.stage == "serve"
    assert second.machine.frame == frames
    assert second.machine.counters.replayed == frames - chain.hidden.checkpoint_frame
    for n in range(frames, frames + 20):
        second.press(n % 7 + 1, 3)
        second.sleep(PERIOD + 1)
    expected = FakeChain(status=ACTIVE)
    script = begin(expected).play(frames)
    for n in range(frames, frames + 20):
        script.press(n % 7 + 1, 3)
        script.sleep(PERIOD + 1)
    assert records(chain) == records(expected)


def test_old_process_is_fenced() -> None:
    """After a restart's claim, the old process's frames are refused for their epoch, and the old process stops."""
    chain = FakeChain(status=ACTIVE)
    first = begin(chain).play(5)
    second = begin(chain, now=first.now)
    assert second.machine.frame == 5
    first.press(1, 1)
    first.sleep(PERIOD)
    assert first.machine.counters.refusals == {"EPOCH_MISMATCH": 1}
    assert first.released is not None
    assert first.released.outcome == "yielded"
    second.notify("inputs")
    second.sleep(PERIOD)
    assert chain.session.frame == 6


def test_crash_in_a_checkpoint() -> None:
    """A half-written checkpoint does no harm: the restart uses the good one and writes the other again."""
    chain = FakeChain(status=ACTIVE)
    begin(chain, FakeEngine(state_size=20_000), chunks_per_frame=4).play(86)
    assert chain.hidden.checkpoint_frame == 40
    assert chain.checkpoint(1).frame == 80
    assert not chain.checkpoint(1).finalized
    second = begin(chain, FakeEngine(state_size=20_000), now=10_000_000 * MS, chunks_per_frame=4)
    assert second.machine.frame == 86
    second.play(30)
    assert chain.hidden.checkpoint_side == 1
    assert chain.hidden.checkpoint_frame > 80


def test_crash_after_the_last_frame() -> None:
    """When a session ended without a checkpoint of its last frame, the next process writes it."""
    chain = FakeChain(status=ACTIVE, max_frames=50)
    begin(chain).play(49)
    script = begin(FakeChain(status=ACTIVE, max_frames=50)).play(49)
    chain.press(1, 49 + 1)
    chain.press(2, 49 + 2)
    script.press(49 + 1, 49 + 2)
    script.sleep(PERIOD)
    chain.frame(script.frames[-1])
    assert chain.session.status == ENDED
    assert chain.hidden.checkpoint_frame == 40
    second = begin(chain, now=10_000_000 * MS)
    assert chain.hidden.checkpoint_frame == 50
    assert second.released == commands.Release("ended", "over")


def test_finished_session_is_left_alone() -> None:
    """A session that ended with its checkpoint is released without a claim."""
    chain = FakeChain(status=ACTIVE, max_frames=3)
    begin(chain).play(3)
    before = dict(chain.accounts)
    script = begin(chain)
    assert script.released == commands.Release("ended", "over")
    assert chain.accounts == before


def test_wrong_model_does_not_write() -> None:
    """A crank whose engine computes something else than the chain holds refuses to serve, and writes nothing."""
    chain = FakeChain(status=ACTIVE)
    begin(chain).play(30)

    class Different(FakeEngine):
        def heads(self, ctx: bytes, block: bytes, inputs: bytes) -> bytes:
            return super().heads(ctx[::-1], block, inputs)

    script = begin(chain, Different())
    script.sleep(60_000 * MS)
    assert script.machine.waiting is not None
    assert script.machine.waiting.cause == "disagreement"
    assert "frame 1" in script.machine.waiting.problem
    assert any(log.level == "error" for log in script.logs)
    assert chain.session.frame == 30
    # with growing pauses, since each try computes a lot
    assert len(script.said("restoring")) < 20


def few_left(cut: int) -> Callable[[Any], bool]:
    """Whether a script has at most `cut` commands left to answer."""
    return lambda script: len(script.todo) <= cut


@pytest.mark.parametrize("seed", range(12))
def test_kill_anywhere(seed: int) -> None:
    """After a kill at any command and a restart, the log equals that of an undisturbed match."""
    expected = undisturbed(100)
    chain = FakeChain(status=ACTIVE)
    now = 1_000 * MS
    for life in range(6):
        script = begin(chain, now=now)
        for _ in range((seed * 7 + life * 13) % 23 + 1):
            if chain.session.frame >= 100:
                break
            n = chain.session.frame
            buffer = chain.inputs
            for player, value in ((1, n % 100 + 1), (2, n % 90 + 2)):
                if not getattr(buffer, f"p{player}_ready"):
                    chain.press(player, value)
            script.notify("inputs")
            script.sleep(PERIOD + 1)
        # in the last period some commands are never answered
        n = chain.session.frame
        if n < 100:
            for player, value in ((1, n % 100 + 1), (2, n % 90 + 2)):
                if not getattr(chain.inputs, f"p{player}_ready"):
                    chain.press(player, value)
            script.notify("inputs")
            cut = seed % 4
            script.run(until=few_left(cut))
        now = script.now + 1_000 * MS
    script = begin(chain, now=now)
    while chain.session.frame < 100:
        n = chain.session.frame
        for player, value in ((1, n % 100 + 1), (2, n % 90 + 2)):
            if not getattr(chain.inputs, f"p{player}_ready"):
                chain.press(player, value)
        script.notify("inputs")
        script.sleep(PERIOD + 1)
    assert records(chain) == records(expected)
