"""A seeded choice of single faults in a running crank; `daemon.every_answer` is the command that tries them all."""

from __future__ import annotations

from daemon.every_answer import FAULTS, RUNNING, Counter, cases, measure
from daemon.rig import Place


def test_cases() -> None:
    """There is a case for each request of a start and each fault, and for each method of a running crank."""
    found = cases(Counter(getMultipleAccounts=3, slotSubscribe=1))
    assert {each.fault for each in found if each.method == "getMultipleAccounts" and each.number == 3} == set(FAULTS)
    assert {each.method for each in found if each.moment == "running"} >= set(RUNNING)
    assert len(found) == len(set(found))


async def test_some_answers(place: Place) -> None:
    """After one fault in one request, at the start or later, frames are back within two seconds."""
    assert await measure(place, 12, 8, slack=3.0) == []
