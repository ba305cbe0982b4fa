"""Runs engine steps between socket reads. Steps that are due together and use the same cartridge share one call."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from ..engine import Engine
from ..session import commands, events
from ..telemetry.stats import Latencies
from .fault_points import FaultPoints
from .session import ServedSession

BATCH = 8
"""Steps in one call. Sharing the weights saves a fifth of a step (4.3M shape: 70 µs alone, 55 in a batch of 2 to 16);
more in one call would save nothing and keep the loop from its sockets for longer."""

_Live = tuple[ServedSession, commands.RunBackbone]
_Step = commands.RunBackbone | commands.WarmUp


class Compute:
    """Runs the engine steps that machines ask for, those of live sessions first. The loop reads its sockets between two
    calls.

    Args:
        deliver: called with `Computed` or `WarmedUp`.
        failed: called with the session whose step raised an exception, and the exception.
        step: collects the time of each live step.
        fault_points: crash tests' fault points.

    The heads are not batched. They run inside the machine as soon as the inputs are known, and take 6 µs (4 µs in a
    batch).
    """

    def __init__(
        self,
        deliver: Callable[[ServedSession, events.Event], object],
        failed: Callable[[ServedSession, Exception], object],
        step: Latencies,
        fault_points: FaultPoints,
    ) -> None:
        self._deliver, self._failed, self._step, self._fault_points = deliver, failed, step, fault_points
        self._live: deque[_Live] = deque()
        self._catching_up: deque[tuple[ServedSession, _Step]] = deque()
        self._due = False

    @property
    def live(self) -> int:
        """How many steps of live sessions are waiting."""
        return len(self._live)

    @property
    def catching_up(self) -> int:
        """How many steps of sessions that catch up are waiting."""
        return len(self._catching_up)

    def want(self, served: ServedSession, command: _Step) -> None:
        """Queues one step of a session's model. It runs after the event loop has read its sockets."""
        if isinstance(command, commands.RunBackbone) and command.live:
            self._live.append((served, command))
        else:
            self._catching_up.append((served, command))
        self._soon()

    def _soon(self) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._due = False
        if self._live:
            self._run(self._together())
        elif self._catching_up:
            served, command = self._catching_up.popleft()
            self._one(served, command)
        if self._live or self._catching_up:
            self._soon()

    def _together(self) -> list[_Live]:
        """Returns the first live step, and the queued steps behind it that the same engine can take in one call."""
        first = self._live.popleft()
        together = [first]
        if not self._live or not hasattr(first[1].engine, "backbone_batch"):
            return together
        others: list[_Live] = []
        while self._live and len(together) < BATCH:
            each = self._live.popleft()
            (together if each[1].engine is first[1].engine else others).append(each)
        self._live.extendleft(reversed(others))
        return together

    def _run(self, together: list[_Live]) -> None:
        if len(together) > 1:
            engine = together[0][1].engine
            began = time.perf_counter_ns()
            try:
                contexts = _batch(engine, [command for _, command in together])
            except Exception:
                # the failed call changed nothing: run each step alone, so that only the faulty session fails
                pass
            else:
                each = (time.perf_counter_ns() - began) // len(together)
                for (served, command), context in zip(together, contexts, strict=True):
                    self._step.add(each)
                    self._deliver(served, events.Computed(command.serial, context))
                return
        for served, command in together:
            self._one(served, command)

    def _one(self, served: ServedSession, command: _Step) -> None:
        began = time.perf_counter_ns()
        try:
            if isinstance(command, commands.WarmUp):
                event: events.Event = events.WarmedUp(command.serial, command.engine.start_state(command.block))
            else:
                event = events.Computed(command.serial, command.engine.backbone(command.state, command.block))
        except Exception as error:
            self._failed(served, error)
            return
        if isinstance(command, commands.RunBackbone):
            if command.live:
                self._step.add(time.perf_counter_ns() - began)
            else:
                self._fault_points.at("replay")
        self._deliver(served, event)


def _batch(engine: Engine, steps: list[commands.RunBackbone]) -> list[object]:
    contexts: list[object] = engine.backbone_batch([step.state for step in steps], [step.block for step in steps])  # type: ignore[attr-defined]
    return contexts
