"""Frames and checkpoints of a session under way: refusals, losses, late inputs and ticks."""

from __future__ import annotations

from collections import deque

import pytest
from session.script import (
    ENTITY,
    MS,
    PERIOD,
    FakeChain,
    FakeEngine,
    Script,
    begin,
    refusal,
    settings,
)

from awm_crank.engine.position import Position
from awm_crank.errors import RpcError
from awm_crank.session import events
from awm_crank.session.frames import FrameLoop
from awm_crank.session.machine import SessionMachine
from awm_crank.session.schedule import Schedule
from awm_crank.wire.accounts import ACTIVE
from awm_crank.wire.failures import Code


def test_input_arrives_while_the_frame_is_in_flight() -> None:
    """After InputMismatch, the frame is computed again from the same context with the inputs on chain, and lands."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain, late_policy="hold")
    script.sleep(MS)
    # tick 2's frame is computed with a held input, and player 1's input arrives before the frame lands
    chain.press(1, 9)
    steps = script.engine.steps
    script.sleep(PERIOD)
    assert script.machine.counters.refusals == {"INPUT_MISMATCH": 1}
    assert script.machine.counters.frames == 2
    assert script.engine.steps == steps + 1
    assert chain.log.record(2)[4:12] == bytes([9] * 8)
    assert script.machine.schedule.missed == 0


def test_lost_frame_is_sent_again() -> None:
    """A frame that never lands is sent again after the time-out, once the accounts have been read."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(3)
    script.drop_frames = 1
    script.press(1, 1)
    script.sleep(PERIOD)
    assert chain.session.frame == 3
    script.sleep(500 * MS)
    assert chain.session.frame == 4
    assert script.machine.counters.timeouts == 1
    assert script.machine.schedule.late == 1
    assert script.machine.schedule.missed > 20


def test_when_a_frame_counts_as_lost() -> None:
    """A frame that was not even answered counts as lost sooner, if landings are usually fast; never later."""
    loop = FrameLoop(FakeEngine(), None, Position(0, bytes(97), bytes(32)), Schedule(0))
    loop.sent_at = 1000
    assert loop.lost_at(400 * MS, 0) == 1000 + 400 * MS
    assert loop.lost_at(400 * MS, 5 * MS) == 1000 + 100 * MS
    assert loop.lost_at(400 * MS, 20 * MS) == 1000 + 160 * MS
    assert loop.lost_at(400 * MS, 200 * MS) == 1000 + 400 * MS
    loop.answered_at = 2000
    assert loop.lost_at(400 * MS, 5 * MS) == 1000 + 400 * MS


def test_what_is_heard_first() -> None:
    """A frame is wanted from its tick or its last input on, and known from its answer or its account's change on."""
    script = begin(FakeChain(status=ACTIVE)).play(2)
    script.press(1, 1)
    script.drop_answers = 1
    script.sleep(PERIOD)
    script.now += MS
    answered = script.now
    _ = script >> events.Sent(script.frames[-1].ticket, None)
    script.now += MS
    script.notify("hidden", "session", "inputs")
    script.run()
    landed = script.landed[-1]
    assert landed.wanted_at == landed.tick_due
    assert (landed.known_at, landed.landed_at) == (answered, answered + MS)

    # the inputs come in the middle of the next tick, and the account's change comes before the answer
    script.sleep(PERIOD)
    script.drop_answers = 1
    pressed = script.now
    script.press(2, 2)
    script.run()
    script.now += MS
    script.notify("hidden", "session", "inputs")
    _ = script >> events.Sent(script.frames[-1].ticket, None)
    landed = script.landed[-1]
    assert landed.frame == 4
    assert landed.wanted_at == pressed > landed.tick_due
    assert landed.known_at == landed.landed_at == pressed + MS


def test_landed_unseen() -> None:
    """A frame that landed without an answer or a notification is found by reading, and not sent again."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(3)
    script.drop_answers = 1
    script.press(1, 1)
    script.sleep(500 * MS)
    assert script.machine.frame == 4
    assert [frame.frame for frame in script.frames] == [1, 2, 3, 4]


def test_refused_without_a_reason() -> None:
    """After an answer without a reason (blockhash gone, connection lost), the machine reads and then tries again."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(2)
    script.press(1, 1)
    script.drop_frames = 1
    script.sleep(PERIOD)
    sent = script.frames[-1]
    _ = script >> events.Sent(sent.ticket, refusal(None))
    script.run()
    assert chain.session.frame == 3


def test_variant_that_lands_late() -> None:
    """When two variants of a frame were sent, either may land; the state follows the one that did."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain, late_policy="hold").play(2)
    script.drop_frames = 1
    script.sleep(PERIOD)
    first = script.frames[-1]
    _ = script >> events.Sent(first.ticket, refusal(Code.INPUT_MISMATCH))
    script.drop_frames = 1
    chain_inputs = dict(chain.accounts)
    chain.press(1, 7)
    script.notify("inputs")
    script.run()
    assert script.frames[-1].inputs != first.inputs
    # the first variant lands after all
    chain.accounts = chain_inputs
    chain.frame(first)
    script.notify("hidden", "inputs")
    script.run()
    assert script.machine.frame == first.frame
    script.play(3)
    assert script.machine.counters.resyncs == 0
    assert chain.session.frame == script.machine.frame


def test_frame_mismatch_is_reconciled() -> None:
    """After FrameMismatch the accounts decide: here the frame had landed, and its notification was lost."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(2)
    script.press(1, 1)
    script.drop_answers = 1
    script.sleep(PERIOD)
    _ = script >> events.Sent(script.frames[-1].ticket, refusal(Code.FRAME_MISMATCH))
    script.run()
    assert script.machine.frame == 3
    assert len(script.frames) == 3


def test_chain_went_another_way() -> None:
    """A frame on chain that this process did not send causes a resync from checkpoint and ring; serving continues."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(4)
    twin = begin(FakeChain(status=ACTIVE)).play(6)
    chain.accounts = dict(twin.chain.accounts)
    script.notify("hidden", "session", "inputs")
    script.run()
    assert script.machine.counters.resyncs == 1
    assert script.machine.frame == 6
    script.play(2)
    assert chain.session.frame == 8


def test_taken_over_by_epoch() -> None:
    """When the hidden state shows another process's claim, this one stops, says so, and writes no checkpoint."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(3)
    chain.put("hidden", epoch=2)
    script.notify("hidden")
    script.run()
    assert script.released is not None
    assert script.released.outcome == "yielded"
    assert "another process" in script.released.reason
    assert any(log.level == "error" for log in script.logs)
    assert "checkpoint-begin" not in chain.log_of


@pytest.mark.parametrize("code", [Code.EPOCH_MISMATCH, Code.WRITER_MISMATCH])
def test_taken_over_by_refusal(code: Code) -> None:
    """After a refusal for epoch or writer the accounts are read, and they show the takeover."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(3)
    script.press(1, 1)
    script.drop_frames = 1
    script.sleep(PERIOD)
    chain.put("hidden", epoch=2)
    _ = script >> events.Sent(script.frames[-1].ticket, refusal(code))
    script.run()
    assert script.released is not None
    assert script.released.outcome == "yielded"


def test_frame_refused_for_good() -> None:
    """A frame that the program calls invalid is computed again from the chain, with growing pauses and a log line."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(3)
    chain.refuse["frame"] = deque([Code.INVALID_PLAYER_STATE] * 1000)
    script.press(1, 1)
    script.sleep(60_000 * MS)
    assert script.machine.waiting is not None
    assert "frame 4 was refused" in script.machine.waiting.problem
    assert script.machine.counters.resyncs < 80
    chain.refuse.clear()
    script.sleep(1_100 * MS)
    assert chain.session.frame == 4


def test_reconnect_reads_what_was_missed() -> None:
    """After a reconnect the accounts are read, and inputs that arrived in the meantime lead to the frame."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(3)
    script.mute = True
    script.press(4, 4)
    script.sleep(3 * PERIOD + 100)
    assert chain.session.frame == 3
    script.mute = False
    (script >> events.Watching()).run()
    assert chain.session.frame == 4
    assert script.machine.schedule.missed == 3


def test_notifications_out_of_order() -> None:
    """An older notification after a newer one changes nothing."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(2)
    old = dict(chain.accounts)
    script.play(2)
    for role in ("hidden", "inputs", "session"):
        _ = script >> events.Changed(role, old[role] or b"")
    script.run()
    script.play(2)
    assert chain.session.frame == 6
    assert script.machine.counters.resyncs == 0


def test_endpoint_behind() -> None:
    """Reads that show older frames are repeated. If they persist, frames were lost, and a resync follows."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(3)
    chain.accounts = dict(begin(FakeChain(status=ACTIVE)).play(2).chain.accounts)
    chain.put("hidden", epoch=1)
    _ = script >> events.Watching()
    script.sleep(3_000 * MS)
    assert script.machine.counters.resyncs == 1
    assert script.machine.frame == 2
    script.play(2)
    assert chain.session.frame == 4


def test_reads_that_fail() -> None:
    """A read that fails is tried again after a pause."""
    script = Script(SessionMachine(ENTITY, settings()), FakeChain())
    _ = script >> events.Begin()
    script.todo.clear()
    _ = script >> events.FetchFailed(RpcError("down"))
    assert script.released is None
    script.sleep(100 * MS)
    assert script.machine.stage == "join"


def test_endpoint_down_for_long() -> None:
    """A serving machine reads the accounts again for ever, with pauses of at most a second."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(3)
    script.press(1, 1)
    script.drop_frames = 1
    script.sleep(PERIOD)
    _ = script >> events.Sent(script.frames[-1].ticket, refusal(None))
    for _ in range(40):
        script.todo.clear()
        _ = script >> events.FetchFailed(RpcError("down"))
        assert script.wake is not None
        assert script.wake - script.now <= 1_000 * MS
        script.now = script.wake
        _ = script >> events.Wake()
    assert script.released is None
    script.run()
    assert chain.session.frame == 4


def test_hold() -> None:
    """With `hold`, a missing input repeats the last one, and the record says so."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain, late_policy="hold")
    script.press(3, 4)
    script.sleep(PERIOD + MS)
    script.press(5)
    script.sleep(PERIOD)
    last = chain.log.record(chain.session.frame)
    assert last[4:12] == bytes([5] * 8)
    assert last[12:20] == bytes([4] * 8)
    assert tuple(last[20:22]) == (0, 1)
    assert script.machine.counters.filled_inputs > 0


def test_neutral() -> None:
    """With `neutral`, a missing input is all zeros, and the record says so."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain, late_policy="neutral")
    script.press(3, 4)
    script.sleep(PERIOD + MS)
    script.press(5)
    script.sleep(PERIOD)
    last = chain.log.record(chain.session.frame)
    assert (last[4:12], last[12:20], tuple(last[20:22])) == (bytes([5] * 8), bytes(8), (0, 2))


def test_wait_counts_missed_ticks() -> None:
    """With `wait`, ticks that pass during the wait are missed, and the frame belongs to the last of them."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(2)
    schedule = script.machine.schedule
    script.sleep(3 * PERIOD + PERIOD // 2)
    script.press(1, 1)
    script.run()
    assert chain.session.frame == 3
    assert (schedule.on_time, schedule.late, schedule.missed) == (3, 0, 3)
    assert script.wake is not None


def test_waiting_reads_now_and_then() -> None:
    """While inputs are awaited the accounts are read after 100 ms, and then less and less often, down to once a
    second.
    """
    script = begin(FakeChain(status=ACTIVE)).play(2)
    script.sleep(10_000 * MS)
    reads = script.reads
    script.sleep(10_000 * MS)
    assert 9 <= script.reads - reads <= 11
    assert script.machine.stalled(script.now) == ""
    assert script.machine.waiting is None


def test_slow_landing_is_late_and_misses_a_tick() -> None:
    """A frame that lands after its period is late, and the tick that it landed in is missed; no burst follows."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain, late_policy="hold").play(2)
    schedule = script.machine.schedule
    missed = schedule.missed
    script.mute = True
    script.sleep(PERIOD + 100)
    script.sleep(PERIOD + PERIOD // 2)
    script.mute = False
    sent = len(script.frames)
    script.notify("hidden", "session", "inputs")
    script.run()
    assert len(script.frames) == sent
    script.sleep(PERIOD)
    assert len(script.frames) == sent + 1
    assert schedule.late == 1
    assert schedule.missed == missed + 1


def test_checkpoints_in_turn() -> None:
    """Checkpoints are finalized at every interval, in A and B by turns, while every frame stays on time."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(140)
    assert script.machine.counters.checkpoints == 3
    assert {chain.checkpoint(0).frame, chain.checkpoint(1).frame} == {80, 120}
    assert script.machine.schedule.on_time == 140


def test_chunks_travel_between_frames() -> None:
    """At most the configured number of chunks goes out after each frame."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain, FakeEngine(state_size=20_000), chunks_per_frame=3, chunk_bytes=900).play(45)
    before = chain.log_of.count("checkpoint-chunk")
    script.play(1)
    assert chain.log_of.count("checkpoint-chunk") - before == 3


def test_every_third_frame_has_no_chunk() -> None:
    """A checkpoint's chunks go out after two of every three frames, without preflight.

    Begin and finalize use preflight.
    """
    chain = FakeChain(status=ACTIVE)
    script = begin(chain, FakeEngine(state_size=20_000)).play(80)
    counts = []
    for _ in range(6):
        before = chain.log_of.count("checkpoint-chunk")
        script.play(1)
        counts.append((chain.session.frame % 3 == 0, chain.log_of.count("checkpoint-chunk") - before))
    assert counts == [(rests, 0 if rests else 1) for rests, _ in counts]
    assert sum(rests for rests, _ in counts) == 2
    sent = [transaction for command in script.sent for transaction in command.transactions]
    assert {transaction.point: transaction.preflight for transaction in sent if transaction.point != "setup"} == {
        "claim": True, "pin": True, "checkpoint-begin": True, "checkpoint-chunk": False,
    }  # fmt: skip


@pytest.mark.parametrize("point", ["checkpoint-begin", "checkpoint-chunk", "checkpoint-finalize"])
@pytest.mark.parametrize("code", [None, Code.CHECKPOINT_INCOMPLETE, Code.HASH_MISMATCH, 0])
def test_checkpoint_survives_refusals(point: str, code: int | None) -> None:
    """One transaction of a checkpoint is refused or stays unanswered, whichever it is: the checkpoint is finalized in
    the end all the same, at the same frame.
    """
    chain = FakeChain(status=ACTIVE)
    chain.refuse[point] = deque([code, code])
    script = begin(chain).play(79)
    assert chain.hidden.checkpoint_frame == 40
    assert script.machine.counters.checkpoints == 1
    assert chain.session.frame == 79


def test_bytes_that_got_lost_are_found() -> None:
    """After HashMismatch the account is read, and the chunks that differ are sent again."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain, FakeEngine(state_size=5_000))
    chain.refuse["checkpoint-finalize"] = deque([Code.HASH_MISMATCH])
    script.play(39)
    state_before = chain.log_of.count("checkpoint-chunk")
    script.play(20)
    assert chain.hidden.checkpoint_frame == 40
    # nothing differed, so no chunk was sent twice
    assert chain.log_of.count("checkpoint-chunk") - state_before == 10


def test_checkpoint_that_contradicts_the_log() -> None:
    """A checkpoint that contradicts the log is given up with an error, and the next one comes later."""
    chain = FakeChain(status=ACTIVE)
    chain.refuse["checkpoint-finalize"] = deque([Code.CHECKPOINT_CONTRADICTS_LOG])
    script = begin(chain).play(70)
    assert script.machine.counters.checkpoint_failures == 1
    assert any(log.level == "error" and log.event == "checkpoint failed" for log in script.logs)
    assert chain.hidden.checkpoint_frame > 40


def test_ring_full() -> None:
    """A frame that would overwrite a record still needed waits for a checkpoint; the wait is counted and logged."""
    chain = FakeChain(status=ACTIVE)
    chain.refuse["checkpoint-begin"] = deque([Code.CHECKPOINT_CONTRADICTS_LOG] * 1000)
    script = begin(chain).play(270)
    assert chain.session.frame == chain.log.capacity == 256
    assert not chain.hidden.initialized
    assert script.machine.counters.ring_full == 1
    assert script.said("ring full: checkpoint first")
    chain.refuse.clear()
    script.sleep(2_000 * MS)
    assert chain.hidden.checkpoint_frame == 256
    script.play(100)
    assert chain.session.frame > 350
    assert "RING_FULL" not in script.machine.counters.refusals


def test_due_and_not_attempted() -> None:
    """A frame counts as due from its tick on while it is being computed; once sent, it counts as attempted."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(2)
    script.press(1, 1)
    script.run(until=lambda script: script.machine.frame == 3)
    script.press(2, 2)
    assert script.machine.due(script.now) == 0
    assert script.machine.due(script.now + PERIOD) == 4
    # with the backbone's result the frame goes out; it is not due in flight, nor in doubt after the time-out
    script.drop_frames = 1
    script.sleep(PERIOD)
    assert script.frames[-1].frame == 4
    assert script.machine.due(script.now + 300 * MS) == 0
    assert script.machine.due(script.now + 900 * MS) == 0


def test_waiting_is_not_due() -> None:
    """A frame is not due while its inputs are awaited, or while its session is not served yet."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(2)
    assert script.machine.due(script.now + 10 * PERIOD) == 0
    script.press(1)
    assert script.machine.due(script.now + 10 * PERIOD) == 0
    assert SessionMachine(ENTITY, settings()).due(script.now) == 0


def test_held_input_is_due() -> None:
    """With a policy that does not wait, a frame is due without inputs."""
    script = begin(FakeChain(status=ACTIVE), late_policy="hold").play(2)
    assert script.machine.due(script.now + 10 * PERIOD) == script.machine.frame + 1


@pytest.mark.parametrize("refused", [0, 2])
@pytest.mark.parametrize("seen", [True, False])
def test_vanished_checkpoints(seen: bool, refused: int) -> None:
    """Checkpoints that a rollup has lost are made again while frames continue, and a good checkpoint follows.

    A reconnect, or the next checkpoint's failure, shows that they are lost. The first tries to make them may be
    refused.
    """
    chain = FakeChain(status=ACTIVE)
    script = begin(chain, FakeEngine(state_size=30_000), in_rollup=True, chunks_per_frame=8).play(55)
    assert chain.hidden.checkpoint_frame == 40
    chain.accounts |= {"checkpoint_a": None, "checkpoint_b": None}
    chain.refuse["setup"] = deque([0] * refused)
    if seen:
        script >> events.Watching()
        script.run()
    script.play(245)
    assert chain.hidden.checkpoint_frame >= 200
    assert script.said("checkpoints have vanished: making them again")
    assert chain.session.frame == 300
    assert chain.checkpoint(chain.hidden.checkpoint_side).finalized
