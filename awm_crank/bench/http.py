"""What a request costs its client: our HTTP/1.1 client and aiohttp's, in turns, with the server in another process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable

import aiohttp

from awm_crank.bench.report import Comparison
from awm_crank.localnet.rig import EmbeddedLocalnet
from awm_crank.net import loop
from awm_crank.net.rpc import RpcClient

ROUNDS = 5
_BODY = b'{"jsonrpc":"2.0","id":1,"method":"getHealth"}'.ljust(1200)
"""A request as long as a frame's."""
_WARM = 20


def measure(seconds: float) -> list[Comparison]:
    """CPU time per request, in µs."""
    ours, theirs = loop.run(_both(seconds))
    return [
        Comparison(
            name="send a request, client's CPU",
            unit="µs",
            ours=ours,
            ours_how="1,200 bytes out and an answer back over a warm connection: awm_crank/net/http.py (httptools)",
            other=theirs,
            other_how="aiohttp's ClientSession, warm too",
        )
    ]


async def _both(seconds: float) -> tuple[float, float]:
    """The median of several rounds for each client, in µs."""
    found: tuple[list[float], list[float]] = ([], [])
    headers = {"Content-Type": "application/json"}
    with EmbeddedLocalnet("--bare") as net:
        async with RpcClient(net.http) as rpc, aiohttp.ClientSession(headers=headers) as session:

            async def theirs() -> bytes:
                async with session.post(net.http, data=_BODY) as response:
                    return await response.read()

            ways: tuple[Callable[[], Awaitable[bytes]], ...] = (lambda: rpc.post(_BODY), theirs)
            if await ways[0]() != await ways[1]():
                raise AssertionError("the two ways do not get the same answer")
            for _ in range(ROUNDS):
                for times, way in zip(found, ways, strict=True):
                    times.append(await _cpu_us(way, seconds / ROUNDS / 2))
    return statistics.median(found[0]), statistics.median(found[1])


async def _cpu_us(way: Callable[[], Awaitable[bytes]], seconds: float) -> float:
    for _ in range(_WARM):
        await way()
    count, end, before = 0, time.monotonic() + seconds, time.process_time()
    while count == 0 or time.monotonic() < end:
        await way()
        count += 1
    return (time.process_time() - before) / count * 1e6
