"""Which sessions tick at the same moments."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from awm_crank.daemon.phases import Phases

PERIOD = 16_666_667


def test_apart() -> None:
    """Two sessions tick half a period apart, four a quarter; eight sessions all tick apart."""
    phases = Phases(PERIOD)
    taken = [phases.take() for _ in range(8)]
    assert taken[:3] == [0, PERIOD // 2, PERIOD // 4]
    assert len(set(taken)) == 8
    assert all(0 <= phase < PERIOD for phase in taken)


@given(st.lists(st.booleans(), max_size=60))
def test_even(steps: list[bool]) -> None:
    """However sessions come and go, a new one gets a phase that has the fewest sessions."""
    phases, held = Phases(PERIOD), list[int]()
    offsets = {Phases(PERIOD).take(), *(PERIOD * n // 8 for n in range(8))}
    for come in steps:
        if come or not held:
            counts = Counter(held)
            phase = phases.take()
            assert counts[phase] == min(counts[each] for each in offsets)
            held.append(phase)
        else:
            phases.give_back(held.pop(0))
