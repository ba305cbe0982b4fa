"""Blocking JSON-RPC calls."""

from __future__ import annotations

import socket

import pytest

from awm_crank.errors import RpcError
from awm_crank.localnet.kinds.process import free_ports
from awm_crank.localnet.rig import EmbeddedLocalnet
from awm_crank.localnet.rpc import call


def test_call(net: EmbeddedLocalnet) -> None:
    """A call returns the result, or raises the endpoint's error with its code."""
    assert call(net.http, "getHealth") == "ok"
    with pytest.raises(RpcError) as caught:
        call(net.http, "getNothing")
    assert (caught.value.code, caught.value.recoverable) == (-32601, False)


def test_nobody_there() -> None:
    """An endpoint that is missing or silent raises an error that says it may answer later."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for port in (free_ports(1), silent.getsockname()[1]):
            with pytest.raises(RpcError, match="getHealth: no answer from") as caught:
                call(f"http://127.0.0.1:{port}", "getHealth", timeout_s=0.1)
            assert caught.value.recoverable
