"""The HTTP client: what it sends, what it returns, and which faults it tries again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from awm_crank.errors import RpcError
from awm_crank.net.rpc import RpcClient

if TYPE_CHECKING:
    from .conftest import Endpoint


async def test_post_is_raw(endpoint: Endpoint) -> None:
    """A body goes out as it is, and the answer's bytes come back unread."""
    async with RpcClient(endpoint.http) as client:
        assert b'"result": "ok"' in await client.post(b'{"id": 5}')
    assert endpoint.bodies == [{"id": 5}]


async def test_call(endpoint: Endpoint) -> None:
    """A call carries method and params and returns the result."""
    async with RpcClient(endpoint.http) as client:
        assert await client.call("getSlot", [{"commitment": "processed"}]) == "ok"
    (body,) = endpoint.bodies
    assert (body["method"], body["params"], body["jsonrpc"]) == ("getSlot", [{"commitment": "processed"}], "2.0")


async def test_endpoint_error(endpoint: Endpoint) -> None:
    """An error of the endpoint's keeps its code and data, and is not tried again."""

    def answer(body: Any) -> web.Response:
        error = {"code": -32002, "message": "simulation failed", "data": {"err": "AccountNotFound"}}
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], "error": error})

    endpoint.answer = answer
    async with RpcClient(endpoint.http) as client:
        with pytest.raises(RpcError, match="simulation failed") as caught:
            await client.call("sendTransaction", [])
    assert (caught.value.code, caught.value.data) == (-32002, {"err": "AccountNotFound"})
    assert not caught.value.recoverable
    assert len(endpoint.bodies) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_passing_fault_is_retried(endpoint: Endpoint, status: int) -> None:
    """HTTP 429 and 5xx are tried again until they pass."""

    def answer(body: Any) -> web.Response:
        if len(endpoint.bodies) < 3:
            return web.Response(status=status)
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": 1})

    endpoint.answer = answer
    async with RpcClient(endpoint.http) as client:
        assert await client.call("getSlot") == 1
    assert len(endpoint.bodies) == 3


async def test_lasting_fault_is_not_retried(endpoint: Endpoint) -> None:
    """HTTP 403 comes back at once, with its status as code."""
    endpoint.answer = lambda _: web.Response(status=403, text="no")
    async with RpcClient(endpoint.http) as client:
        with pytest.raises(RpcError) as caught:
            await client.call("getSlot")
    assert (caught.value.code, caught.value.recoverable, len(endpoint.bodies)) == (403, False, 1)


async def test_patience_ends(endpoint: Endpoint) -> None:
    """A fault that lasts is raised after retry_s, as the last one met."""
    endpoint.answer = lambda _: web.Response(status=503)
    async with RpcClient(endpoint.http, retry_s=0.2) as client:
        with pytest.raises(RpcError) as caught:
            await client.call("getSlot")
    assert caught.value.recoverable
    assert len(endpoint.bodies) > 1


async def test_time_out(endpoint: Endpoint) -> None:
    """An endpoint that says nothing is a recoverable error after timeout_s."""

    async def answer(_: Any) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response()

    endpoint.answer = answer
    async with RpcClient(endpoint.http, timeout_s=0.05) as client:
        with pytest.raises(RpcError, match="no answer") as caught:
            await client.post(b"{}")
    assert caught.value.recoverable


async def test_nobody_there() -> None:
    """A refused connection names the endpoint and the next step."""
    async with RpcClient("http://127.0.0.1:9", retry_s=0.0) as client:
        with pytest.raises(RpcError, match="cannot reach http") as caught:
            await client.call("getSlot")
    assert caught.value.recoverable
    assert "Try:" in str(caught.value)


async def test_batch_in_order(endpoint: Endpoint) -> None:
    """Answers of a batch that come in another order are put into that of the calls; errors stand in their place."""

    def answer(body: Any) -> web.Response:
        first, second, third = body
        return web.json_response(
            [
                {"jsonrpc": "2.0", "id": third["id"], "result": "c"},
                {"jsonrpc": "2.0", "id": second["id"], "error": {"code": -32000, "message": "no"}},
                {"jsonrpc": "2.0", "id": first["id"], "result": "a"},
            ]
        )

    endpoint.answer = answer
    async with RpcClient(endpoint.http) as client:
        first, second, third = await client.batch([("a", []), ("b", [1]), ("c", [])])
        assert await client.batch([]) == []
    assert (first, third) == ("a", "c")
    assert isinstance(second, RpcError)
    assert second.code == -32000
    assert len(endpoint.bodies) == 1


async def test_batch_refused_whole(endpoint: Endpoint) -> None:
    """One error object for a whole batch is that error."""
    error = {"code": -32600, "message": "batch too large"}
    endpoint.answer = lambda _: web.json_response({"jsonrpc": "2.0", "id": None, "error": error})
    async with RpcClient(endpoint.http) as client:
        with pytest.raises(RpcError, match="batch too large"):
            await client.batch([("a", [])])


async def test_batch_with_a_gap(endpoint: Endpoint) -> None:
    """An answer left out of a batch is an error, not a None."""
    endpoint.answer = lambda body: web.json_response([{"id": body[0]["id"], "result": 1}])
    async with RpcClient(endpoint.http) as client:
        with pytest.raises(RpcError, match="left b of a batch unanswered"):
            await client.batch([("a", []), ("b", [])])


@pytest.mark.parametrize("text", ["", "<html>", "[1", '{"result": 1, "error": 3}'])
async def test_no_json_rpc(endpoint: Endpoint, text: str) -> None:
    """What is no JSON-RPC answer is an error that shows its beginning."""
    endpoint.answer = lambda _: web.Response(text=text)
    async with RpcClient(endpoint.http) as client:
        with pytest.raises(RpcError, match="JSON as Solana"):
            await client.call("getSlot")
