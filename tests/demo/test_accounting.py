"""What on time, late, missed and latency mean, as the first-light issue defines them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.demo.accounting import MatchAccounting, Tally, percentile

P = 0.1  # a round period keeps the arithmetic readable
T0 = 100.0


def match(*landings: tuple[int, float], inputs: dict[int, float] | None = None) -> MatchAccounting:
    """A match whose frames landed at the given offsets from t0, in periods."""
    accounting = MatchAccounting(P)
    accounting.set_schedule(T0)
    for frame, at in (inputs or {}).items():
        accounting.input_notified(frame, T0 + at * P)
    for frame, at in landings:
        accounting.landed(frame, T0 + at * P)
    return accounting


def counts(accounting: MatchAccounting) -> tuple[int, int, int, int]:
    """frames, on time, late and missed."""
    tally = accounting.tally
    return tally.frames, tally.on_time, tally.late, tally.missed


def test_every_frame_in_its_period_is_on_time() -> None:
    """Frames that land within one period after their tick are on time, and no tick is missed."""
    assert counts(match((1, 1.3), (2, 2.9), (3, 3.1))) == (3, 3, 0, 0)


def test_landing_exactly_one_period_after_the_tick_is_on_time() -> None:
    """The end of a period still belongs to it."""
    assert counts(match((1, 2.0))) == (1, 1, 0, 0)


def test_late_frame_makes_one_missed_tick() -> None:
    """A frame that lands after the next tick is late, and that next tick passes without a frame."""
    accounting = match((1, 1.2), (2, 3.5), (3, 4.2))
    assert counts(accounting) == (3, 2, 1, 1)
    assert [frame.tick for frame in accounting.judged] == [1, 2, 4]


def test_very_late_frame_misses_every_tick_it_covers() -> None:
    """A frame that takes three more periods misses three ticks, and the schedule continues after it."""
    accounting = match((1, 1.2), (2, 5.5), (3, 6.2))
    assert counts(accounting) == (3, 2, 1, 3)
    assert accounting.judged[-1].tick == 6


def test_first_frame_that_comes_late_is_late() -> None:
    """Frame 1 is measured against the crank's own t0 too."""
    assert counts(match((1, 2.5), (2, 3.5))) == (2, 1, 1, 1)


def test_waiting_for_inputs_within_the_period_misses_nothing() -> None:
    """Inputs that arrive inside the tick's period move the start of the latency, not the tick."""
    accounting = match((1, 1.7), inputs={1: 1.5})
    assert counts(accounting) == (1, 1, 0, 0)
    assert accounting.judged[0].latency_s == pytest.approx(0.2 * P)


def test_waiting_for_inputs_beyond_the_period_misses_ticks() -> None:
    """Each tick whose period passes without inputs is missed, and the frame belongs to the tick after."""
    accounting = match((1, 1.1), (2, 4.6), (3, 5.2), inputs={1: 0.5, 2: 4.5, 3: 4.7})
    assert counts(accounting) == (3, 3, 0, 2)
    assert [frame.tick for frame in accounting.judged] == [1, 4, 5]
    assert accounting.judged[1].latency_s == pytest.approx(0.1 * P)


def test_latency_counts_from_the_tick_when_inputs_were_early() -> None:
    """If the inputs arrive before the tick is due, the latency is measured from the tick."""
    assert match((1, 1.25), inputs={1: 0.1}).judged[0].latency_s == pytest.approx(0.25 * P)


def test_crossed_notifications_are_not_missed_ticks() -> None:
    """A frame that is seen just after its tick does not count as missed once the next frame shows that its tick was
    served.
    """
    accounting = match((1, 2.05), (2, 2.4))
    assert [frame.tick for frame in accounting.judged] == [1, 2]
    assert counts(accounting) == (2, 1, 1, 0)


def test_observer_that_was_held_up_takes_a_missed_tick_back() -> None:
    """When a delayed observer sees two frames at once, the apparent missed tick is taken back by the next punctual
    frame.
    """
    accounting = match((1, 1.2), (2, 3.5), (3, 4.1))
    assert accounting.tally.missed == 1
    for frame, at in ((4, 4.2), (5, 5.2), (6, 6.2)):
        accounting.landed(frame, T0 + at * P)
    assert [frame.tick for frame in accounting.judged] == [1, 2, 3, 4, 5, 6]
    assert counts(accounting) == (6, 4, 2, 0)
    assert accounting.tally.latencies_s == [frame.latency_s for frame in accounting.judged]
    assert accounting.judged[-1].latency_s == pytest.approx(0.2 * P)


def test_bursts_are_late_frames() -> None:
    """A crank that catches up by sending frames at once does not count as on time."""
    accounting = match(*((frame, 7 + frame / 10) for frame in range(1, 8)))
    assert [frame.tick for frame in accounting.judged] == [1, 2, 3, 4, 5, 6, 7]
    assert counts(accounting) == (7, 1, 6, 0)


def test_same_frame_again_is_not_counted() -> None:
    """An account that changes without a new frame (an input, a repeated notification) does not count as a frame."""
    accounting = match((1, 1.2), (1, 1.4), (2, 2.2))
    assert counts(accounting) == (2, 2, 0, 0)
    assert accounting.faults == []


@pytest.mark.parametrize("frames", [(1, 3), (2,), (1, 2, 1, 3), (1, 2, 3, 1)])
def test_gap_or_step_back_is_a_fault(frames: tuple[int, ...]) -> None:
    """A frame that was not seen, or was seen out of order, is reported."""
    assert match(*((frame, i + 1.1) for i, frame in enumerate(frames))).faults


def test_events_before_the_schedule_is_known_are_kept() -> None:
    """Frames that are seen before the crank's t0 is known are judged exactly like later ones."""
    late_schedule = MatchAccounting(P)
    for frame, at in ((1, 1.2), (2, 3.5)):
        late_schedule.landed(frame, T0 + at * P)
    late_schedule.set_schedule(T0)
    late_schedule.landed(3, T0 + 4.2 * P)
    assert late_schedule.judged == match((1, 1.2), (2, 3.5), (3, 4.2)).judged


@given(st.lists(st.floats(min_value=0.01, max_value=4.0), min_size=1, max_size=60))
def test_frames_and_missed_ticks_fill_the_schedule(delays: list[float]) -> None:
    """Whatever the delays, frames and missed ticks together are exactly the ticks up to the last frame's."""
    accounting = MatchAccounting(P)
    accounting.set_schedule(T0)
    tick = 0
    landed = 0.0
    for number, delay in enumerate(delays, start=1):
        tick = max(tick + 1, int(landed) + 1)
        landed = tick + delay
        accounting.landed(number, T0 + landed * P)
    ticks = [frame.tick for frame in accounting.judged]
    assert ticks == sorted(set(ticks))
    tally = accounting.tally
    assert tally.frames + tally.missed == ticks[-1]
    assert tally.on_time + tally.late == tally.frames == len(delays)
    assert all(frame.latency_s >= 0 for frame in accounting.judged)


@given(st.lists(st.floats(min_value=0.001, max_value=3.0), min_size=1, max_size=60))
def test_no_frame_lands_before_its_tick(gaps: list[float]) -> None:
    """From the first period on, ticks rise, no latency is negative, and the counts agree."""
    accounting = MatchAccounting(P)
    accounting.set_schedule(T0)
    at = float(len(gaps))
    for number, gap in enumerate(gaps, start=1):
        at += gap
        accounting.landed(number, T0 + at * P)
    ticks = [frame.tick for frame in accounting.judged]
    assert ticks == sorted(set(ticks))
    assert min(frame.latency_s for frame in accounting.judged) > -1e-6
    tally = accounting.tally
    assert tally.frames == tally.on_time + tally.late == len(gaps)
    assert tally.on_time == sum(frame.on_time for frame in accounting.judged)
    assert tally.frames + tally.missed == ticks[-1]


def test_percentiles_are_nearest_rank() -> None:
    """Percentiles are values that occurred."""
    values = [float(n) for n in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([7.0], 0.99)) == (50.0, 99.0, 7.0)
    assert percentile([], 0.5) == 0.0


def test_tallies_add_up_over_matches() -> None:
    """The counts of several matches are the sums of theirs."""
    total = Tally()
    total.add(match((1, 1.2), (2, 3.5)).tally)
    total.add(match((1, 1.2)).tally)
    assert (total.frames, total.on_time, total.late, total.missed, len(total.latencies_s)) == (3, 2, 1, 0, 3)
