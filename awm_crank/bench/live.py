"""`awm-crank bench live`: many matches at once on a real validator, and the limit of that validator.

Crank (`awm-crank run`), players and localnet are three processes. This process watches with the demo's accounting. A
frame has landed once its hidden state is notified; the session's account would not do, since every input writes to it.
In the crank's stage `wanted_to_known`, a frame has landed once the send is answered or the account is notified,
whichever comes first. The limit (limit.py) and a bare timer loop are measured in the same run, after the matches.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from awm_crank.bench import limit
from awm_crank.bench.live_players import PlayersFile, Seats
from awm_crank.bench.place import BenchPlace, Pairing
from awm_crank.bench.processes import Usage, machine, scheduling, usage
from awm_crank.demo.accounting import MatchAccounting, Tally, percentile
from awm_crank.demo.observer import MatchWatch
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.seeded import lasting
from awm_crank.localnet.rig import LocalnetProcess
from awm_crank.net.pubsub import AccountChanged, Disconnected, Event, PubSub
from awm_crank.rig.processes import Child, Children
from awm_crank.session.checkpoints import cadence
from awm_crank.wire import filters, ids

_START_S = 60.0
_LIMIT_S = 4.0
_WARM_S = 1.0
_HELD_MISSES = 1 / 1000
"""The share of missed ticks below which sessions count as held."""
_STAGES = {
    "step": "backbone, while the send is under way",
    "ready_to_sent": "tick due, inputs seen and backbone done → signed and on its way",
    "sign": "encode and sign",
    "send": "request → answer",
    "send_to_land": "sent → the crank is notified",
    "wanted_to_known": "later of (tick due, last input seen) → answer with preflight or notification, the first",
    "tick_to_land": "tick due → the crank is notified",
    "timer_lag": "timer: wanted → woken",
}


class LiveMatches:
    """Watches many matches over one connection, each with the demo's accounting."""

    def __init__(self, ws: str, period_s: float) -> None:
        self._pubsub = PubSub(ws, self._heard, silence_s=10.0)
        self._period_s = period_s
        self.watches: list[MatchWatch] = []
        self.losses: list[str] = []
        """why the connection was lost, each time"""

    async def open(self, matches: Sequence[Pairing]) -> None:
        """Returns when all subscriptions are confirmed. Raises AwmError."""
        asked = []
        for match in matches:
            watch = MatchWatch(match.accounts.entity)
            watch.accounting = MatchAccounting(self._period_s)
            self.watches.append(watch)
            # This process shares the cores with what it measures. So of the input buffer, which changes twice a frame,
            # it is notified only once both inputs are there.
            asked.append(self._pubsub.account(str(watch.hidden_key), tag=watch.hidden_changed))
            both = filters.both_inputs(match.accounts.entity)
            asked.append(self._pubsub.program(str(ids.INPUT_BUFFER), filters=both, tag=watch.inputs_changed))
        self._pubsub.start()
        async with asyncio.timeout(_START_S):
            for subscription in asked:
                await subscription.confirmed.wait()
                if subscription.error is not None:
                    raise subscription.error

    async def close(self) -> None:
        """Stops listening."""
        await self._pubsub.close()

    def _heard(self, event: Event) -> None:
        if isinstance(event, AccountChanged):
            event.tag(event.data)
        elif isinstance(event, Disconnected):
            self.losses.append(event.reason)


def report(
    seconds: float, *, kind: str = "embedded", sessions: int = 1, shape: str = "4.3M", options: Sequence[str] = ()
) -> tuple[str, dict[str, Any]]:
    """The figures as text, and by name. Raises AwmError if something does not run."""
    figures = asyncio.run(_measure(seconds, kind, sessions, shape, options))
    return as_text(figures), figures


async def _measure(seconds: float, kind: str, count: int, shape: str, options: Sequence[str]) -> dict[str, Any]:
    cartridge = lasting(shape)
    with tempfile.TemporaryDirectory(prefix="awm-bench-") as name:
        folder = Path(name)
        async with (
            LocalnetProcess(kind, *options) as net,
            await BenchPlace.make(net, folder, cartridge) as place,
            Children(folder) as children,
        ):
            settings = place.settings()
            crank = place.crank(settings)
            await crank.ready()
            state = NativeEngine(cartridge).state_size
            rule = settings.checkpoints
            ring = cadence(
                state, chunk_bytes=rule.chunk_bytes, chunks_per_frame=rule.chunks_per_frame,
                min_interval=rule.min_interval_frames, ring_capacity=rule.ring_capacity,
            ).capacity  # fmt: skip
            matches = [
                await place.pairing(seed, place.crank_key.pubkey(), ring=ring, checkpoint_bytes=state)
                for seed in range(count)
            ]
            await crank.wait_for("ready", count=count, waiting_for="player 2")
            watcher = LiveMatches(place.net.ws, place.period_s)
            await watcher.open(matches)
            players = _start_players(folder, place, matches, children)
            for match in matches:
                await place.begin(match)
            await crank.wait_for("schedule", count=count)
            for line in crank.lines("schedule"):
                watch = next(each for each in watcher.watches if str(each.session_key) == line["session"])
                watch.accounting.set_schedule(line["t0"])
            watched = await _watch(seconds, place, crank, players, watcher)
            await players.stop()
            await watcher.close()
            await crank.stop()
            stats = msgspec.json.decode(crank.stats_path.read_bytes())
            bare = await _bare_timer(children, min(5.0, max(1.0, seconds)))
            carried = await limit.measure(place, min(_LIMIT_S, seconds), ring) if place.kind != "solana" else None
        watched["losses"] = watcher.losses
    return {
        "kind": kind, "sessions": count, "shape": shape, "engine": "native", "scheduling": scheduling(), **watched,
        "stages_ms": stats["latency_ms"], "crank": _counters(stats),
        "bare_timer_ms": bare, "limit": msgspec.to_builtins(carried) if carried else None,
    }  # fmt: skip


def _start_players(folder: Path, place: BenchPlace, matches: Sequence[Pairing], children: Children) -> Child:
    wanted = PlayersFile(
        place.net.http, place.net.ws, str(place.world),
        [
            Seats(str(accounts.entity), seed, (list(bytes(first)), list(bytes(second))))
            for accounts, (first, second), seed in matches
        ],
    )  # fmt: skip
    path = folder / "players.json"
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.encode(wanted))
    return children.start_own("players", str(path), module="awm_crank.bench.live_players")


async def _watch(
    seconds: float, place: BenchPlace, crank: Child, players: Child, watcher: LiveMatches
) -> dict[str, Any]:
    """Watches for `seconds`; returns how many frames landed and what they cost."""
    await asyncio.sleep(_WARM_S)
    processes = {
        "crank": [crank.process.pid], "players": [players.process.pid], "validator": place.validators,
        "observer": [os.getpid()],
    }  # fmt: skip

    def look() -> dict[str, Usage]:
        seen = {name: usage(pids) for name, pids in processes.items()}
        known = sum(each.cpu_s for each in seen.values())
        return {**seen, "others": Usage(machine().cpu_s - known, 0)}

    # the warm-up is not measured, because processes still connect and fill their caches
    before, began = look(), time.monotonic()
    tallies = [_counts(watch.accounting.tally) for watch in watcher.watches]
    await asyncio.sleep(seconds)
    elapsed, after = time.monotonic() - began, look()
    each = []
    for watch, start in zip(watcher.watches, tallies, strict=True):
        now = _counts(watch.accounting.tally)
        counted = {name: now[name] - start[name] for name in now}
        each.append({**counted, "fps": counted["frames"] / elapsed, "faults": list(watch.accounting.faults)})
    latencies = [
        value * 1e3
        for watch, start in zip(watcher.watches, tallies, strict=True)
        for value in watch.accounting.tally.latencies_s[start["frames"] :]
    ]
    slow = sorted(
        (frame.landed_at - began, frame.latency_s * 1e3)
        for watch, start in zip(watcher.watches, tallies, strict=True)
        for frame in watch.accounting.judged[start["frames"] :]
        if frame.latency_s > place.period_s
    )
    crank.require_running()
    players.require_running()
    return {
        "seconds": elapsed, "period_s": place.period_s, "each": each,
        "latency_ms": {f"p{part}": percentile(latencies, part / 100) for part in (50, 90, 99, 100)},
        "slow": [{"at_s": round(at, 3), "ms": round(ms, 2)} for at, ms in slow],
        "cpu": {name: max(0.0, after[name].cpu_s - before[name].cpu_s) / elapsed for name in after},
        "cores": os.cpu_count(),
        "rss_mb": {name: [before[name].rss / 1e6, after[name].rss / 1e6] for name in processes},
    }  # fmt: skip


def _counts(tally: Tally) -> dict[str, int]:
    return {"frames": tally.frames, "on_time": tally.on_time, "late": tally.late, "missed": tally.missed}


def _counters(stats: dict[str, Any]) -> dict[str, Any]:
    wanted = ("frames", "on_time", "late", "missed", "resyncs", "timeouts", "refused_frames", "refusals", "checkpoints")
    return {name: stats.get(name) for name in wanted}


async def _bare_timer(children: Children, seconds: float) -> dict[str, float]:
    child = children.start_own("timer", str(seconds), module="awm_crank.bench.bare_timer")
    line = await child.wait_for_line(lambda text: text.startswith("{"), seconds + _START_S)
    await child.stop()
    found: dict[str, float] = msgspec.json.decode(line)
    return found


def as_text(figures: dict[str, Any]) -> str:
    """The figures as a report."""
    each, seconds = figures["each"], figures["seconds"]
    total = {name: sum(one[name] for one in each) for name in ("frames", "on_time", "late", "missed")}
    ticks = max(1, total["frames"] + total["missed"])
    lines = [
        f"{figures['sessions']} sessions of the {figures['shape']} shape on {figures['kind']}, {seconds:.1f} s, "
        f"a frame every {figures['period_s'] * 1e3:.2f} ms",
        f"scheduling: {figures['scheduling']}",
        "  session     fps  on time   late  missed",
    ]
    lines += [
        f"  {number:7} {one['fps']:7.2f} {one['on_time']:8} {one['late']:6} {one['missed']:7}"
        + "".join(f"  {fault}" for fault in one["faults"][:1])
        for number, one in enumerate(each)
    ]
    lines += [f"  the observer's connection was lost: {reason}" for reason in figures["losses"]]
    held = total["missed"] / ticks < _HELD_MISSES
    lines.append(
        f"  missed {total['missed']} of {ticks} ticks ({total['missed'] / ticks:.2%}): {'held' if held else 'not held'}"
    )
    shown = "  ".join(f"{name} {value:.2f}" for name, value in figures["latency_ms"].items())
    lines += ["", "later of (tick due, last input notified) → frame notified, at the observer, ms:", f"  {shown}"]
    lines += ["", "in the crank, ms (p50, p90, p99, p100):"]
    for name, text in _STAGES.items():
        values = figures["stages_ms"].get(name) or {}
        lines.append(f"  {name:15} {' '.join(f'{value:8.3f}' for value in values.values())}  {text}")
    bare = figures["bare_timer_ms"]
    timers = (("bare timer", "", "a loop with nothing to do"), ("bare alarm", "alarm_", "the crank's timer there"))
    for name, of, text in timers:
        p50, p99 = bare[of + "p50"], bare[of + "p99"]
        lines.append(f"  {name:15} {p50:8.3f} {'':8} {p99:8.3f} {'':8}  {text}")
    lines += ["", "            CPU (cores)  RSS at start, end (MB)"]
    for name, cpu in figures["cpu"].items():
        memory = " ".join(f"{size:8.1f}" for size in figures["rss_mb"].get(name, ()))
        lines.append(f"  {name:10} {cpu:10.2f}  {memory}".rstrip())
    idle = max(0.0, figures["cores"] - sum(figures["cpu"].values()))
    lines.append(f"  {'idle':10} {idle:10.2f}  of {figures['cores']}")
    carried = figures["limit"]
    if carried:
        rate = carried["transactions_per_s"]
        possible = rate / 3 * figures["period_s"]
        used = 3 * total["frames"] / seconds
        lines += [
            "",
            f"limit: {rate:.0f} transactions a second, pre-signed, nobody computing ({carried['landed']} of "
            f"{carried['sent']} landed, {carried['refused']} refused) = {possible:.1f} sessions",
            f"  meanwhile cores: validator {carried['validator_cpu']:.2f} "
            f"({carried['validator_cpu'] / rate * 1e3:.2f} ms a transaction), generator {carried['generator_cpu']:.2f}",
            f"these sessions: {used:.0f} transactions a second without checkpoints, {used / rate:.0%} of it",
        ]
    return "\n".join(lines) + "\n"
