"""The order of engine steps: live ones first, one call for each engine, and errors kept to their session."""

from __future__ import annotations

import asyncio
from typing import Any

from daemon.fakes import Hands, session

from awm_crank.daemon.compute import BATCH, Compute
from awm_crank.daemon.fault_points import FaultPoints
from awm_crank.engine.frame import start_block
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.seeded import SHAPES, cartridge
from awm_crank.session import commands, events
from awm_crank.telemetry.stats import Latencies

BLOCK = start_block(32, (1, 20))
MADE = cartridge(SHAPES["tiny"], 1)


class Counting:
    """A native engine that counts its calls."""

    def __init__(self) -> None:
        self.inner = NativeEngine(MADE)
        self.calls: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def backbone(self, state: Any, block: bytes) -> Any:
        """Counts one step."""
        self.calls.append(1)
        return self.inner.backbone(state, block)

    def backbone_batch(self, states: list[Any], blocks: list[bytes]) -> Any:
        """Counts a batch of steps."""
        self.calls.append(len(states))
        return self.inner.backbone_batch(states, blocks)


class Lone:
    """An engine without batches, like the reference engine."""

    def backbone(self, state: Any, block: bytes) -> str:
        """Notes the step that it was given."""
        if not block:
            raise ValueError("no block")
        return f"{state}"


def make() -> tuple[Compute, Hands, Latencies]:
    """A compute thread, and the fake that it reports to."""
    hands, step = Hands(), Latencies()
    return Compute(hands.deliver, hands.failed, step, FaultPoints("")), hands, step


def live(engine: Any, state: Any, serial: int = 1, block: bytes = BLOCK) -> commands.RunBackbone:
    """A live step."""
    return commands.RunBackbone(serial, engine, state, block, live=True)


async def test_together() -> None:
    """Steps of one engine that are due together take one call, and each session
    gets the frame that it would get alone.
    """
    compute, hands, step = make()
    engine = Counting()
    states = [engine.start_state(BLOCK) for _ in range(3)]
    engine.calls.clear()
    context = engine.inner.backbone(engine.copy(states[0]), BLOCK)
    expected = engine.heads(context, BLOCK, bytes(16))
    sessions = [session() for _ in states]
    for serial, (served, state) in enumerate(zip(sessions, states, strict=True)):
        compute.want(served, live(engine, state, serial))
    assert compute.live == 3
    await hands.settle()
    assert engine.calls == [3]
    for n, (served, event) in enumerate(hands.events):
        assert isinstance(event, events.Computed)
        assert (served, event.serial) == (sessions[n], n)
        assert engine.heads(event.context, BLOCK, bytes(16)) == expected
    assert step.count == 3


async def test_two_models() -> None:
    """Steps of different engines run in separate calls, in their order, and a call takes at most BATCH steps."""
    compute, hands, _ = make()
    one, two = Counting(), Counting()
    served = session()
    for engine in (one, two, one, two, *[one] * BATCH):
        compute.want(served, live(engine, engine.inner.start_state(BLOCK)))
    await hands.settle()
    assert one.calls == [BATCH, 2]
    assert two.calls == [2]
    assert compute.live == 0


async def test_one_fault() -> None:
    """A step that fails is reported to its own session only; the other steps are done."""
    compute, hands, _ = make()
    engine = Counting()
    good, bad = session(), session()
    compute.want(good, live(engine, engine.inner.start_state(BLOCK)))
    compute.want(bad, live(engine, engine.inner.start_state(BLOCK), block=b"short"))
    await hands.settle()
    assert [served for served, _ in hands.events] == [good]
    assert [served for served, _ in hands.faults] == [bad]


async def test_live_first() -> None:
    """A session that catches up takes one step at a time, and only while no live step waits."""
    compute, hands, step = make()
    engine = Lone()
    behind, ahead = session(), session()
    for n in range(2):
        compute.want(behind, commands.RunBackbone(n, engine, "behind", BLOCK, live=False))  # type: ignore[arg-type]
    compute.want(ahead, live(engine, "ahead"))
    assert (compute.live, compute.catching_up) == (1, 2)
    await asyncio.sleep(0)
    assert [served for served, _ in hands.events] == [ahead]
    await hands.settle()
    assert [served for served, _ in hands.events] == [ahead, behind, behind]
    assert step.count == 1


async def test_warm_up() -> None:
    """A warm-up returns the state that a session starts from."""
    compute, hands, _ = make()
    engine, served = NativeEngine(MADE), session()
    compute.want(served, commands.WarmUp(4, engine, BLOCK))
    await hands.settle()
    ((_, event),) = hands.events
    assert isinstance(event, events.WarmedUp)
    assert event.serial == 4
    assert engine.dump(event.state) == engine.dump(engine.start_state(BLOCK))
