"""The whole path of a frame, read from top to bottom.

    subscribe → decode → session machine → engine step → encode → sign and send → confirm (the account's own change)

Machines decide, this module carries out. One notification runs through its machine and what that wants is started
before the next one is read; nothing in between awaits. Each part has a file of its own (see the package).

| queue           | holds                            | bound                 | when full       | reader         |
| --------------- | -------------------------------- | --------------------- | --------------- | -------------- |
| notifications   | nothing: handled as read         | –                     | TCP pushes back | `_heard`       |
| `_compute`      | steps of the engine              | one a session         | cannot be       | compute.py     |
| `_reader`       | accounts to read, by session     | roles merged          | cannot be       | reader.py      |
| `_outbox`       | transactions of this loop turn   | what machines await   | machines wait   | outbox.py      |
| `_tasks`        | HTTP requests under way          | what machines await   | machines wait   | the event loop |
| `_timers`       | moments to wake machines         | one a session + stale | cannot be       | timers.py      |
| `_admission`    | sessions refused so far          | what the chain holds  | logged, kept    | `_make_room`   |
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
from solders.pubkey import Pubkey

from ..config import Config
from ..engine import choose
from ..errors import AwmError
from ..net.pubsub import AccountChanged, Connected, Disconnected, PubSub, Subscribed, Subscription, SubscriptionRefused
from ..net.pubsub import Event as Notification
from ..net.rpc import RpcClient
from ..net.sender import Blockhash, Sender
from ..session import commands, events
from ..session.desk import Settings
from ..session.events import Role
from ..session.machine import SessionMachine
from ..session.schedule import Schedule
from ..telemetry import logs
from ..telemetry.hub import Hub
from ..telemetry.stats import Stats
from ..wire import bolt, filters, ids, jsonrpc, layouts
from ..wire.transaction import Signer
from . import rent, worlds
from .admission import PERIOD_S, Admission, Look
from .compute import Compute
from .delegated import Delegated
from .models import Models
from .outbox import Outbox
from .passages import Passages
from .phases import Phases
from .reader import Reader
from .served import Served
from .timers import Timers
from .view import View

_STOP_S = 30.0
_ENTITY = layouts.HIDDEN_STATE.span("entity")
_REFETCH_S = 1.0
_STALE_BLOCKHASH_S = 3.0
_GC_THRESHOLDS = (50_000, 20, 50)
"""Frames leave nothing that counting references does not free, and going through all that stands costs ticks."""


class Daemon:
    """Serves every session of one key until told to stop.

    Args:
        config: see awm_crank/config.py.
        signer: the writer's key.
        ready_file: written, as JSON, once the crank serves.
        stats_file: written, as JSON, at the end.
    """

    def __init__(
        self, config: Config, signer: Signer, *, ready_file: Path | None = None, stats_file: Path | None = None
    ) -> None:
        self.config = config
        self.stats = Stats()
        self._ready_file, self._stats_file = ready_file, stats_file
        self._log = logs.get()
        crank, checkpoints = config.crank, config.checkpoints
        # where the engine that is configured cannot run, nothing takes its place
        self._engine_path = choose.path_of(config.engine.kernel, config.engine.path)
        self._settings = Settings(
            me=signer.pubkey,
            adopt=crank.adopt_unbound_sessions,
            late_policy=crank.late_policy,
            frame_period_us=crank.frame_period_us,
            spend_limit_lamports=crank.spend_limit_lamports,
            send_timeout_ms=crank.send_timeout_ms,
            ring_capacity=checkpoints.ring_capacity,
            min_interval_frames=checkpoints.min_interval_frames,
            chunk_bytes=checkpoints.chunk_bytes,
            chunks_per_frame=checkpoints.chunks_per_frame,
            in_rollup=config.in_rollup(),
        )
        self._period_ns = round(Schedule(crank.frame_period_us).period_ns)
        self._me = signer.pubkey
        self._base = RpcClient(config.chain.base_http, timeout_s=60.0)
        self._rpc = RpcClient(config.rollup_http())
        self._blockhash = Blockhash(self._rpc)
        self._sender = Sender(self._rpc, signer, self._blockhash)
        self._pubsub = PubSub(config.rollup_ws(), self._heard)
        self._named_world = Pubkey.from_string(config.chain.world) if config.chain.world else None
        self._world: Pubkey | None = None
        self._served: dict[Pubkey, Served] = {}
        """by hidden-state account"""
        self._left: set[Pubkey] = set()
        """sessions let go for good"""
        self._passages = Passages(config.fault_kill_at)
        self._admission, self._rent = Admission(crank), rent.Rent(crank)
        self._phases = Phases(self._period_ns)
        self._compute = Compute(self._handle, self._fault, self.stats.step, self._passages)
        self._outbox = Outbox(
            self._sender, self._me, lambda: self._world, self._handle, self._spawn, self.stats, self._passages
        )
        self._reader = Reader(self._rpc, self._handle, self._spawn)
        self._models = Models(self._base, config.engine, self._passages)
        self._timers = Timers(lambda served: self._handle(served, events.Wake()), self.stats.timer_lag)
        self._tasks: set[asyncio.Task[None]] = set()
        self._discoveries: list[Subscription] = []
        self._world_checked = asyncio.Event()
        self._looked = asyncio.Event()
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self._broken: BaseException | None = None
        self._telemetry = Hub(config, str(self._me), self, self._balance)
        self._view = View(config) if config.view.enabled else None

    # -- start, loop, stop ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serves until SIGTERM, then leaves a checkpoint of every session; a second signal exits at once."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._signalled, signal.SIGTERM)
        jobs = (self._blockhash.keep_fresh(), self._find_world(), self._watch_load())
        background = [asyncio.create_task(job) for job in jobs]
        if self.config.in_rollup():
            watched = Delegated(self._base, self.config.chain.base_ws, self._rpc, self._writers(), self._handed_over)
            background.append(asyncio.create_task(watched.run()))
        if self.config.log.stats_interval_s:
            background.append(asyncio.create_task(self._report(self.config.log.stats_interval_s)))
        engine = self.config.engine
        self._log.info(
            "starting", key=str(self._me), rollup=self._rpc.url, pid=os.getpid(), engine=engine.kernel,
            path=self._engine_path, threads=engine.threads,
        )  # fmt: skip
        try:
            await self._telemetry.open()
            background += [asyncio.create_task(job) for job in self._telemetry.jobs()]
            if self._view is not None:
                background.append(asyncio.create_task(self._view.run()))
            self._subscribe()
            background.append(self._pubsub.start())
            background.append(asyncio.create_task(self._announce()))
            background.append(asyncio.create_task(self._stopping_or_broken(list(background))))
            await self._stopping.wait()
            await self._stop()
            if self._broken is not None:
                raise self._broken
        finally:
            for task in [*background, *self._tasks]:
                task.cancel()
            await asyncio.gather(*background, *self._tasks, return_exceptions=True)
            self._timers.close()
            await self._models.close()
            await self._pubsub.close()
            await self._rpc.close()
            await self._base.close()
            await self._telemetry.close()
            self._finish()

    async def _stopping_or_broken(self, background: list[asyncio.Task[None]]) -> None:
        """Ends the service when a task that should run for ever has not."""
        done, _ = await asyncio.wait(background, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                if isinstance(error, AwmError):
                    self._log.error("cannot serve", problem=str(error))
                else:
                    self._log.error("internal error", exc_info=error)
                self._broken = error
                self._stopping.set()

    def interrupted(self) -> None:
        """Ends the service as SIGTERM does: what the command calls at Ctrl-C."""
        self._signalled(signal.SIGINT)

    def _signalled(self, number: signal.Signals) -> None:
        if self._stopping.is_set():
            os._exit(128 + number)
        self._log.info("stopping", signal=number.name, sessions=len(self._served))
        self._telemetry.stopping()
        self._stopping.set()

    async def _announce(self) -> None:
        # a World of another interface ends the service: nobody is told before that it serves
        await self._world_checked.wait()
        await self._looked.wait()
        await self._blockhash.known.wait()
        line = {"key": str(self._me), "pid": os.getpid(), "sessions": len(self._served)}
        if self._ready_file is not None:
            partial = self._ready_file.with_suffix(".partial")
            partial.write_bytes(msgspec.json.encode(line))
            partial.replace(self._ready_file)
        self._log.info("ready", **line)
        self._telemetry.ready()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)

    async def _stop(self) -> None:
        """A checkpoint of every live session first, then everything else."""
        for served in list(self._served.values()):
            self._handle(served, events.Stop())
        if self._served:
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await self._idle.wait()
        for served in self._served.values():
            served.log.error("stopped without a checkpoint", frame=served.machine.frame)

    def _finish(self) -> None:
        report = self.stats.report([served.machine for served in self._served.values()])
        self._log.info("stopped", **report)
        if self._stats_file is not None:
            self._stats_file.write_bytes(msgspec.json.format(msgspec.json.encode(report)))

    async def _report(self, interval_s: int) -> None:
        while True:
            await asyncio.sleep(interval_s)
            self._log.info("stats", **self.stats.report([served.machine for served in self._served.values()]))

    # -- what telemetry reads -------------------------------------------------------------------------------------

    def machines(self) -> list[SessionMachine]:
        """The machines of all sessions served."""
        return [served.machine for served in self._served.values()]

    def queues(self) -> dict[str, int]:
        """How many are in each queue."""
        return {
            "computing": self._compute.live, "catching_up": self._compute.catching_up, "fetching": len(self._reader),
            "tasks": len(self._tasks), "timers": len(self._timers), "waiting": len(self._admission.refused),
            **self._telemetry.queues(),
        }  # fmt: skip

    def engine_path(self) -> str:
        """Which path computes: "reference", or one of the native kernel's."""
        return self._engine_path

    def unready(self) -> str:
        """Why sessions cannot be served just now; empty when they can."""
        if self._stopping.is_set():
            return "stopping"
        if not self._world_checked.is_set():
            return f"no World seen yet at {self._base.url}"
        if not self._pubsub.connected:
            return f"not connected to {self._pubsub.url}"
        if not (self._looked.is_set() and all(each.confirmed.is_set() for each in self._discoveries)):
            return f"not subscribed at {self._pubsub.url}"
        if self._blockhash.age_s() > _STALE_BLOCKHASH_S:
            return f"no fresh blockhash from {self._rpc.url}"
        return ""

    async def _find_world(self) -> None:
        await worlds.check_interface(self._base)
        self._world_checked.set()
        # not before: no frame goes to a World that would read it otherwise
        self._world = self._named_world or await worlds.find(self._base)
        self._log.info("world", world=str(self._world))

    async def _balance(self) -> int:
        answer = await self._rpc.call("getBalance", [str(self._me)])
        return int(answer["value"])

    # -- subscribe: which sessions there are ----------------------------------------------------------------------

    def _writers(self) -> list[Pubkey]:
        return [self._me, ids.ZERO_KEY] if self.config.crank.adopt_unbound_sessions else [self._me]

    def _subscribe(self) -> None:
        for writer in self._writers():
            wanted = filters.of_writer(writer)
            self._discoveries.append(self._pubsub.program(str(ids.HIDDEN_STATE), filters=wanted, tag=writer))

    async def _look(self, writer: Pubkey) -> None:
        """Finds what was there before the subscription."""
        request = jsonrpc.get_program_accounts(1, ids.HIDDEN_STATE, filters.of_writer(writer))
        while True:
            try:
                answer = await self._rpc.post(request)
                found = jsonrpc.decode_result(answer, jsonrpc.ProgramAccountsResult, "getProgramAccounts").value
                break
            except AwmError as error:
                self._log.warning("cannot look for sessions", problem=str(error))
                await asyncio.sleep(_REFETCH_S)
        for account in found:
            key = account.key
            if key not in self._served and not self._stopping.is_set():
                self._admit(key, account.account.raw)
        self._looked.set()

    def _admit(self, key: Pubkey, data: bytes) -> None:
        """Begins to serve a hidden-state account's session, unless it was let go for good or there is no room."""
        if key in self._left or key in self._served or len(data) != layouts.HIDDEN_STATE.size:
            return
        entity = Pubkey.from_bytes(data[_ENTITY.offset : _ENTITY.offset + _ENTITY.size])
        if bolt.component_pda(ids.HIDDEN_STATE, entity) != key:
            return
        full = self._admission.full(len(self._served))
        if full is not None:
            word, why = full
            if self._admission.keep(key, data):
                self.stats.refuse(word)
                self._log.warning("session refused for now", entity=str(entity), reason=why)
            return
        self._admission.refused.pop(key, None)
        settings = msgspec.structs.replace(self._settings, phase=self._phases.take())
        served = self._served[key] = Served(entity, settings)
        self._handle(served, events.Begin())

    def _handed_over(self, key: Pubkey, data: bytes) -> None:
        """A session that is in the rollup now."""
        if not self._stopping.is_set():
            self._admit(key, data)

    def _make_room(self) -> None:
        """Takes up sessions that were refused, one at a time so that each one's load is seen before the next."""
        refused = self._admission.refused
        if refused and not self._stopping.is_set() and self._admission.full(len(self._served)) is None:
            key = next(iter(refused))
            self._admit(key, refused.pop(key))

    async def _watch_load(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_S)
            stages = [served.machine.stage for served in self._served.values()]
            serving = stages.count("serve")
            opening = len(stages) - serving - stages.count("join")
            look = Look(time.monotonic_ns(), time.process_time_ns(), self.stats.land.count, self.stats.slow_frames)
            self._admission.looked(look, serving=serving, opening=opening)
            self._make_room()

    def _spend(self, served: Served, command: commands.Spend) -> None:
        if command.held:
            self._rent.charge(served.entity, command.lamports)
        else:
            self._spawn(self._ask_for_rent(served, command.lamports))

    async def _ask_for_rent(self, served: Served, lamports: int) -> None:
        refusal = self._rent.too_dear(served.entity, lamports)
        if refusal:
            await rent.settle(self._rent, self._rpc, {each.entity for each in self._served.values()})
            refusal = self._rent.too_dear(served.entity, lamports)
        if refusal:
            self.stats.refuse("rent")
        self._handle(served, events.Granted(refusal))

    # -- decode: what the chain says ------------------------------------------------------------------------------

    def _heard(self, event: Notification) -> None:
        if isinstance(event, AccountChanged):
            if isinstance(event.tag, tuple):
                served, role = event.tag
                self._handle(served, events.Changed(role, event.data))
                return
            assert event.key is not None
            key = Pubkey.from_string(event.key)
            known = self._served.get(key)
            if known is not None:
                self._passages.at("confirm")
                self._handle(known, events.Changed("hidden", event.data))
            elif not self._stopping.is_set():
                self._admit(key, event.data)
        elif isinstance(event, Subscribed):
            subscription = event.subscription
            if subscription in self._discoveries:
                self._spawn(self._look(subscription.tag))
                self._each_watching(list(self._served.values()))
            elif isinstance(subscription.tag, tuple):
                self._each_watching([subscription.tag[0]])
        elif isinstance(event, SubscriptionRefused):
            self._log.error("subscription refused", problem=str(event.error))
        elif isinstance(event, Disconnected):
            self.stats.disconnections += 1
            self._log.warning("not connected", reason=event.reason, url=self._pubsub.url)
        elif isinstance(event, Connected):
            self._log.info("connected", url=self._pubsub.url, attempt=event.attempt)

    def _each_watching(self, sessions: list[Served]) -> None:
        discovered = all(subscription.confirmed.is_set() for subscription in self._discoveries)
        for served in sessions:
            if served.subscriptions and discovered and all(each.confirmed.is_set() for each in served.subscriptions):
                self._handle(served, events.Watching())

    # -- the machine, and what it wants ---------------------------------------------------------------------------

    def _handle(self, served: Served, event: events.Event) -> None:
        """Gives a machine an event and starts whatever it wants. No await in here: what follows sees it done."""
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
                case commands.Log():
                    getattr(served.log, command.level)(command.event, **command.fields)
                    self._telemetry.said(served.name, command.event, command.fields)
                case commands.Watch():
                    self._watch(served)
                case commands.Unwatch():
                    self._unwatch(served)
                case commands.LoadModel():
                    self._spawn(self._load(served, command.model))
                case commands.WarmUp():
                    self._passages.at("warm-up")
                    self._compute.want(served, command)
                case commands.Spend():
                    self._spend(served, command)
                case commands.Release():
                    self._release(served, command)

    def _fault(self, served: Served, error: Exception) -> None:
        """A fault of ours in one session: it is let go, the others are served on."""
        served.log.error("internal error", exc_info=error)
        self._release(served, commands.Release("internal error", ok=False))

    def _landed(self, served: Served, frame: commands.Landed) -> None:
        self.stats.landed(frame)
        self.stats.slow_frames += frame.landed_at - frame.sent_at > self._period_ns
        self._telemetry.landed(served.name, frame)
        served.log.debug("landed", frame=frame.frame, on_time=frame.on_time)

    def _watch(self, served: Served) -> None:
        self._unsubscribe(served)

        def account(role: Role) -> Subscription:
            return self._pubsub.account(str(served.keys[role]), tag=(served, role))

        def program(role: Role, program: Pubkey, wanted: filters.Filters) -> Subscription:
            return self._pubsub.program(str(program), filters=wanted, tag=(served, role))

        served.subscriptions = [
            account("session"),
            program("session", ids.SESSION_STATE, filters.ended(served.entity)),
            # who waits for both inputs has no use for one, nor for the buffer that a frame has emptied
            program("inputs", ids.INPUT_BUFFER, filters.both_inputs(served.entity))
            if self.config.crank.late_policy == "wait"
            else account("inputs"),
        ]

    def _unsubscribe(self, served: Served) -> None:
        for subscription in served.subscriptions:
            self._pubsub.unsubscribe(subscription)

    def _unwatch(self, served: Served) -> None:
        session, *others = served.subscriptions
        self._pubsub.unsubscribe(session)
        served.subscriptions = others

    async def _load(self, served: Served, model: Pubkey) -> None:
        try:
            engine = await self._models.get(model)
        except AwmError as error:
            self._handle(served, events.ModelFailed(error))
            return
        # the model stays: no collection has to go through it
        gc.freeze()
        self._handle(served, events.ModelLoaded(engine))

    def _release(self, served: Served, command: commands.Release) -> None:
        served.gone = True
        self._unsubscribe(served)
        key = served.keys["hidden"]
        self._served.pop(key, None)
        self._reader.drop(served)
        if served.phase is not None:
            self._phases.give_back(served.phase)
        self.stats.gone(served.machine)
        self._telemetry.released(served.name, served.machine.frame, command.reason)
        if not self._served:
            self._idle.set()
        if not command.again:
            self._left.add(key)
        self._make_room()

    # -- tasks ----------------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # a fault of ours: going on half-way would hide it
            self._log.error("internal error", exc_info=error)
            self._broken = error
            self._stopping.set()
