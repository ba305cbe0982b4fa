"""An endpoint's health is reported in words and in numbers."""

from __future__ import annotations

from awm_crank.net.blockhash import BlockhashKeeper
from awm_crank.net.health import EndpointHealth
from awm_crank.net.lag import StreamLag
from awm_crank.net.pubsub import PubSub
from awm_crank.net.rpc import RpcClient


def test_problems_and_numbers() -> None:
    """The connection is named first, then the blockhash, then the lag; failures are counted by side and kind."""
    rpc, pubsub = RpcClient("http://here"), PubSub("ws://here", lambda _: None)
    blockhash = BlockhashKeeper(rpc)
    lag = StreamLag(rpc, pubsub)
    health = EndpointHealth(rpc, pubsub, blockhash, lag)
    assert health.problem() == "not connected to ws://here"
    pubsub._socket = object()  # type: ignore[assignment]
    assert "no fresh blockhash" in health.problem()
    blockhash._take(b"1" * 32)
    assert health.problem() == ""
    pubsub.slot = 5
    for second in range(4):
        lag.compare(float(second), 10 + second)
    assert "behind" in health.problem()
    assert health.stream_lag_s() == 3.0
    assert health.blockhash_age_s() < 1
    rpc.failures["overdue"] += 2
    pubsub.failures["malformed"] += 1
    assert health.failures() == {("http", "overdue"): 2, ("ws", "malformed"): 1}
