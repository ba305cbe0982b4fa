"""Tells whether sessions can be served: watches the World program, subscriptions, blockhash, stream and base chain."""

from __future__ import annotations

import asyncio
import time

from ..errors import AwmError, RpcError
from ..net.health import EndpointHealth
from ..net.pubsub import PubSub
from ..net.rpc import RpcClient
from ..wire import jsonrpc
from .chains import Chains
from .discovery import Discovery
from .patience import hedged
from .worlds import WorldWatch

_BASE_EVERY_S = 2.0
_BASE_PATIENCE_S = 6.0
"""How long the base chain may fail before it counts. Sessions that are being served need it for nothing."""
_NO_SUCH_METHOD = -32601


class Readiness:
    """Says why no session can be served.

    Args:
        rollup, base: the endpoints. They are the same object if there is only one chain.
    """

    def __init__(
        self, chains: Chains, world: WorldWatch, pubsub: PubSub, discovery: Discovery, endpoint: EndpointHealth,
        rollup: RpcClient, base: RpcClient,
    ) -> None:  # fmt: skip
        self._chains, self._world, self._pubsub = chains, world, pubsub
        self._discovery, self._endpoint = discovery, endpoint
        self._rollup, self._base = rollup, base
        self._base_failing_since: float | None = None
        self._base_problem = ""

    def problem(self) -> str:
        """Why no session can be served at the moment. Empty when sessions can be served."""
        if self._world.problem:
            return self._world.problem
        if not self._world.checked.is_set():
            return f"no World seen yet at {self._base.url}"
        if not self._pubsub.connected:
            return f"not connected to {self._pubsub.url}"
        if self._chains.problem:
            return self._chains.problem
        if not self._discovery.confirmed:
            return f"not subscribed at {self._pubsub.url}"
        if not self._discovery.read.is_set():
            why = self._discovery.problem
            return f"the sessions have not been read from {self._rollup.url} yet{f': {why}' if why else ''}"
        if problem := self._endpoint.problem():
            return problem
        since = self._base_failing_since
        if since is not None and time.monotonic() - since > _BASE_PATIENCE_S:
            return self._base_problem
        return ""

    async def watch_base(self) -> None:
        """Asks the base chain for its health, without end. Returns at once if there is no rollup."""
        while self._base.url != self._rollup.url:
            try:
                await hedged(self._ask_base, "getHealth", total_s=_BASE_PATIENCE_S)
                self._base_failing_since = None
            except AwmError as error:
                if not (isinstance(error, RpcError) and error.code == _NO_SUCH_METHOD):
                    self._base_failing_since = self._base_failing_since or time.monotonic()
                    self._base_problem = f"the base chain fails: {error}"
            await asyncio.sleep(_BASE_EVERY_S)

    async def _ask_base(self) -> None:
        await self._base.ask(jsonrpc.Request("getHealth", (), str), patience_s=0, deadline_s=_BASE_PATIENCE_S)
