"""Publishes frames and events to an MQTT broker, and never delays a frame. docs/telemetry.md has topics and payloads.

The daemon passes messages on without awaiting. They wait in two bounded queues; when one is full, its oldest message is
dropped and counted. A slow, stopped or missing broker costs messages and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections import deque
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiomqtt
import msgspec

from .. import config
from ..endpoint import redact
from ..errors import ConfigError
from ..session.commands import Landed
from . import logs
from .frames import compact, readable
from .stats import Gauges

STATUS_INTERVAL_S = 10.0
BACKOFF_S = (0.5, 15.0)
_ANSWER_S = 5.0
_GOODBYE_S = 2.0
# aiomqtt logs warnings of its own; what matters is logged here.
_QUIET = logging.Logger("aiomqtt", logging.CRITICAL)


class _Message(NamedTuple):
    topic: str
    content: Landed | dict[str, Any]
    form: str


class Publisher:
    """Publishes for one crank while `run` runs.

    Args:
        settings: `mqtt` of the configuration; `url` must be set.
        key: the crank's public key, part of the status topic.
        gauges: count the connection, published and dropped messages.

    Raises:
        ConfigError: a file that the settings name cannot be used.
    """

    def __init__(self, settings: config.MqttConfig, key: str, gauges: Gauges) -> None:
        self._settings = settings
        self._key = key
        self._gauges = gauges
        gauges.mqtt_connected = False
        self._log = logs.get().bind(broker=redact(settings.url))
        self._events: deque[_Message] = deque()
        self._frames: deque[_Message] = deque()
        self._wake = asyncio.Event()
        self._next_frame: dict[str, int] = {}
        """The earliest time (ns) of a session's next frame."""
        self._interval_ns = 1_000_000_000 // settings.frames_per_s if settings.frames_per_s else 0
        self._password, self._tls = _secrets(settings)
        self._closing = asyncio.Event()
        self._status_at = 0.0
        """When the status is published next (the clock of `time.monotonic`)."""
        self.sessions = 0
        """How many sessions are served: a part of the status."""
        self._instance = token_hex(4)
        """Distinguishes this process from another crank of the same key, such as during an upgrade."""

    def topic(self, *parts: str) -> str:
        """A topic under the configured prefix."""
        return "/".join((self._settings.topic, *parts))

    @property
    def status_topic(self) -> str:
        """The topic of the retained status."""
        return self.topic("crank", self._key, "status")

    @property
    def depth(self) -> int:
        """How many messages wait."""
        return len(self._events) + len(self._frames)

    # -- what the daemon hands over; nothing here awaits --------------------------------------------------------------

    def frame(self, session: str, frame: Landed) -> None:
        """Publishes a landed frame, unless one of this session was published within the configured interval."""
        now, interval = frame.landed_at, self._interval_ns
        due = self._next_frame.get(session, now)
        if now < due:
            return
        # The interval starts when the frame was due, not now: frames come at ticks, and a late one must not delay
        # others.
        self._next_frame[session] = (due if now - due < interval else now) + interval
        if self._settings.compact:
            self._put(self._frames, _Message(self.topic("session", session, "frame"), frame, "compact"))
        if self._settings.json:
            self._put(self._frames, _Message(self.topic("session", session, "frame", "json"), frame, "json"))

    def event(self, session: str, kind: str, **fields: Any) -> None:
        """Something happened in a session."""
        shown = {name: redact(value) if isinstance(value, str) else value for name, value in fields.items()}
        content = {"event": kind, "session": session, "at": time.time(), **shown}
        self._put(self._events, _Message(self.topic("session", session, "event"), content, "event"))
        if kind == "ended":
            self._next_frame.pop(session, None)

    def _put(self, queue: deque[_Message], message: _Message) -> None:
        if len(queue) >= self._settings.queue:
            queue.popleft()
            self._gauges.mqtt_dropped += 1
        queue.append(message)
        self._wake.set()

    # -- the connection -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connects, publishes, and connects again, until `close`."""
        first, longest = BACKOFF_S
        pause, logged = first, False
        while not self._closing.is_set():
            published = self._gauges.mqtt_published
            try:
                await self._converse()
            except (aiomqtt.MqttError, OSError) as error:
                if not logged or self._gauges.mqtt_connected:
                    self._log.warning("no MQTT broker", problem=str(error) or type(error).__name__)
                logged = True
            if self._gauges.mqtt_published != published:
                pause, logged = first, False
            self._gauges.mqtt_connected = False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._closing.wait()
            pause = min(pause * 2, longest)

    def close(self) -> None:
        """Has `run` publish what waits, publish the status "offline" and end, as far as the broker lets it."""
        self._closing.set()
        self._wake.set()

    async def _converse(self) -> None:
        will = aiomqtt.Will(self.status_topic, self._status("lost"), qos=self._settings.qos, retain=True)
        # A broker closes the older of two connections with one id, and both would connect again for ever. MQTT 3.1.1
        # promises room for 23 characters.
        identifier = f"awm-{self._key[:10]}-{self._instance}"
        async with _client(self._settings, self._password, self._tls, will=will, identifier=identifier) as client:
            self._gauges.mqtt_connected = True
            self._log.info("MQTT broker connected")
            guarding = asyncio.create_task(self._guard(client))
            try:
                await self._serve(client)
            finally:
                guarding.cancel()
            async with asyncio.timeout(_GOODBYE_S):
                while (message := self._take()) is not None:
                    await self._deliver(client, message)
                await self._publish(client, self.status_topic, self._status("offline"), retain=True)

    async def _serve(self, client: aiomqtt.Client) -> None:
        """Publishes what comes, and the status every few seconds, until `close`."""
        self._status_at = 0.0
        while not self._closing.is_set():
            if time.monotonic() >= self._status_at:
                # proves the connection, also while nothing else is published
                self._status_at = time.monotonic() + STATUS_INTERVAL_S
                await self._publish(client, self.status_topic, self._status("online"), retain=True)
            message = self._take()
            if message is None:
                await self._rest()
            else:
                await self._deliver(client, message)

    async def _guard(self, client: aiomqtt.Client) -> None:
        """Has the status published at once when another crank of this key says that it is offline, after an upgrade.

        A broker may forbid to read the topic; then the status comes with the next interval.
        """
        with contextlib.suppress(aiomqtt.MqttError):
            await client.subscribe(self.status_topic, qos=self._settings.qos)
            async for message in client.messages:
                said = message.payload
                if isinstance(said, bytes) and b'"online"' not in said and self._instance.encode() not in said:
                    self._status_at = 0.0
                    self._wake.set()

    def _take(self) -> _Message | None:
        queue = self._events or self._frames
        return queue.popleft() if queue else None

    async def _rest(self) -> None:
        """Until there is something to publish."""
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._status_at - time.monotonic())):
                await self._wake.wait()

    async def _deliver(self, client: aiomqtt.Client, message: _Message) -> None:
        try:
            await self._publish(client, message.topic, _payload(message))
        except BaseException:
            if message.form == "event" and len(self._events) < self._settings.queue:
                # Published again over the next connection: twice is better than never.
                self._events.appendleft(message)
            else:
                self._gauges.mqtt_dropped += 1
            raise

    async def _publish(self, client: aiomqtt.Client, topic: str, payload: bytes, *, retain: bool = False) -> None:
        await client.publish(topic, payload, qos=self._settings.qos, retain=retain)
        self._gauges.mqtt_published += 1

    def _status(self, state: str) -> bytes:
        return msgspec.json.encode(
            {
                "state": state, "crank": self._key, "instance": self._instance, "sessions": self.sessions,
                "at": time.time(),
            }
        )  # fmt: skip


async def probe(settings: config.MqttConfig) -> None:
    """Connects once and disconnects.

    Raises:
        ConfigError: a file that the settings name cannot be used, or the broker cannot be reached or refuses.
    """
    try:
        async with _client(settings, *_secrets(settings)):
            pass
    except (aiomqtt.MqttError, OSError) as error:
        raise ConfigError(f"mqtt.url {redact(settings.url)}: {error}") from None


def _client(
    settings: config.MqttConfig, password: str | None, tls: ssl.SSLContext | None, **options: Any
) -> aiomqtt.Client:
    address = urlsplit(settings.url)
    return aiomqtt.Client(
        address.hostname or "", address.port or (8883 if tls else 1883), username=settings.username or None,
        password=password, tls_context=tls, timeout=_ANSWER_S, keepalive=15, logger=_QUIET, **options,
    )  # fmt: skip


def _secrets(settings: config.MqttConfig) -> tuple[str | None, ssl.SSLContext | None]:
    password = _first_line(settings.password_file) if settings.password_file else None
    return password, _tls(settings) if settings.url.startswith("mqtts:") else None


def _payload(message: _Message) -> bytes:
    content = message.content
    if isinstance(content, Landed):
        return compact(content) if message.form == "compact" else readable(content)
    return msgspec.json.encode(content)


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text("utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"mqtt.password_file {path} cannot be read: {reason}", hint="check path and mode") from None


def _tls(settings: config.MqttConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"mqtt.ca_file or mqtt.cert_file cannot be used: {error}",
            hint="use PEM files; the key belongs into the certificate's file",
        ) from None
    return context
