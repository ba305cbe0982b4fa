"""Keeps the latest blockhash of an endpoint: fetches it again and again in the background."""

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
    """Keeps `value` fresh while `keep_fresh` runs. `value` has 32 bytes, or is empty before the first fetch.

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
        """Notes that the endpoint no longer knows the blockhash. Fetches another one now, unless that has just been
        done.
        """
        if time.monotonic() - self._fetched_at > 0.05:
            self._hurry.set()

    def age_s(self) -> float:
        """Seconds since a fetch last brought a new blockhash; infinite before the first fetch.

        A node that has stopped processing blocks still answers quickly, always with the same blockhash. So the time of
        the last answer proves nothing.
        """
        return time.monotonic() - self._changed_at

    @property
    def problem(self) -> str:
        """Why the blockhash cannot be used, for readiness; empty if it can."""
        if self.frozen:
            return f"the blockhash of {self._rpc.url} does not change: the node has stopped"
        return f"no fresh blockhash from {self._rpc.url}" if self.age_s() > FROZEN_S else ""

    @property
    def frozen(self) -> bool:
        """Whether the endpoint answers, but with the same blockhash for longer than any chain keeps one."""
        answers = time.monotonic() - self._fetched_at < FROZEN_S
        return answers and self.value != b"" and self.age_s() > FROZEN_S

    async def first(self) -> None:
        """Fetches the blockhash; retries as long as the client's settings allow. Raises RpcError."""
        self._take((await self._rpc.ask(jsonrpc.get_latest_blockhash())).value.raw)

    async def refresh(self) -> None:
        """Fetches the blockhash once. Raises RpcError."""
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
        """Fetches the blockhash again and again until cancelled."""
        while True:
            try:
                await self.refresh()
                pause = self._refresh_s
            except RpcError:
                # Transactions that are sent with the old blockhash in the meantime are refused and tried again.
                pause = _AGAIN_S
            self._hurry.clear()
            await _at_most(self._hurry.wait(), pause)


async def _at_most(waiting: Awaitable[object], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return
