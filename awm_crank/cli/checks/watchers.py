"""Checks of the services that people and other programs watch: telemetry, the live view, the MQTT broker."""

from __future__ import annotations

import asyncio

import aiohttp

from ... import config
from ...endpoint import Endpoint
from ...errors import AwmError, ConfigError
from .finding import WAIT_S, Finding, from_error


async def _asked(listen: str, path: str) -> tuple[int, str]:
    """The status and body of the answer from `host:port`; status 0 if nothing answers."""
    url = f"http://{listen.replace('0.0.0.0', '127.0.0.1')}/{path}"
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WAIT_S)) as http, http.get(url) as answer:
            return answer.status, await answer.text()
    except (aiohttp.ClientError, TimeoutError, OSError):
        return 0, ""


async def _taken(host: str, port: int) -> str:
    """Why no server can listen at this address; empty if one can."""
    try:
        server = await asyncio.start_server(lambda *_: None, host, port)
    except (OSError, OverflowError) as error:
        return str(error)
    server.close()
    return ""


async def telemetry(settings: config.Config) -> Finding:
    listen = settings.telemetry.listen
    if not listen:
        return Finding("telemetry", "ok", "off (telemetry.listen is empty)")
    status, answer = await _asked(listen, "readyz")
    if status:
        text = f"a crank answers at {listen}: {answer[:200]}"
        return Finding("telemetry", "ok" if status == 200 else "warn", text, "" if status == 200 else "read its log")
    host, _, port = listen.rpartition(":")
    if problem := await _taken(host.strip("[]"), int(port)):
        fix = "choose another telemetry.listen, or free that port"
        return Finding("telemetry", "wrong", f"{listen}: {problem}", fix)
    return Finding("telemetry", "ok", f"{listen} is free")


async def view(settings: config.Config) -> Finding:
    view = settings.view
    if not view.enabled:
        return Finding("view", "ok", "off (view.enabled is false)")
    try:
        rpc, _ = settings.view_endpoints()
    except ConfigError as error:
        return from_error("view", error)
    text = f"{view.host}, ports {view.page_port} and {view.feed_port}; browsers use {Endpoint.parse(rpc)}"
    if (await _asked(f"{view.host}:{view.page_port}", "contract.json"))[0] == 200:
        text = f"a page answers at {text}"
    else:
        for port in (view.page_port, view.feed_port):
            if problem := await _taken(view.host, port):
                # the crank serves sessions without the broker
                return Finding("view", "warn", problem, "choose other ports under [view], or free that one")
    if view.host not in ("localhost", "::1") and not view.host.startswith("127."):
        return Finding("view", "warn", f"{text}; anyone who reaches it can watch", "protect it, or leave view.host out")
    return Finding("view", "ok", text)


async def broker(settings: config.Config) -> Finding:
    if not settings.mqtt.url:
        return Finding("mqtt", "ok", "off (mqtt.url is empty)")
    from ...telemetry.mqtt import probe

    try:
        async with asyncio.timeout(2 * WAIT_S):
            await probe(settings.mqtt)
    except AwmError as error:
        return from_error("mqtt", error, error.hint or "start the broker, or correct the settings under [mqtt]")
    except TimeoutError:
        return Finding("mqtt", "wrong", f"{settings.mqtt.url}: no answer", "read the broker's log")
    return Finding("mqtt", "ok", settings.mqtt.url)
