"""The latest blockhash of an endpoint, fetched again and again in the background."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable

from ..errors import RpcError
from ..wire import jsonrpc
from .rpc import RpcClient

REFRESH_S = 0.5
"""Blockhashes live for a minute at least on a chain of 400 ms slots, but only for 150 slots where slots are short."""
FROZEN_S = 3.0
"""A blockhash changes with every slot. One that has not changed for so long comes from a node that has stopped."""
_AGAIN_S = 0.2


class BlockhashKeeper:
    """Keeps `value` (32 bytes, empty before the first) fresh while `keep_fresh` runs.

    Args:
        rpc: the endpoint.
        refresh_s: the pause between two fetches.
    """

    def __init__(self, rpc: RpcClient, *, refresh_s: float = REFRESH_S) -> None:
        self._rpc = rpc
        self._refresh_s = refresh_s
        self.value = b""
        self.known = asyncio.Event()
        """Set once there is a first one."""
        self._fetched_at = -math.inf
        self._changed_at = -math.inf
        self._hurry = asyncio.Event()

    def expired(self) -> None:
        """The endpoint does not know it any more: fetch another one now, unless that has just been done."""
        if time.monotonic() - self._fetched_at > 0.05:
            self._hurry.set()

    def age_s(self) -> float:
        """Seconds since a fetch last brought another blockhash; infinite before the first.

        A node that has stopped answers quickly with the same blockhash for ever, so the time of the last answer
        proves nothing.
        """
        return time.monotonic() - self._changed_at

    @property
    def problem(self) -> str:
        """What is wrong, for readiness; empty when nothing is."""
        if self.frozen:
            return f"the blockhash of {self._rpc.url} does not change: the node has stopped"
        return f"no fresh blockhash from {self._rpc.url}" if self.age_s() > FROZEN_S else ""

    @property
    def frozen(self) -> bool:
        """The endpoint answers, but with the same blockhash for longer than any chain keeps one."""
        answers = time.monotonic() - self._fetched_at < FROZEN_S
        return answers and self.value != b"" and self.age_s() > FROZEN_S

    async def first(self) -> None:
        """Fetches it, with the client's patience. Raises RpcError."""
        self._take((await self._rpc.ask(jsonrpc.get_latest_blockhash())).value.raw)

    async def refresh(self) -> None:
        """Fetches it once. Raises RpcError."""
        self._take((await self._rpc.ask(jsonrpc.get_latest_blockhash(), patience_s=0)).value.raw)

    def _take(self, found: bytes) -> None:
        self._fetched_at = time.monotonic()
        if found != self.value:
            self.value, self._changed_at = found, self._fetched_at
        self.known.set()
        if self.frozen:
            # Another connection may lead to another node behind the same address.
            self._rpc.drop_idle()

    async def keep_fresh(self) -> None:
        """Fetches it until cancelled."""
        while True:
            try:
                await self.refresh()
                pause = self._refresh_s
            except RpcError:
                # What is sent meanwhile with the old one is refused and tried again.
                pause = _AGAIN_S
            self._hurry.clear()
            await _at_most(self._hurry.wait(), pause)


async def _at_most(waiting: Awaitable[object], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return
