"""The crank as an operator runs it: as a process of its own, against the embedded localnet."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections.abc import Callable

from daemon.rig import FaultProxy, Place, expected_records, finished, lasting, until
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank import config
from awm_crank.client import session
from awm_crank.client.session import SessionView
from awm_crank.daemon.crank import Daemon
from awm_crank.engine import ReferenceEngine
from awm_crank.session import setup
from awm_crank.wire import bolt, ids, layouts
from awm_crank.wire.frame_records import final_state_sha256
from awm_crank.wire.transaction import Signer


def records(view: SessionView) -> list[bytes]:
    """All records that the ring holds."""
    assert view.log is not None
    return [view.log.record(frame) for frame in view.log.holds()]


def reached(frame: int) -> Callable[[SessionView], bool]:
    """A condition for `Place.when`: the session has reached this frame."""
    return lambda view: view.session.frame >= frame


async def test_a_match(place: Place) -> None:
    """The crank finds, claims, serves, checkpoints and releases a session, on time and with every record as computed
    here.
    """
    crank = place.crank()
    await crank.ready()
    match = await place.create(max_frames=150)
    await place.join(match)
    began = time.monotonic()
    await place.play(match)
    assert time.monotonic() - began >= 149 / 60
    view = await place.when(match, finished)
    assert records(view) == expected_records(lasting(), view, 150)
    checkpoint = view.checkpoints[view.hidden.checkpoint_side if view.hidden else 0]
    assert checkpoint is not None
    assert checkpoint.frame == 150
    await until(lambda: bool(crank.lines("released")))
    assert await crank.stop() == 0
    stats = json.loads(crank.stats_path.read_text())
    assert stats["frames"] == stats["on_time"] + stats["late"] == 150
    assert stats["latency_ms"]["send_to_land"]["p50"] > 0
    assert crank.lines("schedule")[0]["session"] == str(match.session)


async def test_log_holds_no_secret(place: Place) -> None:
    """Every log line is JSON, and no line contains the key, neither as numbers nor as bytes."""
    crank = place.crank()
    await crank.ready()
    await crank.stop()
    text = crank.log.read_text()
    assert len(crank.lines()) == len(text.splitlines())
    secret = bytes(place.crank_key)
    assert secret[:32].hex() not in text
    assert ",".join(map(str, secret[:8])) not in text.replace(" ", "")
    assert str(place.crank_key) not in text


async def test_stop_and_resume(place: Place) -> None:
    """SIGTERM leaves a checkpoint of the last frame, and the next process resumes within two seconds of its start."""
    first = place.crank()
    await first.ready()
    match = await place.create(max_frames=260)
    await place.join(match)
    playing = asyncio.create_task(place.play(match))
    await place.when(match, lambda view: view.session.frame >= 100)
    assert await first.stop() == 0
    view = await place.show(match)
    assert view.hidden is not None
    assert view.hidden.checkpoint_frame == view.session.frame
    second = place.crank(name="second")
    await place.when(match, lambda now: now.session.frame > view.session.frame)
    # this measures processor time, not the clock, because other processes share this machine
    resumed = second.cpu_seconds()
    await playing
    view = await place.when(match, finished)
    assert records(view) == expected_records(lasting(), view, 260)
    assert await second.stop() == 0
    assert resumed < 2.0, "the budget of docs/session.md, start of the interpreter included"
    assert second.lines("restoring")[0]["records"] == 0


async def test_second_signal(place: Place) -> None:
    """A second signal exits at once, even while an endpoint that does not answer blocks the first signal's shutdown."""
    async with FaultProxy(place.net.http) as proxy:
        crank = place.crank(place.settings(rollup_http=proxy.url))
        await crank.ready()
        match = await place.create()
        await place.join(match)
        playing = asyncio.create_task(place.play(match))
        await place.when(match, lambda view: view.session.frame >= 10)
        proxy.flowing.clear()
        crank.process.send_signal(signal.SIGTERM)
        await until(lambda: bool(crank.lines("stopping")))
        await asyncio.sleep(0.2)
        assert crank.process.poll() is None
        crank.process.send_signal(signal.SIGTERM)
        assert await crank.ended(2.0) == 128 + signal.SIGTERM
        playing.cancel()


POINTS = (
    "model:1", "claim:1", "claim-sent:1", "setup:1", "setup-sent:1", "setup:1", "warm-up:1", "before-send", "replay:1",
    "in-flight", "after-send", "confirm", "checkpoint-begin:1", "checkpoint-begin-sent:1", "checkpoint-chunk",
    "checkpoint-chunk-sent", "checkpoint-finalize:1", "checkpoint-finalize-sent:1", "replay:1", "in-flight",
    "before-send", "after-send", "checkpoint-chunk", "in-flight", "checkpoint-finalize:1", "confirm",
)  # fmt: skip


async def test_kills(place: Place) -> None:
    """SIGKILL at 26 points of the path, with a restart each time: every record equals the undisturbed run's."""
    draw = random.Random(1)
    checkpoints = config.CheckpointsConfig(
        ring_capacity=900, min_interval_frames=20, chunk_bytes=500, chunks_per_frame=1
    )
    match = await place.create(max_frames=800)
    joined = playing = None
    died = []
    for life, point in enumerate(POINTS):
        fault = point if ":" in point else f"{point}:{draw.randint(1, 12)}"
        crank = place.crank(place.settings(checkpoints=checkpoints, fault_kill_at=fault), name=f"life{life}")
        if joined is None and point.startswith("setup"):
            await place.join(match)
            joined = True
            playing = asyncio.create_task(place.play(match))
        assert await crank.ended(30.0, what=fault) == -signal.SIGKILL
        died.append((await place.show(match)).session.frame)
    last = place.crank(place.settings(checkpoints=checkpoints), name="last")
    assert playing is not None
    await playing
    view = await place.when(match, finished)
    assert records(view) == expected_records(lasting(), view, view.session.frame)
    assert len(records(view)) == 800
    assert len(set(died)) > 10
    assert await last.stop() == 0


async def test_takeover(place: Place) -> None:
    """A second process with the same key takes a session over.

    The first logs that, stops serving it, and keeps running.
    """
    first = place.crank(name="first")
    await first.ready()
    match = await place.create(max_frames=300)
    await place.join(match)
    playing = asyncio.create_task(place.play(match))
    await place.when(match, lambda view: view.session.frame >= 40)
    second = place.crank(name="second")
    await playing
    view = await place.when(match, finished)
    assert records(view) == expected_records(lasting(), view, 300)
    (line,) = first.lines("not served")
    assert (line["level"], "another process" in line["reason"]) == ("error", True)
    assert first.process.poll() is None
    assert second.lines("released")


async def test_unbound_session(place: Place) -> None:
    """Only a crank that is configured to bind sessions serves one whose CREATE named no writer."""
    match = await place.create(writer=ids.ZERO_KEY, max_frames=5)
    await place.join(match)
    reserved = place.crank(name="reserved")
    await reserved.ready()
    await asyncio.sleep(0.3)
    view = await place.show(match)
    assert view.hidden is not None
    assert view.hidden.writer == ids.ZERO_KEY
    await reserved.stop()
    place.crank(place.settings(adopt_unbound_sessions=True), name="adopting")
    await place.play(match)
    view = await place.when(match, finished)
    assert view.hidden is not None
    assert view.hidden.writer == place.crank_key.pubkey()


async def test_spending_limit(place: Place) -> None:
    """A session that would cost more than the limit is not served and costs nothing; the log names the setting."""
    before = await place.chain.balance(place.crank_key.pubkey())
    crank = place.crank(place.settings(spend_limit_lamports=1_000))
    await crank.ready()
    match = await place.create()
    await until(lambda: bool(crank.lines("trying again")))
    assert "crank.spend_limit_lamports" in crank.lines("trying again")[0]["problem"]
    spent = before - await place.chain.balance(place.crank_key.pubkey())
    assert spent < 20_000, "fees only"
    assert (await place.show(match)).checkpoints == (None, None)


async def test_total_spending_limit(place: Place) -> None:
    """The total cost of all sessions is limited, and a session that is closed gives its share back."""
    one = setup.cost(ReferenceEngine(lasting()).state_size, 768)
    crank = place.crank(place.settings(total_spend_limit_lamports=one))
    await crank.ready()
    first = await place.create(max_frames=5)
    await place.join(first)
    await until(lambda: bool(crank.lines("restoring")))
    second = await place.create(max_frames=5)
    await place.join(second)
    await until(lambda: bool(crank.lines("trying again")))
    assert "crank.total_spend_limit_lamports" in crank.lines("trying again")[0]["problem"]
    assert (await place.show(second)).checkpoints == (None, None)
    await place.play(first)
    await place.when(first, finished)
    await session.close(place.chain, place.players[0], first.session)
    # the session that waits for rent is served without any action
    await place.join(second)
    await place.play(second)
    await place.when(second, finished)
    assert await crank.stop() == 0
    # the second one asks again until there is room
    assert json.loads(crank.stats_path.read_text())["refused_sessions"]["rent"] >= 1


async def test_many_sessions(place: Place) -> None:
    """Several sessions run at once, each on its own schedule, and none changes another's records."""
    crank = place.crank()
    await crank.ready()
    matches = [await place.create(max_frames=90, seed=n) for n in range(4)]
    for match in matches:
        await place.join(match)
    await asyncio.gather(*(place.play(match, seed=n) for n, match in enumerate(matches)))
    for n, match in enumerate(matches):
        view = await place.when(match, finished)
        assert records(view) == expected_records(lasting(), view, 90, seed=n)


async def test_restart_resumes_every_session(place: Place) -> None:
    """After SIGKILL with several matches under way, the next process resumes all of them, and no record differs."""
    crank = place.crank()
    await crank.ready()
    matches = [await place.create(max_frames=120, seed=n) for n in range(3)]
    for match in matches:
        await place.join(match)
    playing = asyncio.gather(*(place.play(match, seed=n) for n, match in enumerate(matches)))
    for match in matches:
        await place.when(match, lambda view: view.session.frame >= 30)
    crank.kill()
    place.crank(name="second")
    await playing
    for n, match in enumerate(matches):
        view = await place.when(match, finished)
        assert records(view) == expected_records(lasting(), view, 120, seed=n)


async def test_session_limit(place: Place) -> None:
    """A session beyond the limit is refused with the reason, and taken when another one is done."""
    crank = place.crank(place.settings(max_sessions=1))
    await crank.ready()
    first, second = await place.create(max_frames=10), await place.create(max_frames=10)
    await place.join(first)
    await place.join(second)
    await until(lambda: bool(crank.lines("session refused for now")))
    (line,) = crank.lines("session refused for now")
    assert "crank.max_sessions" in line["reason"]
    await asyncio.gather(place.play(first), place.play(second))
    await place.when(first, finished)
    await place.when(second, finished)


async def test_refusal_costs_the_others_nothing() -> None:
    """A refused session waits in line and slows no other session.

    The crank reads and watches none of its accounts, and computes, sends and waits for nothing on its behalf. The
    session that is served gets no event because of it, so none of its ticks takes longer.
    """
    daemon = Daemon(config.Config(crank=config.CrankConfig(max_sessions=1)), Signer(bytes(Keypair())))
    taken, refused = Pubkey.new_unique(), [Pubkey.new_unique() for _ in range(3)]
    daemon._roster.admit(*hidden_state(taken))
    (machine,) = daemon.machines()
    assert machine.entity == taken
    # the accounts of the session that was taken are being made
    before = (daemon.queues(), list(daemon._pubsub._book), machine.stage)
    for entity in refused * 2:
        daemon._roster.admit(*hidden_state(entity))
    assert daemon.machines() == [machine]
    assert daemon.stats.refused_sessions == {"sessions": 3}
    queues, subscriptions, stage = before
    assert daemon.queues() == {**queues, "waiting": 3}
    assert (list(daemon._pubsub._book), machine.stage) == (subscriptions, stage)
    await daemon._tasks.cancel()


def hidden_state(entity: Pubkey) -> tuple[Pubkey, bytes]:
    """A session's hidden-state account as discovery finds it: key and data."""
    data = bytearray(layouts.HIDDEN_STATE.size)
    at = layouts.HIDDEN_STATE.offset("entity")
    data[at : at + 32] = bytes(entity)
    return bolt.component_pda(ids.HIDDEN_STATE, entity), bytes(data)


async def test_end_by_a_player(place: Place) -> None:
    """An END in the middle of a match is followed by a checkpoint of the last frame."""
    crank = place.crank(place.settings(late_policy="hold"))
    await crank.ready()
    match = await place.create()
    await place.join(match)
    await place.when(match, lambda view: view.session.frame >= 30)
    await session.end(place.chain, place.players[1], place.world, match.session)
    view = await place.when(match, finished)
    assert view.hidden is not None
    checkpoint = view.checkpoints[view.hidden.checkpoint_side]
    assert checkpoint is not None
    assert final_state_sha256(checkpoint.frame, view.session.players, checkpoint.state, view.hidden.feedback)


async def test_websocket_breaks(place: Place) -> None:
    """Broken WebSocket connections cost no record: the crank reconnects by itself and reads what it missed."""
    async with FaultProxy(place.net.ws) as proxy:
        crank = place.crank(place.settings(rollup_ws=proxy.url))
        await crank.ready()
        match = await place.create(max_frames=240)
        await place.join(match)
        playing = asyncio.create_task(place.play(match))
        for frame in (30, 80, 130):
            await place.when(match, reached(frame))
            proxy.drop()
        await playing
        view = await place.when(match, finished)
        assert records(view) == expected_records(lasting(), view, 240)
        assert proxy.connections >= 4
        assert crank.lines("not connected")


async def test_http_breaks(place: Place) -> None:
    """HTTP connections that break or hang with frames in flight neither lose nor repeat a frame."""
    async with FaultProxy(place.net.http) as proxy:
        crank = place.crank(place.settings(rollup_http=proxy.url))
        await crank.ready()
        match = await place.create(max_frames=200)
        await place.join(match)
        playing = asyncio.create_task(place.play(match))
        for frame in (30, 60, 90, 120):
            await place.when(match, reached(frame))
            proxy.drop()
        proxy.refusing = True
        proxy.drop()
        await asyncio.sleep(0.7)
        proxy.refusing = False
        await playing
        view = await place.when(match, finished)
        assert records(view) == expected_records(lasting(), view, 200)


async def test_localnet_comes_later(place: Place) -> None:
    """A crank that starts before its endpoints answer begins to serve once they do."""
    async with FaultProxy(place.net.http) as http, FaultProxy(place.net.ws) as ws:
        http.refusing = ws.refusing = True
        crank = place.crank(place.settings(rollup_http=http.url, rollup_ws=ws.url))
        await until(lambda: bool(crank.lines("not connected")))
        http.refusing = ws.refusing = False
        await crank.ready()
        match = await place.create(max_frames=5)
        await place.join(match)
        await place.play(match)
        await place.when(match, finished)
