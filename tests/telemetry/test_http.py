"""The crank's own HTTP server."""

from __future__ import annotations

import json

import aiohttp
import pytest

from awm_crank.errors import ConfigError
from awm_crank.telemetry.http import TelemetryServer


async def get(url: str) -> tuple[int, str, bytes]:
    """Status, content type and body."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, answer.headers["Content-Type"], await answer.read()


async def test_paths() -> None:
    """Metrics are served as they are.

    Health and readiness give 200 without problems and 503 with them, each its own.
    """
    problems: list[str] = []
    endpoint = TelemetryServer(
        "127.0.0.1:0", metrics=lambda: b"up 1\n", unhealthy=lambda: problems, unready=lambda: ["no RPC"]
    )
    await endpoint.open()
    base = f"http://127.0.0.1:{endpoint.port}"
    status, kind, body = await get(f"{base}/metrics")
    assert (status, body) == (200, b"up 1\n")
    assert kind.startswith("text/plain; version=0.0.4")
    assert (await get(f"{base}/healthz"))[0] == 200
    problems.append("frame 5")
    status, _, body = await get(f"{base}/healthz")
    assert (status, json.loads(body)) == (503, {"ok": False, "problems": ["frame 5"]})
    status, _, body = await get(f"{base}/readyz")
    assert (status, json.loads(body)["problems"]) == (503, ["no RPC"])
    assert (await get(f"{base}/other"))[0] == 404
    await endpoint.close()
    with pytest.raises(aiohttp.ClientConnectionError):
        await get(f"{base}/healthz")


async def test_address_taken() -> None:
    """An address that cannot be used raises an error that names the setting."""
    first = TelemetryServer("127.0.0.1:0", metrics=lambda: b"", unhealthy=list, unready=list)
    await first.open()
    second = TelemetryServer(f"127.0.0.1:{first.port}", metrics=lambda: b"", unhealthy=list, unready=list)
    with pytest.raises(ConfigError, match=r"telemetry\.listen"):
        await second.open()
    await first.close()
