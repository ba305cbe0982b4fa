"""The hub publishes the crank's health, counters, frames and events."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from telemetry.broker import Broker
from telemetry.observed import Crank, Machine, landed
from telemetry.test_mqtt import ear, until

from awm_crank.config import Config, MqttConfig, TelemetryConfig
from awm_crank.errors import RpcError
from awm_crank.session.commands import Landed
from awm_crank.telemetry.hub import MONITOR_INTERVAL_S, Hub
from awm_crank.wire.accounts import PlayerState

LISTENING = Config(telemetry=TelemetryConfig(listen="127.0.0.1:0"))


async def no_balance() -> int:
    """An endpoint that does not answer."""
    raise RpcError("no answer")


@contextlib.asynccontextmanager
async def running(hub: Hub) -> AsyncIterator[Hub]:
    """An open hub with its jobs running."""
    await hub.open()
    jobs = [asyncio.create_task(job) for job in hub.jobs()]
    yield hub
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    await hub.close()


async def ask(hub: Hub, path: str) -> tuple[int, str]:
    """Returns the endpoint's answer."""
    assert hub._endpoint is not None
    url = f"http://127.0.0.1:{hub._endpoint.port}/{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


class Manager:
    """A service manager's socket."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "10000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)

    def heard(self) -> list[str]:
        """The messages since the last call."""
        lines = []
        with contextlib.suppress(BlockingIOError):
            while True:
                lines += self._socket.recv(4096).decode().splitlines()
        return lines


async def answers(hub: Hub, healthz: int, readyz: int) -> None:
    """Waits for these two answers."""
    deadline = time.monotonic() + 10
    while (found := [(await ask(hub, path))[0] for path in ("healthz", "readyz")]) != [healthz, readyz]:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)


async def test_health_and_readiness() -> None:
    """A frame that is due for a second clears only health, and a lost endpoint only readiness; both come back."""
    machine = Machine()
    crank = Crank(machine)
    async with running(Hub(LISTENING, "key", crank, no_balance)) as hub:
        await answers(hub, 200, 200)
        crank.why = "not connected"
        await asyncio.sleep(1.6)
        await answers(hub, 200, 503)
        assert "awm_ready 0.0" in (await ask(hub, "metrics"))[1]
        crank.why, machine.due_frame = "", 5
        await answers(hub, 503, 200)
        assert "frame 5" in (await ask(hub, "healthz"))[1]
        await asyncio.sleep(MONITOR_INTERVAL_S + 0.1)
        assert "awm_healthy 0.0" in (await ask(hub, "metrics"))[1]
        machine.due_frame = 6
        await answers(hub, 200, 200)


async def test_watchdog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub asks for more time until the crank serves, and then feeds the watchdog while the crank is healthy.

    The endpoint does not matter.
    """
    manager = Manager(tmp_path / "notify", monkeypatch)
    machine = Machine()
    crank = Crank(machine)
    crank.why = "not connected"
    async with running(Hub(Config(), "key", crank, no_balance)) as hub:
        heard: list[str] = []

        def extended() -> bool:
            heard.extend(manager.heard())
            return "EXTEND_TIMEOUT_USEC=10000000" in heard

        await until(extended)
        assert not {"READY=1", "WATCHDOG=1"} & set(heard)
        hub.ready()
        assert "READY=1" in manager.heard()
        await until(lambda: "WATCHDOG=1" in manager.heard())
        machine.due_frame = 9
        await until(hub.unhealthy)
        await asyncio.sleep(2 * MONITOR_INTERVAL_S)
        manager.heard()
        await asyncio.sleep(3 * MONITOR_INTERVAL_S)
        assert "WATCHDOG=1" not in manager.heard()
        hub.stopping()
        assert "STOPPING=1" in manager.heard()


async def test_balance_and_lag() -> None:
    """The hub asks for the balance, and measures the loop's lag."""

    async def balance() -> int:
        return 123

    crank = Crank()
    async with running(Hub(LISTENING, "key", crank, balance)) as hub:
        await asyncio.sleep(0.6)
        text = (await ask(hub, "metrics"))[1]
    assert "awm_balance_lamports 123.0" in text
    assert crank.stats.loop_lag.count >= 2


def fought(frame: int, percent: int, stocks: int = 4, before: tuple[int, int] = (0, 4)) -> Landed:
    """A frame in which player 2 has these values."""

    def block(percent: int, stocks: int) -> bytes:
        return PlayerState(stocks=4).encode() + PlayerState(percent=percent, stocks=stocks).encode() + bytes(33)

    return landed(frame, block(percent, stocks), landed_at=frame * 10**9, before=block(*before))


async def test_a_match_as_events(tmp_path: Path) -> None:
    """Created, joined, hit, KO, resync, resumed and ended are published once each, in order, with their frames."""
    with Broker(tmp_path) as broker:
        settings = Config(mqtt=MqttConfig(url=broker.url, qos=1))
        async with ear(broker) as heard, running(Hub(settings, "key", Crank(), no_balance)) as hub:
            hub.logged("S", "ready", {"waiting_for": "player 2"})
            hub.logged("S", "serving", {"frame": 0})
            hub.landed("S", fought(1, 0))
            hub.landed("S", fought(2, 12))
            hub.landed("S", fought(3, 0, 3, (12, 4)))
            hub.logged("S", "resync", {"why": "lost"})
            hub.logged("S", "serving", {"frame": 3})
            hub.released("S", 4, "ended")
            await until(lambda: len(heard.events()) == 7)
            await until(lambda: len(heard.on("/frame")) == 3)
        found = [(event["event"], event.get("frame")) for event in heard.events()]
    assert found == [
        ("created", None), ("joined", 0), ("hit", 2), ("ko", 3), ("resync", None), ("resumed", 3), ("ended", 4),
    ]  # fmt: skip
    hit, ko = heard.events()[2:4]
    assert (hit["player"], hit["percent"], hit["damage"]) == (2, 12, 12)
    assert (ko["player"], ko["stocks"]) == (2, 3)


async def test_found_already_joined(tmp_path: Path) -> None:
    """A session found after player 2 joined is also reported as created; one found in mid-match only as resumed."""
    with Broker(tmp_path) as broker:
        settings = Config(mqtt=MqttConfig(url=broker.url))
        async with ear(broker) as heard, running(Hub(settings, "key", Crank(), no_balance)) as hub:
            hub.logged("S", "serving", {"frame": 0})
            hub.logged("T", "serving", {"frame": 70})
            hub.released("T", 80, "another process writes this session now")
            hub.released("never served", 0, "ended")
            await until(lambda: len(heard.events()) == 4)
            await asyncio.sleep(0.1)
        found = [(event["session"], event["event"]) for event in heard.events()]
    assert found == [("S", "created"), ("S", "joined"), ("T", "resumed"), ("T", "released")]


async def test_nothing_configured_costs_nothing() -> None:
    """Without an address and a broker, nothing listens, nothing is queued, and no library for them is loaded."""
    code = (
        "import sys; from awm_crank.config import Config; from awm_crank.telemetry.hub import Hub; "
        "hub = Hub(Config(), 'key', None, None); hub.logged('S', 'serving', {'frame': 0}); assert hub.queues() == {}; "
        "print([name for name in ('aiomqtt', 'prometheus_client', 'aiohttp') if name in sys.modules])"
    )
    process = await asyncio.create_subprocess_exec(
        __import__("sys").executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    assert json.loads((await process.communicate())[0]) == []


async def test_sessions_kept_out() -> None:
    """A session that late frames keep out makes the crank not ready; one that a configured limit keeps out does not."""
    crank = Crank()
    crank.out = ["session X: waits for room: why"]
    hub = Hub(Config(), "KEY", crank, no_balance)
    assert hub.unready() == crank.out
    crank.limited = True
    assert hub.unready() == []
    crank.why = "not connected"
    assert hub.unready() == ["not connected", *crank.out]
