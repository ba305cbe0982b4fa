"""Faults that may pass end no service: lost, late, wrong and damaged messages, replayed in the pure machine.

The limits are those of docs/session.md: frames return within a second after a lost notification, within two after any
single bad answer, and within two after the end of an outage.
"""

from __future__ import annotations

from collections import deque

import pytest
from session.script import ENTITY, MS, OTHER, PERIOD, FakeChain, FakeEngine, Script, begin, refusal, settings

from awm_crank.errors import RpcError
from awm_crank.session import commands, events
from awm_crank.session.events import Role
from awm_crank.session.inputs import LatePolicy
from awm_crank.session.machine import SessionMachine
from awm_crank.wire import layouts
from awm_crank.wire.accounts import ACTIVE, ENDED
from awm_crank.wire.failures import Code

SECOND = 1_000 * MS
ROLES: tuple[Role, ...] = ("session", "hidden", "inputs")


def goes_on(script: Script, within_ns: int, *, waits: bool = True) -> None:
    """Frames return within this time, and then there are as many as the players play."""
    before = script.chain.session.frame
    end = script.now + within_ns
    while script.chain.session.frame == before and script.now < end:
        if waits and not (script.chain.inputs.p1_ready and script.chain.inputs.p2_ready):
            script.press(1, 2)
        script.sleep(PERIOD)
    assert script.chain.session.frame > before, f"stands still at {before}"
    script.play(60)
    assert script.chain.session.frame >= before + 30
    assert script.released is None


@pytest.mark.parametrize("policy", ["wait", "hold", "neutral"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("lost", [1, 3])
def test_lost_notifications(role: Role, lost: int, policy: LatePolicy) -> None:
    """Losing one notification of any account, or the three of one frame, costs less than a second."""
    script = begin(FakeChain(status=ACTIVE), late_policy=policy).play(20)
    script.lose[role] = lost
    script.press(3, 3)
    script.sleep(PERIOD)
    goes_on(script, SECOND)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("policy", ["wait", "hold"])
def test_random_loss_freezes_nothing(seed: int, policy: LatePolicy) -> None:
    """Frames continue for as long as every tenth notification is lost."""
    script = begin(FakeChain(status=ACTIVE), late_policy=policy).play(5)
    numbers = iter(range(seed, 10**9, 7919))
    frames = []
    for _ in range(1_200):
        script.lose = {role: 1 for role in ROLES if next(numbers) // 7 % 10 == 0}
        if not (script.chain.inputs.p1_ready and script.chain.inputs.p2_ready):
            script.press(1, 2)
        script.sleep(PERIOD)
        frames.append(script.chain.session.frame)
    assert all(later > earlier for earlier, later in zip(frames, frames[60:], strict=False))
    assert script.machine.counters.resyncs == 0


def test_dead_subscriptions_are_replaced() -> None:
    """When reads find what no notification reported, the subscriptions are replaced.

    Until then reads bring the frames.
    """
    script = begin(FakeChain(status=ACTIVE), late_policy="hold").play(10)
    script.mute = True
    before = script.chain.session.frame
    script.sleep(20 * SECOND)
    watches = [command for command in script.asked if isinstance(command, commands.Watch) and command.distrust]
    assert 2 <= len(watches) <= 4
    assert script.chain.session.frame > before + 60
    script.mute = False
    goes_on(script, SECOND)


@pytest.mark.parametrize("roles", [("hidden",), ("inputs",), ROLES])
def test_full_speed_without_notifications(roles: tuple[Role, ...]) -> None:
    """While notifications of a kind do not come at all, reads take their place and frames go on at nearly full speed.

    Notifications of the other kind do not hide that: 58 frames a second became 8 in a running crank.
    """
    script = begin(FakeChain(status=ACTIVE), late_policy="hold").play(10)
    script.lose = dict.fromkeys(roles, 10000000)
    script.sleep(2 * SECOND)
    before = script.chain.session.frame
    for _ in range(600):
        script.press(1, 2)
        script.sleep(PERIOD)
    assert script.chain.session.frame - before > 500
    assert script.said("notifications are missing: subscribing again")
    script.lose = {}
    goes_on(script, SECOND)


def test_waiting_without_notifications_of_inputs() -> None:
    """While inputs are not notified, a crank that waits for them reads them within half a frame of their arrival.

    25 frames a second became 15 in a running crank that read the accounts every tenth of a second.
    """
    script = begin(FakeChain(status=ACTIVE)).play(10)
    script.lose = {"inputs": 10_000_000}
    script.sleep(2 * SECOND)
    for _ in range(5):
        script.press(1, 2)
        script.sleep(SECOND)
    before, begun = script.chain.session.frame, script.now
    seen = before
    for _ in range(3 * SECOND // (2 * MS)):
        if script.chain.session.frame > seen or not (script.chain.inputs.p1_ready and script.chain.inputs.p2_ready):
            seen = script.chain.session.frame
            script.press(1, 2)
        script.sleep(2 * MS)
    seconds = (script.now - begun) / SECOND
    assert (script.chain.session.frame - before) / seconds > 40
    script.lose = {}
    goes_on(script, SECOND)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("data", [None, b"", b"\x01", bytes(500)])
def test_one_nonsense_read(role: Role, data: bytes | None) -> None:
    """One read of a served session that shows no account, too few bytes or zeros costs only a second read."""
    script = begin(FakeChain(status=ACTIVE)).play(10)
    script.damage[role] = deque([data])
    _ = script >> events.Watching()
    script.run()
    goes_on(script, 2 * SECOND)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("data", [b"", b"\x01", bytes(20)])
def test_short_notification(role: Role, data: bytes) -> None:
    """A notification without bytes, or with too few, makes the machine read the accounts."""
    script = begin(FakeChain(status=ACTIVE)).play(10)
    _ = script >> events.Changed(role, data)
    script.run()
    goes_on(script, SECOND)


@pytest.mark.parametrize("policy", ["wait", "hold"])
@pytest.mark.parametrize("role", ROLES)
def test_flipped_bits(role: Role, policy: LatePolicy) -> None:
    """One flipped bit in any notification neither ends the match nor forks a frame."""
    size = {"session": 200, "hidden": layouts.HIDDEN_STATE.size, "inputs": layouts.INPUT_BUFFER.size}[role]
    for bit in range(0, 8 * size, 3):
        script = begin(FakeChain(status=ACTIVE), late_policy=policy).play(3)
        script.press(5, 6)
        data = bytearray(script.chain.accounts[role] or b"")
        if bit // 8 >= len(data):
            break
        data[bit // 8] ^= 1 << bit % 8
        before = script.chain.session.frame
        _ = script >> events.Changed(role, bytes(data))
        for _ in range(70):
            script.press(1, 2)
            script.sleep(PERIOD)
        assert script.chain.session.frame >= before + 8, f"bit {bit}"
        assert script.released is None, f"bit {bit}: {script.released}"


@pytest.mark.parametrize("role", ["session", "hidden", "inputs", "log", "checkpoint_a", "checkpoint_b"])
@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("data", [None, b"", bytes(300)])
def test_nonsense_while_opening(role: Role, which: int, data: bytes | None) -> None:
    """Whichever read of the opening returns nonsense, the session is served two seconds later."""
    chain = FakeChain(status=ACTIVE)
    begin(chain).play(50)
    script = Script(SessionMachine(ENTITY, settings()), chain)
    script.now = 10**15
    script.damage[role] = deque([*[chain.accounts[role]] * which, data])
    (script >> events.Begin()).run()
    script.sleep(2 * SECOND)
    assert script.machine.stage == "serve"
    goes_on(script, SECOND)


@pytest.mark.parametrize("seconds", [0.3, 5, 60])
def test_outage_while_opening(seconds: float) -> None:
    """A session that opens while reads fail is served two seconds after they succeed, and says what it waits for."""
    script = Script(SessionMachine(ENTITY, settings()), FakeChain(status=ACTIVE))
    script.read_error = RpcError("HTTP 503")
    (script >> events.Begin()).sleep(round(seconds * SECOND))
    assert script.machine.waiting is None or script.machine.waiting == ("endpoint", "HTTP 503")
    script.read_error = None
    script.sleep(SECOND)
    goes_on(script, SECOND)
    assert script.machine.waiting is None


@pytest.mark.parametrize("point", ["claim", "setup"])
@pytest.mark.parametrize("tries", [1, 9, 60])
def test_sends_that_fail_while_opening(point: str, tries: int) -> None:
    """However often the claim or the set-up meets a failing endpoint, the session is served two seconds after the last
    one.
    """
    chain = FakeChain(status=ACTIVE)
    chain.refuse[point] = deque([-1] * tries)
    script = Script(SessionMachine(ENTITY, settings()), chain)
    (script >> events.Begin()).sleep(1)
    while chain.refuse[point]:
        script.sleep(100 * MS)
    script.sleep(SECOND)
    goes_on(script, SECOND)


@pytest.mark.parametrize("seconds", [3, 30])
def test_frames_without_funds(seconds: int) -> None:
    """While the key cannot pay for frames, the session says so; frames return two seconds after it can."""
    script = begin(FakeChain(status=ACTIVE), late_policy="hold").play(5)
    script.chain.refuse["frame"] = deque([Code.INSUFFICIENT_FUNDS] * 10_000)
    script.refusal_cause = "funds"
    script.sleep(seconds * SECOND)
    assert script.machine.waiting is not None
    assert script.machine.waiting.cause == "funds"
    assert "6017" in script.machine.stalled(script.now)
    # the message is not logged sixty times a second
    assert len(script.frames) < 40 + 2 * seconds
    script.chain.refuse.clear()
    goes_on(script, 2 * SECOND, waits=False)


def test_validator_replaced() -> None:
    """When a fresh validator has the session at the same addresses with a lower epoch, it is claimed and served."""
    chain = FakeChain(status=ACTIVE)
    begin(chain)
    second = begin(chain, now=10**13).play(20)
    assert chain.hidden.epoch == 2
    fresh = FakeChain(status=ACTIVE)
    chain.accounts = fresh.accounts
    second.sleep(5 * SECOND)
    assert chain.hidden.epoch == 1
    goes_on(second, SECOND)


def test_end_is_confirmed() -> None:
    """A notification that the session has ended counts only when a read agrees."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(5)
    alive = chain.accounts["session"]
    chain.end()
    ended = chain.accounts["session"]
    chain.accounts["session"] = alive
    _ = script >> events.Changed("session", ended or b"")
    script.run()
    goes_on(script, SECOND)
    # a single read that says so is not enough either
    script.damage["session"] = deque([ended])
    _ = script >> events.Watching()
    script.run()
    goes_on(script, SECOND)
    chain.put("session", status=ENDED)
    script.notify("session")
    script.sleep(SECOND)
    assert script.released == commands.Release("ended", "over")


def test_other_writer_is_confirmed() -> None:
    """A read that names another writer is repeated before the session is released."""
    chain = FakeChain(status=ACTIVE)
    script = begin(chain).play(5)
    mine = chain.accounts["hidden"]
    chain.put("hidden", writer=OTHER)
    others = chain.accounts["hidden"]
    chain.accounts["hidden"] = mine
    script.damage["hidden"] = deque([others])
    _ = script >> events.Watching()
    script.run()
    goes_on(script, SECOND)
    chain.put("hidden", writer=OTHER)
    _ = script >> events.Watching()
    script.run()
    assert script.released is not None
    assert script.released.outcome == "elsewhere"


def test_accepted_frame_is_looked_for() -> None:
    """A frame that was accepted but not notified is looked for by reading before it counts as timed out."""
    script = begin(FakeChain(status=ACTIVE)).play(10)
    script.lose = dict.fromkeys(ROLES, 1)
    script.press(3, 3)
    script.sleep(PERIOD)
    at = script.now
    while script.machine.frame == 10:
        script.sleep(PERIOD)
    assert script.now - at < 200 * MS
    assert script.machine.counters.timeouts == 0


def test_slow_answers_cost_no_frame() -> None:
    """While notifications arrive, answers that come late or never cost no frame."""
    script = begin(FakeChain(status=ACTIVE)).play(5)
    script.answer_frames = False
    script.play(120)
    assert script.chain.session.frame == 125
    assert script.machine.schedule.missed == 0


def test_final_checkpoint_does_not_hammer() -> None:
    """A finalize that is refused again and again is retried with pauses, and its session is not given up."""
    chain = FakeChain(status=ACTIVE, max_frames=5)
    chain.refuse["checkpoint-finalize"] = deque([Code.HASH_MISMATCH] * 10_000)
    script = begin(chain, FakeEngine(state_size=5_000)).play(5)
    script.sleep(30 * SECOND)
    assert script.released is None
    assert chain.log_of.count("checkpoint-finalize") < 60
    chain.refuse.clear()
    script.sleep(3 * SECOND)
    assert script.released == commands.Release("ended", "over")


def test_join_whose_notification_is_lost() -> None:
    """A join is noticed by whichever notification comes, and within seconds without any."""
    losses: list[dict[Role, int]] = [{"session": 9}, {"hidden": 9, "inputs": 9}, dict.fromkeys(ROLES, 9)]
    for lose in losses:
        chain = FakeChain()
        script = begin(chain)
        script.lose = dict(lose)
        chain.join()
        script.notify(*ROLES)
        script.run()
        script.sleep(SECOND)
        assert script.machine.stage == "serve", lose


def test_blockhash_that_is_gone() -> None:
    """Frames that are refused without a program's error are sent again until one lands, with pauses of a second."""
    script = begin(FakeChain(status=ACTIVE), late_policy="hold").play(5)
    frame = script.machine.frame
    script.drop_frames = 10_000
    script.answer = refusal(None)
    script.sleep(30 * SECOND)
    assert script.machine.frame == frame
    assert script.machine.stalled(script.now)
    assert len(script.frames) < 60
    script.drop_frames, script.answer = 0, None
    goes_on(script, 2 * SECOND, waits=False)


@pytest.mark.parametrize("frames", [300, 345])
def test_checkpoints_lost_with_the_crank(frames: int) -> None:
    """When a rollup restarts together with the crank and loses the checkpoints, the journal's checkpoint saves the
    match.
    """
    chain = FakeChain(status=ACTIVE)
    first = begin(chain, in_rollup=True).play(frames)
    assert first.saved is not None
    assert first.saved[0].frame == chain.hidden.checkpoint_frame
    chain.accounts |= {"checkpoint_a": None, "checkpoint_b": None}
    # without a journal the ring of 256 records does not reach back to frame 0
    without = begin(chain, now=10**13, in_rollup=True)
    without.sleep(5 * SECOND)
    assert without.machine.stage != "serve"
    assert without.machine.waiting is not None
    script = Script(SessionMachine(ENTITY, settings(in_rollup=True)), chain)
    script.now, script.saved = 10**15, first.saved
    (script >> events.Begin()).run()
    assert script.machine.frame == frames
    goes_on(script, SECOND)


def test_journal_of_another_match() -> None:
    """A saved checkpoint that the chain contradicts is not used."""
    chain = FakeChain(status=ACTIVE)
    begin(chain, in_rollup=True).play(300)
    other = begin(FakeChain(status=ACTIVE), in_rollup=True)
    for _ in range(300):
        other.press(9, 9)
        other.sleep(PERIOD + 1)
    chain.accounts |= {"checkpoint_a": None, "checkpoint_b": None}
    script = Script(SessionMachine(ENTITY, settings(in_rollup=True)), chain)
    script.now, script.saved = 10**15, other.saved
    (script >> events.Begin()).run()
    script.sleep(SECOND)
    assert script.machine.waiting is not None
    assert script.machine.waiting.cause == "disagreement"
    assert chain.session.frame == 300
