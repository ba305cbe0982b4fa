"""What a running crank reports: a match's metrics, health and readiness, and MQTT that never costs a tick."""

from __future__ import annotations

import asyncio
import json
import math
import signal
import socket
import time
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from daemon.rig import CrankProcess, FaultProxy, Place, finished
from prometheus_client.parser import text_string_to_metric_families
from telemetry.broker import Broker
from telemetry.test_mqtt import ear
from telemetry.test_mqtt import until as soon

from awm_crank import config
from awm_crank.client.chain import Chain
from awm_crank.telemetry.frames import COMPACT_SIZE


def free_port() -> int:
    """A port that nothing uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Told:
    """A crank that serves telemetry."""

    def __init__(
        self, place: Place, name: str = "crank", mqtt: config.MqttConfig | None = None, **settings: Any
    ) -> None:
        self.port = free_port()
        telemetry = config.TelemetryConfig(listen=f"127.0.0.1:{self.port}", balance_interval_s=1)
        made = msgspec.structs.replace(
            place.settings(**settings), telemetry=telemetry, mqtt=mqtt or config.MqttConfig()
        )
        self.crank: CrankProcess = place.crank(made, name)

    async def ask(self, path: str) -> tuple[int, str]:
        """Returns the HTTP status and the body; status 0 if nothing listens."""
        timeout = aiohttp.ClientTimeout(total=2)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            try:
                async with session.get(f"http://127.0.0.1:{self.port}/{path}") as answer:
                    return answer.status, await answer.text()
            except (aiohttp.ClientError, TimeoutError):
                return 0, ""

    async def metric(self, name: str, **labels: str) -> float:
        """The value of one sample."""
        for family in text_string_to_metric_families((await self.ask("metrics"))[1]):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        raise AssertionError(f"no {name} {labels}")

    async def when(self, path: str, status: int, seconds: float = 15) -> None:
        """Waits for this answer."""
        deadline = time.monotonic() + seconds
        while (found := await self.ask(path))[0] != status:
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.05)


async def test_metrics_of_a_match(place: Place) -> None:
    """After a match, ticks, frames and histograms agree with the log's statistics, and the balance with the chain's."""
    told = Told(place)
    await told.crank.ready()
    match = await place.create(max_frames=120)
    await place.join(match)
    await place.play(match)
    await place.when(match, finished)
    await soon(lambda: told.crank.lines("released"))
    ticks = [await told.metric("awm_ticks_total", outcome=outcome) for outcome in ("on_time", "late", "missed")]
    assert ticks[0] + ticks[1] == await told.metric("awm_frames_total") == 120
    for name in ("sign", "send", "land", "tick_to_land"):
        assert await told.metric(f"awm_{name}_seconds_count") >= 120
    assert await told.metric("awm_step_seconds_count") >= 119
    assert await told.metric("awm_checkpoints_total") >= 1
    assert 0 < await told.metric("awm_land_seconds_sum") < 12
    lamports = place.net.call("getBalance", str(place.crank_key.pubkey()))["value"]
    await asyncio.sleep(1.5)
    assert await told.metric("awm_balance_lamports") == lamports
    assert await told.crank.stop() == 0
    stats = json.loads(told.crank.stats_path.read_text())
    assert [stats[name] for name in ("on_time", "late", "missed")] == ticks


async def test_lost_endpoint_clears_readiness_only(place: Place) -> None:
    """Three seconds without HTTP and WebSocket make the crank not ready but still healthy.

    It is ready again afterwards.
    """
    async with FaultProxy(place.net.http) as http, FaultProxy(place.net.ws) as ws:
        told = Told(place, rollup_http=http.url, rollup_ws=ws.url)
        await told.crank.ready()
        await told.when("readyz", 200)
        match = await place.create(max_frames=600)
        await place.join(match)
        playing = asyncio.create_task(place.play(match))
        await place.when(match, lambda view: view.session.frame >= 20)
        for proxy in (http, ws):
            proxy.refusing = True
            proxy.drop()
        await told.when("readyz", 503)
        for _ in range(20):
            assert (await told.ask("healthz"))[0] == 200
            await asyncio.sleep(0.15)
        for proxy in (http, ws):
            proxy.refusing = False
        await told.when("readyz", 200)
        assert await told.metric("awm_reconnects_total") >= 1
        await playing
        await place.when(match, finished)


async def test_stopped_process_is_unhealthy(place: Place) -> None:
    """A stopped process does not answer that it is healthy. When it runs again, it does."""
    told = Told(place)
    await told.crank.ready()
    told.crank.process.send_signal(signal.SIGSTOP)
    assert (await told.ask("healthz"))[0] == 0
    told.crank.process.send_signal(signal.SIGCONT)
    await told.when("healthz", 200)


async def test_match_over_mqtt(place: Place, tmp_path: Path) -> None:
    """A subscriber sees a match from `created` to `ended`, and every frame's bytes equal the record in the log."""
    with Broker(tmp_path) as broker:
        mqtt = config.MqttConfig(url=broker.url, qos=1, frames_per_s=0, queue=4096)
        told = Told(place, mqtt=mqtt)
        async with ear(broker) as heard:
            await told.crank.ready()
            match = await place.create(max_frames=90)
            await soon(lambda: [event["event"] for event in heard.events()] == ["created"], 20)
            await place.join(match)
            await place.play(match)
            view = await place.when(match, finished)
            await soon(lambda: heard.events()[-1]["event"] == "ended")
            await soon(lambda: len(heard.on("/frame/json")) == 90)
            assert await told.crank.stop() == 0
            await soon(lambda: heard.states()[-1] == "offline")
    kinds = [event["event"] for event in heard.events()]
    assert kinds[:2] == ["created", "joined"]
    assert set(kinds[2:-1]) <= {"hit"}
    assert view.log is not None
    frames = heard.on(f"{match.session}/frame")
    assert {len(payload) for payload in frames} == {COMPACT_SIZE}
    for frame, payload in enumerate(frames, 1):
        record = view.log.record(frame)
        assert int.from_bytes(payload[:4], "little") == frame
        # the record also contains the players and the head of the chain hash
        assert payload[4:68] in record
        assert payload[101:] == record[-8:]


async def test_stopped_broker_costs_no_tick(place: Place, tmp_path: Path) -> None:
    """A broker that stops for 30 s of a match costs no tick, compared with a crank that has no broker.

    Both cranks run at the same time on the same machine. On a quiet machine neither misses a tick. On a busy one
    another pair plays, and after three pairs the difference must be within chance for such counts (three sigma).
    """
    outcomes = []
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        with Broker(folder) as broker:
            outcomes.append(await _beside(place, broker, attempt))
        with_broker, without = outcomes[-1]
        if with_broker <= without:
            return
    with_broker, without = (sum(counts) for counts in zip(*outcomes, strict=True))
    assert with_broker - without <= 3 * math.sqrt(with_broker + without), outcomes


async def _beside(place: Place, broker: Broker, attempt: int) -> tuple[float, float]:
    """Returns the missed ticks in 30 s of a crank whose broker is stopped, and of one without a broker, at the same
    time.
    """
    mqtt = config.MqttConfig(url=broker.url, qos=1, frames_per_s=0, queue=256)
    # keys of their own: a match that an earlier attempt left would miss every tick
    places = []
    for name in (f"mqtt{attempt}", f"plain{attempt}"):
        (place.folder / name).mkdir()
        chain = Chain(place.net.http, commitment="processed")
        places.append(Place(place.net, chain, place.world, place.model, place.folder / name))
    tellers = [Told(places[0], "crank", mqtt), Told(places[1], "crank")]
    playing = []
    for teller, mine in zip(tellers, places, strict=True):
        await teller.crank.ready()
        match = await mine.create()
        await mine.join(match)
        playing.append(asyncio.create_task(mine.play(match)))
        await mine.when(match, lambda view: view.session.frame >= 30)
    before = [await teller.metric("awm_ticks_total", outcome="missed") for teller in tellers]
    broker.freeze()
    await asyncio.sleep(30)
    after = [await teller.metric("awm_ticks_total", outcome="missed") for teller in tellers]
    assert await tellers[0].metric("awm_mqtt_dropped_total") > 1000
    assert await tellers[0].metric("awm_frames_total") > 1500
    for task in playing:
        task.cancel()
    await asyncio.gather(*playing, return_exceptions=True)
    for teller in tellers:
        teller.crank.kill()
    for mine in places:
        await mine.close()
    return after[0] - before[0], after[1] - before[1]
