"""The hub, which connects the daemon to telemetry. The daemon reports events to it, and it reads everything else
itself.

health monitor ─▶ /healthz, systemd's watchdog      counters ─▶ /metrics      frames and events ─▶ MQTT
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from .. import config
from ..errors import AwmError
from ..session.commands import Landed
from ..session.events import OWN_CAUSES
from . import logs, systemd
from .frames import moments
from .health import STARTING, Health, summary
from .stats import Gauges, Observed

if TYPE_CHECKING:
    from .http import TelemetryServer
    from .mqtt import Publisher

MONITOR_INTERVAL_S = 0.25
_STATUS_INTERVAL_S = 5.0
_GOODBYE_S = 3.0


class ObservedCrank(Observed, Protocol):
    """The parts of the crank that the hub reads."""

    def unready(self) -> str:
        """Why no session can be served just now. Empty when sessions can be served."""

    def kept_out(self) -> tuple[bool, list[str]]:
        """A sentence for each session that waits for room, and whether a configured limit keeps it out."""


class Hub:
    """Telemetry of one crank.

    Args:
        settings: the whole configuration.
        key: the crank's public key.
        crank: the crank itself.
        balance: asks for the key's lamports. It may raise AwmError.

    Raises:
        ConfigError: a file that the `mqtt` settings name cannot be used.
    """

    def __init__(
        self, settings: config.Config, key: str, crank: ObservedCrank, balance: Callable[[], Awaitable[int]]
    ) -> None:
        self._settings = settings.telemetry
        self._crank = crank
        self._balance = balance
        self._log = logs.get()
        self._gauges = Gauges()
        self._health = Health(time.monotonic_ns())
        # a crank without telemetry does not load these libraries
        self._endpoint: TelemetryServer | None = None
        if settings.telemetry.listen:
            from .http import TelemetryServer
            from .metrics import Metrics

            metrics = Metrics(crank, self._gauges)
            self._endpoint = TelemetryServer(
                settings.telemetry.listen, metrics=metrics.render, unhealthy=self.unhealthy,
                unready=self.unready, notes=self.notes,
            )  # fmt: skip
        self._publisher: Publisher | None = None
        if settings.mqtt.url:
            from .mqtt import Publisher

            self._publisher = Publisher(settings.mqtt, key, self._gauges)
        self._publishing: asyncio.Task[None] | None = None
        self._announced = False
        self._stopping = False
        self._created: set[str] = set()
        """sessions whose `created` was published"""

    # -- life -----------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Listens, and starts to publish. Raises ConfigError when the address cannot be used."""
        if self._endpoint is not None:
            await self._endpoint.open()
            self._log.info("telemetry", port=self._endpoint.port)
        if self._publisher is not None:
            self._publishing = asyncio.create_task(self._publisher.run())

    def jobs(self) -> list[Coroutine[Any, Any, None]]:
        """The jobs that run as long as the daemon serves."""
        jobs = [self._monitor()]
        if self._endpoint is not None:
            jobs.append(self._watch_balance())
        return jobs

    def ready(self) -> None:
        """The daemon serves."""
        self._announced = True
        systemd.notify("READY=1", "STATUS=serving")

    def stopping(self) -> None:
        """The daemon is stopping."""
        self._stopping = True
        systemd.notify("STOPPING=1", "STATUS=writing checkpoints")

    async def close(self) -> None:
        """Says goodbye to the broker and stops listening. Call it last."""
        if self._publisher is not None and self._publishing is not None:
            self._publisher.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await asyncio.shield(self._publishing)
            self._publishing.cancel()
            await asyncio.gather(self._publishing, return_exceptions=True)
        if self._endpoint is not None:
            await self._endpoint.close()

    # -- what the daemon calls; nothing here awaits -----------------------------------------------------------------

    def landed(self, session: str, landed: Landed) -> None:
        """A frame landed."""
        publisher = self._publisher
        if publisher is None:
            return
        for kind, fields in moments(landed.before, landed.block):
            publisher.event(session, kind, frame=landed.frame, **fields)
        publisher.frame(session, landed)

    def logged(self, session: str, event: str, fields: dict[str, object]) -> None:
        """A session's machine logged a line. Some of them are events for subscribers."""
        publisher = self._publisher
        if publisher is None:
            return
        if event in ("ready", "serving") and session not in self._created:
            self._created.add(session)
            if event == "ready" or fields.get("frame") == 0:
                publisher.event(session, "created")
        if event == "serving":
            publisher.event(session, "resumed" if fields.get("frame") else "joined", frame=fields.get("frame"))
        elif event == "resync":
            publisher.event(session, "resync", why=str(fields.get("why")))

    def released(self, session: str, frame: int, reason: str) -> None:
        """A session was let go."""
        if self._publisher is not None and session in self._created:
            self._created.discard(session)
            self._publisher.event(session, "ended" if reason == "ended" else "released", frame=frame, reason=reason)

    def queues(self) -> dict[str, int]:
        """Telemetry's own queue."""
        return {} if self._publisher is None else {"mqtt": self._publisher.depth}

    # -- what the hub looks at ------------------------------------------------------------------------------------

    def unhealthy(self) -> list[str]:
        """Why the daemon is not healthy; empty when it is."""
        return self._health.problems(time.monotonic_ns())

    def unready(self) -> list[str]:
        """Why the crank is not ready: why it can serve no session, then each session that makes no frames, and why."""
        now, found = time.monotonic_ns(), []
        if why := self._crank.unready():
            found.append(why)
        own: list[str] = []
        for machine in self._crank.machines():
            waiting = machine.waiting
            if problem := machine.stalled(now):
                (own if waiting is not None and waiting.cause in OWN_CAUSES else found).append(
                    f"session {machine.entity}: {problem}"
                )
        limited, kept_out = self._crank.kept_out()
        (own if limited else found).extend(kept_out)
        # a session's own fault is reported, but does not make the crank unready, because anyone can make such a session
        return found + own if found else []

    def notes(self) -> list[str]:
        """What keeps some sessions waiting and is no fault: budgets that are used up, then each such session."""
        used_up = [
            f"budget {each.name}: {each.spent} of {each.limit} lamports spent; sessions that cost {each.waiting} wait"
            for each in self._crank.budgets()
            if each.waiting or each.spent >= each.limit
        ]
        waiting = ((machine, machine.waiting) for machine in self._crank.machines())
        return used_up + [
            f"session {machine.entity}: {why.problem}" for machine, why in waiting if why and why.cause in OWN_CAUSES
        ]

    def _look(self) -> None:
        now, crank = time.monotonic_ns(), self._crank
        unready = summary(self.unready())
        stalled = {
            str(machine.entity): why
            for machine in crank.machines()
            if machine.waiting is None and (why := machine.stalled(now))
        }
        due = {str(machine.entity): frame for machine in crank.machines() if (frame := machine.due(now))}
        was, gauges = self._health.unready, self._gauges
        self._health.turned(now, due, unready, {} if crank.unready() else stalled)
        problems = self._health.problems(now)
        if gauges.healthy and problems:
            self._log.error("unhealthy", problems=problems)
        if self._announced and bool(unready) != bool(was) and was != STARTING:
            self._log.info("ready again" if not unready else "not ready", why=unready)
        gauges.healthy, gauges.ready = not problems, not unready
        gauges.oldest_due_s = self._health.oldest_due_s(now)
        gauges.stalled = len(self._health.stalled)
        if self._publisher is not None:
            self._publisher.sessions = sum(1 for _ in crank.machines())

    async def _monitor(self) -> None:
        watched = systemd.watchdog_s() is not None
        loop = asyncio.get_running_loop()
        last_status, status_at = "", 0.0
        while True:
            wanted = loop.time() + MONITOR_INTERVAL_S
            await asyncio.sleep(MONITOR_INTERVAL_S)
            self._crank.stats.loop_lag.add(max(0, round((loop.time() - wanted) * 1e9)))
            self._look()
            if not self._announced:
                # a silent endpoint is no reason to be killed by the watchdog, but a loop that does not turn is
                systemd.notify("EXTEND_TIMEOUT_USEC=10000000", f"STATUS=waiting: {self._health.unready}")
            elif watched and self._gauges.healthy:
                systemd.notify("WATCHDOG=1")
            if self._announced and not self._stopping and loop.time() >= status_at:
                status_at = loop.time() + _STATUS_INTERVAL_S
                status = summary(self.unhealthy()) or self._health.unready or self._serving()
                if status != last_status:
                    last_status = status
                    systemd.notify(f"STATUS={status}")

    def _serving(self) -> str:
        return f"serving {sum(machine.stage == 'serve' for machine in self._crank.machines())} sessions"

    async def _watch_balance(self) -> None:
        while True:
            try:
                self._gauges.balance = await self._balance()
            except AwmError as error:
                self._log.debug("balance unknown", problem=str(error))
            await asyncio.sleep(self._settings.balance_interval_s)
