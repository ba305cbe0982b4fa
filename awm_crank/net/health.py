"""Collects how well the sessions' endpoint works, for readiness and metrics."""

from __future__ import annotations

from .blockhash import BlockhashKeeper
from .lag import StreamLag
from .pubsub import PubSub
from .rpc import RpcClient


class EndpointHealth:
    """Reads the parts of one endpoint's connection.

    Args:
        rpc, pubsub: the endpoint's HTTP and WebSocket clients.
        blockhash, lag: the objects that watch them.
    """

    def __init__(self, rpc: RpcClient, pubsub: PubSub, blockhash: BlockhashKeeper, lag: StreamLag) -> None:
        self._rpc, self._pubsub, self._blockhash, self._lag = rpc, pubsub, blockhash, lag

    def blockhash_age_s(self) -> float:
        """Seconds since the endpoint last gave another blockhash; infinite before the first."""
        return self._blockhash.age_s()

    def stream_lag_s(self) -> float:
        """Seconds that the notifications are behind the endpoint's answers."""
        return self._lag.lag_s

    def failures(self) -> dict[tuple[str, str], int]:
        """How often a request or a connection failed, by side (`http`, `ws`) and kind, such as `overdue`."""
        sides = (("http", self._rpc.failures), ("ws", self._pubsub.failures))
        return {(side, kind): count for side, counts in sides for kind, count in counts.items()}

    def problem(self) -> str:
        """Why no frame can land at the moment; empty if no reason is known."""
        if not self._pubsub.connected:
            return f"not connected to {self._pubsub.url}"
        return self._blockhash.problem or self._lag.problem
