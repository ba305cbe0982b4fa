"""The crank's main loop. A frame's whole path, read from top to bottom:

    subscribe → decode → session machine → engine step → encode → sign and send → confirm (the account's own change)

The session machines decide, and this module carries out their commands. A notification is passed to its machine, and
all resulting commands are started before the next notification is read; nothing in between awaits. Each step has its
own module (see the package's docstring).

| queue         | holds                               | bound                 | when full       | reader         |
| ------------- | ----------------------------------- | --------------------- | --------------- | -------------- |
| notifications | nothing: each is handled when read  | –                     | TCP pushes back | `_notified`    |
| `_compute`    | steps of the engine                 | one a session         | cannot be full  | compute.py     |
| `_reader`     | accounts to read, by session        | roles are merged      | cannot be full  | reader.py      |
| `_outbox`     | transactions of this loop turn      | what machines await   | machines wait   | outbox.py      |
| `_tasks`      | HTTP requests under way             | what machines await   | machines wait   | the event loop |
| `_timers`     | when machines want to be woken      | one a session + stale | cannot be full  | timers.py      |
| `_roster`     | sessions that wait for room         | what the chain holds  | logged, kept    | roster.py      |
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from pathlib import Path

import msgspec
from solders.pubkey import Pubkey

from ..config import Config
from ..engine import choose
from ..errors import AwmError
from ..net.blockhash import BlockhashKeeper
from ..net.health import EndpointHealth
from ..net.lag import StreamLag
from ..net.pubsub import AccountChanged, Connected, Disconnected, PubSub, Subscribed, SubscriptionRefused
from ..net.pubsub import Event as Notification
from ..net.rpc import RpcClient
from ..net.sender import Sender
from ..session import commands, events
from ..session.machine import SessionMachine
from ..session.schedule import Schedule
from ..telemetry import logs
from ..telemetry.hub import Hub
from ..telemetry.stats import Budget, Stats
from ..wire import ids, jsonrpc
from ..wire.transaction import Signer
from . import journal, signals, worlds
from .collector import Collector
from .compute import Compute
from .fault_points import FaultPoints
from .files import write_whole
from .models import Models, mirrors_of
from .outbox import Outbox
from .page import PageProcess
from .reader import Reader
from .readiness import Readiness
from .rent import Rent
from .roster import Roster
from .search import Search
from .session import ServedSession, machine_settings
from .tasks import Tasks
from .timers import Timers
from .watcher import Watcher

_STOP_S = 30.0
_GC_THRESHOLDS = (50_000, 20, 50)
"""Reference counting frees everything that a frame allocates, and a walk over all live objects would cost ticks."""


class Daemon:
    """Serves every session of one key until it is stopped.

    Args:
        config: the configuration.
        signer: the writer's key.
        ready_file: a file to write, as JSON, once the crank serves.
        stats_file: a file to write, as JSON, when the crank ends.

    Raises:
        EngineError, ConfigError: the configured engine cannot run on this machine. No other engine is tried.
    """

    def __init__(
        self, config: Config, signer: Signer, *, ready_file: Path | None = None, stats_file: Path | None = None
    ) -> None:
        self.config = config
        self.stats = Stats()
        self._me = signer.pubkey
        self._ready_file, self._stats_file = ready_file, stats_file
        self._log = logs.get()
        self._engine_path = choose.path_of(config.engine.kernel, config.engine.path)
        self._period_ns = round(Schedule(config.crank.frame_period_us).period_ns)
        self._tasks = Tasks()
        faults = FaultPoints(config.fault_kill_at)
        # endpoints
        self._base = RpcClient(config.chain.base_http, timeout_s=60.0)
        self._rpc = RpcClient(config.rollup_http())
        self._blockhash = BlockhashKeeper(self._rpc)
        self._pubsub = PubSub(config.rollup_ws(), self._notified)
        self._lag = StreamLag(self._rpc, self._pubsub)
        self.endpoint = EndpointHealth(self._rpc, self._pubsub, self._blockhash, self._lag)
        self._world = worlds.WorldWatch(self._base, config.chain.world)
        # which sessions
        writers = [self._me, ids.ZERO_KEY] if config.crank.adopt_unbound_sessions else [self._me]
        self._roster = Roster(
            config.crank, machine_settings(config, self._me), self._period_ns, self.stats,
            lambda served: self._handle(served, events.Begin()), self._release,
        )  # fmt: skip
        self._watcher = Watcher(self._pubsub, config.crank.late_policy)
        self._search = Search(config, self._base, self._rpc, self._pubsub, writers, self._roster, self._tasks)
        self._discovery = self._search.discovery
        self._readiness = Readiness(
            self._search.chains, self._world, self._pubsub, self._discovery, self.endpoint, self._rpc, self._base
        )
        # what carries out the machines' commands
        self._rent = Rent(
            config.crank, self._rpc, lambda: self._sender.fees, self._balance,
            lambda: {each.entity for each in self._roster}, self._handle, self._tasks.spawn, self.stats,
        )  # fmt: skip
        self._compute = Compute(self._handle, self._fault, self.stats.step, faults)
        sender = self._sender = Sender(self._rpc, signer, self._blockhash)
        self._collector = Collector(
            self._rpc, sender, self._me, lambda: self._world.key, config.crank.collect_interval_s
        )
        self._outbox = Outbox(
            sender, self._me, lambda: self._world.key, self._handle,
            self._tasks.spawn, self.stats, faults, frame_timeout_s=config.crank.send_timeout_ms / 1000,
            paid=lambda served, count: self._rent.budgets.paid(served.entity, count),
        )  # fmt: skip
        self._reader = Reader(self._rpc, self._handle, self._tasks.spawn)
        self._journal = journal.configured(config.checkpoints, self._rpc, self.stats.journal_failed)
        self._models = Models(self._base, config.engine, faults, mirrors_of(config.models))
        self._timers = Timers(lambda served: self._handle(served, events.Wake()), self.stats.timer_lag)
        self._faults = faults
        self._telemetry = Hub(config, str(self._me), self, self._balance)
        self._page = PageProcess(config) if config.view.enabled else None

    # -- start, loop, stop ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serves until SIGTERM, SIGHUP, SIGQUIT or `interrupted`, then writes a checkpoint of every session.

        A second signal ends the process at once.

        Raises:
            AwmError: something makes serving impossible, such as a World program with another interface.
        """
        signals.listen(self._signalled)
        engine, tasks = self.config.engine, self._tasks
        self._log.info(
            "starting", key=str(self._me), rollup=self._rpc.url, pid=os.getpid(), engine=engine.kernel,
            path=self._engine_path, threads=engine.threads,
        )  # fmt: skip
        try:
            await self._telemetry.open()
            tasks.keep(self._search.run(), *self._telemetry.jobs(), self._blockhash.keep_fresh(), self._lag.run())
            tasks.keep(self._world.run(), self._pubsub.run(), self._rent.run())
            tasks.keep(self._roster.watch_load(), self._readiness.watch_base(), self._announce())
            if self.config.crank.collect_interval_s:
                tasks.keep(self._collector.run())
            if self._page is not None:
                tasks.keep(self._page.run())
            if self.config.log.stats_interval_s:
                tasks.keep(self._report(self.config.log.stats_interval_s))
            await tasks.stopping.wait()
            await self._stop()
            if tasks.broken is not None:
                raise tasks.broken
        finally:
            await tasks.cancel()
            self._timers.close()
            await self._models.close()
            await self._rpc.close()
            await self._base.close()
            await self._telemetry.close()
            self._finish()

    def interrupted(self) -> None:
        """Ends the service as SIGTERM does. The `run` command calls it at Ctrl-C."""
        self._signalled(signal.SIGINT)

    def _signalled(self, number: signal.Signals) -> None:
        if self._tasks.stopping.is_set():
            os._exit(128 + number)
        self._log.info("stopping", signal=number.name, sessions=len(self._roster))
        self._telemetry.stopping()
        self._tasks.stopping.set()

    async def _announce(self) -> None:
        # a World program with another interface ends the service, so check it before anyone is told that the crank is
        # ready
        await self._world.checked.wait()
        await self._discovery.read.wait()
        await self._blockhash.known.wait()
        line = {"key": str(self._me), "pid": os.getpid(), "sessions": len(self._roster)}
        if self._ready_file is not None:
            write_whole(self._ready_file, msgspec.json.encode(line))
        self._log.info("ready", **line)
        self._telemetry.ready()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)

    async def _stop(self) -> None:
        """Writes a checkpoint of every live session."""
        roster = self._roster
        roster.closed = True
        for served in roster:
            self._handle(served, events.Stop())
        if len(roster):
            roster.empty.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await roster.empty.wait()
        for served in roster:
            served.log.error("stopped without a checkpoint", frame=served.machine.frame)

    def _finish(self) -> None:
        report = self.stats.report(self.machines())
        self._log.info("stopped", **report)
        if self._stats_file is not None:
            write_whole(self._stats_file, msgspec.json.format(msgspec.json.encode(report)))

    async def _report(self, interval_s: int) -> None:
        while True:
            await asyncio.sleep(interval_s)
            self._log.info("stats", **self.stats.report(self.machines()))

    # -- what telemetry reads -------------------------------------------------------------------------------------

    def machines(self) -> list[SessionMachine]:
        """The machines of all served sessions."""
        return self._roster.machines()

    def queues(self) -> dict[str, int]:
        """Each queue's name and length."""
        return {
            "computing": self._compute.live, "catching_up": self._compute.catching_up, "fetching": len(self._reader),
            "tasks": len(self._tasks), "timers": len(self._timers), "waiting": self._roster.waiting(),
            **self._telemetry.queues(),
        }  # fmt: skip

    def engine_path(self) -> str:
        """What runs the model: "reference", or the name of the native kernel's instruction set."""
        return self._engine_path

    def unready(self) -> str:
        """Why no session can be served just now. Empty when sessions can be served."""
        return "stopping" if self._tasks.stopping.is_set() else self._readiness.problem()

    def waiting(self) -> dict[str, int]:
        """For each reason, how many sessions wait for it. Sessions whose machines report a reason themselves are not
        included.
        """
        limited, kept_out = self._roster.kept_out()
        out = {"room": 0, "slow": 0, "room" if limited else "slow": len(kept_out)}
        return {**out, "delegation": self._search.delegated, "yielded": self._roster.yielded()}

    def kept_out(self) -> tuple[bool, list[str]]:
        """For each session that waits for room: a sentence that says why, and whether a configured limit is the
        reason.
        """
        return self._roster.kept_out()

    def budgets(self) -> list[Budget]:
        """The current state of each budget that has a limit."""
        return self._rent.budgets.lines()

    async def _balance(self) -> int:
        balance = self._rent.budgets.balance = (await self._rpc.ask(jsonrpc.get_balance(self._me))).value
        return balance

    # -- decode: what the chain says ------------------------------------------------------------------------------

    def _notified(self, event: Notification) -> None:
        if isinstance(event, AccountChanged):
            if isinstance(event.tag, tuple):
                served, role = event.tag
                self._handle(served, events.Changed(role, event.data))
                return
            assert event.key is not None
            key = Pubkey.from_string(event.key)
            known = self._roster.find(key)
            if known is not None:
                self._faults.at("confirm")
                known.hidden = event.data
                self._handle(known, events.Changed("hidden", event.data))
            else:
                self._roster.admit(key, event.data)
        elif isinstance(event, Subscribed):
            subscription = event.subscription
            if self._discovery.subscribed(subscription):
                self._watching(*self._roster)
            elif isinstance(subscription.tag, tuple):
                self._watching(subscription.tag[0])
        elif isinstance(event, SubscriptionRefused):
            self._log.error("subscription refused", problem=str(event.error))
        elif isinstance(event, Disconnected):
            self.stats.disconnections += 1
            self._log.warning("not connected", reason=event.reason, url=self._pubsub.url)
        elif isinstance(event, Connected):
            self._log.info("connected", url=self._pubsub.url, attempt=event.attempt)

    def _watching(self, *sessions: ServedSession) -> None:
        for served in sessions:
            confirmed = all(each.confirmed.is_set() for each in served.subscriptions)
            if served.subscriptions and confirmed and self._discovery.confirmed:
                self._handle(served, events.Watching())

    # -- the machine, and what it wants ---------------------------------------------------------------------------

    def _handle(self, served: ServedSession, event: events.Event) -> None:
        """Passes an event to a machine and starts every command that it returns. Nothing in here awaits."""
        if served.gone:
            return
        try:
            wanted = served.machine.handle(event, time.monotonic_ns())
        except Exception as error:
            self._fault(served, error)
            return
        for command in wanted:
            match command:
                case commands.SendFrame():
                    self._outbox.frame(served, command)
                case commands.RunBackbone():
                    self._compute.want(served, command)
                case commands.WakeAt():
                    self._timers.wake_at(served, command.when)
                case commands.Landed():
                    self._landed(served, command)
                case commands.Send():
                    self._outbox.send(served, command.transactions)
                case commands.Fetch():
                    self._reader.want(served, command.roles)
                case commands.LogLine():
                    getattr(served.log, command.level)(command.event, **command.fields)
                    self._telemetry.logged(served.name, command.event, command.fields)
                case commands.Watch():
                    self._watcher.watch(served, command)
                    if command.distrust:
                        self._discovery.renew()
                case commands.LoadModel():
                    self._tasks.spawn(self._load(served, command))
                case commands.WarmUp():
                    self._faults.at("warm-up")
                    self._compute.want(served, command)
                case commands.Spend():
                    self._rent.want(served, command)
                case commands.Save():
                    if self._journal is not None:
                        self._tasks.spawn(self._journal.save(served.entity, command.position, command.state))
                case commands.Recall():
                    self._tasks.spawn(self._recall(served))
                case commands.Release():
                    self._release(served, command)

    def _fault(self, served: ServedSession, error: Exception) -> None:
        """Handles a bug in one session. That session starts again after a pause that grows; the others are not
        affected.
        """
        served.log.error("internal error", exc_info=error)
        self._release(served, commands.Release("internal error", "over"), error=True)
        self._roster.come_back(served)

    def _landed(self, served: ServedSession, frame: commands.Landed) -> None:
        self.stats.landed(frame)
        self.stats.slow_frames += frame.landed_at - frame.sent_at > self._period_ns
        self._telemetry.landed(served.name, frame)
        served.log.debug("landed", frame=frame.frame, on_time=frame.on_time)

    async def _load(self, served: ServedSession, wanted: commands.LoadModel) -> None:
        try:
            loaded = await self._models.get(wanted.model, wanted.cartridge_hash)
        except AwmError as error:
            self._handle(served, events.ModelFailed(error))
            return
        # the model stays in memory, so garbage collection need not scan it
        gc.freeze()
        self._handle(served, events.ModelLoaded(*loaded))

    async def _recall(self, served: ServedSession) -> None:
        saved = None if self._journal is None else await self._journal.load(served.entity)
        self._handle(served, events.Recalled(saved))

    def _release(self, served: ServedSession, command: commands.Release, *, error: bool = False) -> None:
        served.gone = True
        self._watcher.unsubscribe(served)
        self._reader.drop(served)
        self.stats.gone(served.machine, error=error)
        self._telemetry.released(served.name, served.machine.frame, command.reason)
        if command.outcome == "over" and not error and self._journal is not None:
            self._tasks.spawn(self._journal.forget(served.entity))
        if command.outcome == "gone":
            self._discovery.hurry()
        self._roster.release(served, command.outcome)
