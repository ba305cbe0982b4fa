"""Ticks: when each is due, and how each is counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from awm_crank.session.schedule import SECOND_NS, Schedule

PERIOD = SECOND_NS // 60


def started(now: int = 0, period_us: int = 0) -> Schedule:
    """A schedule whose tick 1 is due at `now`."""
    schedule = Schedule(period_us)
    schedule.start(now)
    return schedule


def test_tick_1_is_due_at_the_start() -> None:
    """Starting opens tick 1; t0 lies one period before it."""
    schedule = started(5_000)
    assert schedule.open
    assert (schedule.tick, schedule.frame_tick) == (1, 1)
    assert 5_000 - schedule.due(1) in (0, 1)


def test_no_drift() -> None:
    """Tick 60 n is due exactly n seconds after t0, to the nanosecond."""
    schedule = started(10**12)
    assert schedule.t0 is not None
    assert [schedule.due(60 * n) - schedule.t0 for n in (1, 60, 3600)] == [SECOND_NS, 60 * SECOND_NS, 3600 * SECOND_NS]


def test_other_period() -> None:
    """A period that is given in microseconds is kept exactly."""
    schedule = started(0, period_us=400_000)
    assert schedule.due(11) - schedule.due(1) == 10 * 400_000_000


def test_on_time_until_a_period_after_the_tick() -> None:
    """A frame is on time up to the last nanosecond of its period, and late from the next one."""
    for late in (0, 1):
        schedule = started()
        schedule.sent()
        assert schedule.landed(schedule.due(2) + late) is not bool(late)
        assert (schedule.on_time, schedule.late) == (1 - late, late)


def test_late_frame_misses_the_tick() -> None:
    """A tick that falls due while the last frame has not landed is missed, and no frame is sent for it later."""
    schedule = started()
    schedule.sent()
    schedule.landed(schedule.due(2) + PERIOD // 2)
    assert (schedule.late, schedule.missed) == (1, 1)
    assert schedule.resting
    schedule.advance(schedule.due(3))
    assert (schedule.open, schedule.frame_tick, schedule.missed) == (True, 3, 1)


def test_waiting_reassigns_the_frame() -> None:
    """When inputs take longer than a period, the ticks that pass are missed, and the frame belongs to the open tick."""
    schedule = started()
    schedule.advance(schedule.due(4) + 5)
    assert (schedule.missed, schedule.frame_tick) == (3, 4)
    schedule.sent()
    assert schedule.landed(schedule.due(5) - 1)


def test_stalled_loop_makes_no_burst() -> None:
    """A loop that wakes several ticks late makes one frame, for the last tick due, and counts the others as missed."""
    schedule = started()
    schedule.sent()
    schedule.landed(schedule.due(1) + 1)
    schedule.advance(schedule.due(6) + 1)
    assert (schedule.missed, schedule.frame_tick, schedule.open) == (4, 6, True)


@given(st.lists(st.tuples(st.integers(0, 4 * PERIOD), st.sampled_from(["advance", "send", "land"])), max_size=200))
def test_every_tick_is_counted_once(steps: list[tuple[int, str]]) -> None:
    """After any sequence of events, ticks = landed + missed + in flight, and ticks are never ahead of the clock."""
    schedule = started()
    now = 0
    for delta, action in steps:
        now += delta
        schedule.advance(now)
        if action == "send" and schedule.open:
            schedule.sent()
        elif action == "land" and schedule.in_flight:
            schedule.landed(now)
        making = schedule.open or schedule.in_flight
        assert schedule.tick == schedule.on_time + schedule.late + schedule.missed + making
        assert schedule.due(schedule.tick) <= now < schedule.next_due()


NOW = st.integers(0, 10**15)


@given(NOW, NOW, st.integers(0, 16_666_666), st.sampled_from([0, 16_667, 300_000]))
def test_phase(one: int, other: int, phase: int, period_us: int) -> None:
    """Sessions of one phase tick at the same moments, whenever they began: never early, and at most a period late."""
    due = []
    for now in (one, other):
        schedule = Schedule(period_us, phase)
        schedule.start(now)
        first = schedule.due(1)
        assert now <= first <= now + schedule.period_ns + 2
        assert schedule.resting == (first > now)
        due.append(first)
    apart = abs(due[0] - due[1]) % schedule.period_ns
    assert min(apart, schedule.period_ns - apart) < 2
