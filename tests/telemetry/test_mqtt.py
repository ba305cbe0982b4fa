"""The MQTT publisher against a real mosquitto."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from telemetry.broker import Broker
from telemetry.observed import landed

from awm_crank.config import MqttConfig
from awm_crank.errors import ConfigError
from awm_crank.session.commands import Landed
from awm_crank.telemetry import mqtt
from awm_crank.telemetry.frames import COMPACT_SIZE
from awm_crank.telemetry.mqtt import Publisher
from awm_crank.telemetry.stats import Gauges

KEY = "So11111111111111111111111111111111111111112"
MS = 1_000_000


def shown(frame: int, at_ms: float = 0) -> Landed:
    """A frame that landed."""
    return landed(frame, bytes(97), bytes([frame % 256]) * 32, True, round(at_ms * MS))


class Ear:
    """A subscriber to everything, with the messages in the order of their arrival."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.messages: list[aiomqtt.Message] = []

    async def listen(self) -> None:
        async for message in self.client.messages:
            self.messages.append(message)

    def on(self, end: str) -> list[bytes]:
        """The payloads of the topics with this ending."""
        return [bytes(message.payload) for message in self.messages if str(message.topic).endswith(end)]

    def events(self) -> list[dict[str, Any]]:
        """Decoded events."""
        return [json.loads(payload) for payload in self.on("/event")]

    def states(self) -> list[str]:
        """The states that the status had, in order."""
        return [json.loads(payload)["state"] for payload in self.on("/status")]


@contextlib.asynccontextmanager
async def ear(broker: Broker, **options: Any) -> AsyncIterator[Ear]:
    """A connected subscriber."""
    async with aiomqtt.Client("localhost", broker.port, **options) as client:
        await client.subscribe("#", qos=2)
        heard = Ear(client)
        task = asyncio.create_task(heard.listen())
        yield heard
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def running(publisher: Publisher) -> AsyncIterator[asyncio.Task[None]]:
    """A running publisher, closed at the end."""
    task = asyncio.create_task(publisher.run())
    yield task
    publisher.close()
    await asyncio.wait_for(task, 10)


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Waits for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.01)


@pytest.fixture
def broker(tmp_path: Path) -> Any:
    """A broker that lets anybody in."""
    with Broker(tmp_path) as made:
        yield made


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_frames_and_events(broker: Broker, qos: int) -> None:
    """Both forms of a frame and an event arrive on the documented topics, with the configured quality."""
    publisher = Publisher(MqttConfig(url=broker.url, qos=qos, topic="arena"), KEY, Gauges())
    async with ear(broker) as heard, running(publisher):
        publisher.frame("S1", shown(7))
        publisher.event("S1", "hit", player=2)
        await until(lambda: len(heard.on("/event")) == 1 and len(heard.on("/frame/json")) == 1)
        topics = {str(message.topic) for message in heard.messages}
        assert {"arena/session/S1/frame", "arena/session/S1/frame/json", "arena/session/S1/event"} <= topics
        assert publisher.status_topic == f"arena/crank/{KEY}/status"
        assert publisher.status_topic in topics
        assert [len(payload) for payload in heard.on("/S1/frame")] == [COMPACT_SIZE]
        assert json.loads(heard.on("/frame/json")[0])["frame"] == 7
        (event,) = heard.events()
        assert (event["event"], event["session"], event["player"]) == ("hit", "S1", 2)
        assert {message.qos for message in heard.messages} == {qos}


async def test_status_is_retained(broker: Broker) -> None:
    """A later subscriber gets the state: online, and offline after an orderly end."""
    gauges = Gauges()
    async with running(Publisher(MqttConfig(url=broker.url), KEY, gauges)):
        await until(lambda: gauges.mqtt_published)
        async with ear(broker) as heard:
            await until(lambda: heard.states() == ["online"])
            assert heard.messages[0].retain
    async with ear(broker) as heard:
        await until(lambda: heard.states() == ["offline"])


async def test_two_cranks_of_one_key(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """During an upgrade two cranks of one key are connected together.

    When the old one has ended, the status is the new one's again.
    """
    monkeypatch.setattr(mqtt, "STATUS_INTERVAL_S", 0.1)
    old, new = (
        Publisher(MqttConfig(url=broker.url), KEY, Gauges()),
        Publisher(MqttConfig(url=broker.url), KEY, Gauges()),
    )
    async with ear(broker) as heard, running(new):
        async with running(old):
            await until(lambda: {json.loads(each)["instance"] for each in heard.on("/status")} == {
                new._instance, old._instance})  # fmt: skip
            count = len(heard.states())
            await until(lambda: len(heard.states()) > count + 10)
            # neither publisher disconnected the other
            assert set(heard.states()) == {"online"}
            # from here on, only the old publisher's message makes the new one publish its status
            monkeypatch.setattr(mqtt, "STATUS_INTERVAL_S", 3600.0)
        await until(lambda: heard.states()[-2:] == ["offline", "online"])


async def test_will(broker: Broker) -> None:
    """A connection that breaks without a goodbye leaves the state `lost`."""
    async with _Cut(broker.port) as proxy:
        publisher = Publisher(MqttConfig(url=f"mqtt://127.0.0.1:{proxy.port}"), KEY, Gauges())
        async with ear(broker) as heard, running(publisher):
            await until(lambda: heard.states() == ["online"])
            proxy.cut()
            await until(lambda: heard.states()[:2] == ["online", "lost"])


class _Cut:
    """A TCP relay that can break its connections."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def __aenter__(self) -> _Cut:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self._server.close()

    def cut(self) -> None:
        """Breaks all connections."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, there]
        await asyncio.gather(_pump(reader, there), _pump(there_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.transport.abort()


@pytest.mark.parametrize(("rate", "expected"), [(0, 120), (10, 20), (60, 120), (1, 2)])
def test_rate_limit(rate: int, expected: int) -> None:
    """In two seconds at 60 fps each session publishes no more than its own rate, evenly spaced."""
    publisher = Publisher(MqttConfig(url="mqtt://localhost", frames_per_s=rate, json=False), KEY, Gauges())
    for tick in range(120):
        # a tick's frame lands slightly late, each time by a different amount
        at = tick * 1000 / 60 + tick % 3
        publisher.frame("one", shown(tick, at + 1e6))
        publisher.frame("two", shown(tick, at + 1e6))
    assert expected * 2 * 0.95 <= publisher.depth <= expected * 2


@pytest.mark.parametrize(("compact", "json_too", "count"), [(True, True, 2), (True, False, 1), (False, False, 0)])
def test_forms(compact: bool, json_too: bool, count: int) -> None:
    """Only the configured forms are published."""
    publisher = Publisher(MqttConfig(url="mqtt://localhost", compact=compact, json=json_too), KEY, Gauges())
    publisher.frame("one", shown(1))
    assert publisher.depth == count


def test_queues_are_bounded() -> None:
    """Without a broker the oldest messages are dropped and counted, and frames displace no event."""
    gauges = Gauges()
    publisher = Publisher(MqttConfig(url="mqtt://localhost", queue=16, frames_per_s=0, json=False), KEY, gauges)
    publisher.event("one", "created")
    for frame in range(100):
        publisher.frame("one", shown(frame, frame))
    assert publisher.depth == 17
    assert gauges.mqtt_dropped == 84


async def test_broker_comes_late_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that wait while the broker is not running are sent when it starts, and also after a restart of the
    broker.
    """
    monkeypatch.setattr(mqtt, "BACKOFF_S", (0.05, 0.2))
    monkeypatch.setattr(mqtt, "STATUS_INTERVAL_S", 0.1)
    broker = Broker(tmp_path)
    gauges = Gauges()
    publisher = Publisher(MqttConfig(url=broker.url, qos=1), KEY, gauges)
    try:
        async with running(publisher):
            publisher.event("one", "created")
            await asyncio.sleep(0.2)
            assert not gauges.mqtt_connected
            broker.start()
            await until(lambda: gauges.mqtt_connected and not publisher.depth)
            broker.stop()
            await until(lambda: not gauges.mqtt_connected)
            publisher.event("one", "joined")
            broker.start()
            async with ear(broker) as heard:
                publisher.event("one", "ended")
                await until(lambda: [event["event"] for event in heard.events()][-1:] == ["ended"])
    finally:
        broker.stop()


async def test_frozen_broker_blocks_nothing(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the broker is stopped the loop is not delayed and the queue stays bounded; then messages arrive again."""
    monkeypatch.setattr(mqtt, "_ANSWER_S", 0.5)
    monkeypatch.setattr(mqtt, "BACKOFF_S", (0.05, 0.2))
    gauges = Gauges()
    publisher = Publisher(MqttConfig(url=broker.url, qos=1, queue=16, frames_per_s=0), KEY, gauges)
    async with running(publisher):
        await until(lambda: gauges.mqtt_connected)
        broker.freeze()
        lags = []
        for frame in range(250):
            publisher.frame("one", shown(frame, frame))
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            lags.append(time.perf_counter() - began)
            assert publisher.depth <= 16
        assert sorted(lags)[len(lags) * 9 // 10] < 0.1
        assert gauges.mqtt_dropped > 100
        broker.thaw()
        async with ear(broker) as heard:
            publisher.event("one", "ended")
            await until(heard.events)


async def test_password_and_tls(tmp_path: Path) -> None:
    """With the right password and authority messages arrive; with wrong ones the publisher keeps trying quietly."""
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    wrong = tmp_path / "wrong"
    wrong.write_text("other\n")
    with Broker(tmp_path, user=("crank", "s3cret"), tls=True) as broker:
        good = MqttConfig(url=broker.url, username="crank", password_file=str(secret), ca_file=str(broker.ca))
        gauges = Gauges()
        async with running(Publisher(good, KEY, gauges)):
            await until(lambda: gauges.mqtt_published)
        strangers = [
            MqttConfig(url=broker.url, username="crank", password_file=str(wrong), ca_file=str(broker.ca)),
            # the system's authorities do not include this one
            MqttConfig(url=broker.url, username="crank", password_file=str(secret)),
        ]
        for settings in strangers:
            gauges = Gauges()
            task = asyncio.create_task(Publisher(settings, KEY, gauges).run())
            await asyncio.sleep(0.5)
            assert not task.done()
            assert gauges.mqtt_published == 0
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("setting", ["password_file", "ca_file", "cert_file"])
def test_files_that_cannot_be_used(tmp_path: Path, setting: str) -> None:
    """A missing or malformed file raises an error at the start that names the setting."""
    with pytest.raises(ConfigError, match=setting):
        files: dict[str, Any] = {setting: str(tmp_path / "none")}
        Publisher(MqttConfig(url="mqtts://localhost", **files), KEY, Gauges())


async def test_close_without_a_broker() -> None:
    """Closing does not wait for a broker that is not there."""
    publisher = Publisher(MqttConfig(url="mqtt://127.0.0.1:1"), KEY, Gauges())
    task = asyncio.create_task(publisher.run())
    await asyncio.sleep(0.05)
    publisher.close()
    await asyncio.wait_for(task, 0.4)
