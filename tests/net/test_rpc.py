"""The RPC client: its requests, its results, and the errors after which it retries."""

from __future__ import annotations

import asyncio
import base64
import threading
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from solders.pubkey import Pubkey

from awm_crank.errors import RpcError
from awm_crank.net import rpc
from awm_crank.net.rpc import RpcClient
from awm_crank.wire import jsonrpc

if TYPE_CHECKING:
    from .conftest import Endpoint


async def test_post_is_raw(endpoint: Endpoint) -> None:
    """A body is sent as it is, and the answer's bytes come back undecoded."""
    async with RpcClient(endpoint.http) as client:
        assert b'"result": "ok"' in await client.post(b'{"id": 5}')
    assert endpoint.bodies == [{"id": 5}]


async def test_call(endpoint: Endpoint) -> None:
    """A call sends method and params, and returns the result."""
    async with RpcClient(endpoint.http) as client:
        assert await client.call("getSlot", [{"commitment": "processed"}]) == "ok"
    (body,) = endpoint.bodies
    assert (body["method"], body["params"], body["jsonrpc"]) == ("getSlot", [{"commitment": "processed"}], "2.0")


async def test_endpoint_error(endpoint: Endpoint) -> None:
    """An endpoint's error keeps its code and data, and is not retried."""

    def answer(body: Any) -> web.Response:
        error = {"code": -32002, "message": "simulation failed", "data": {"err": "AccountNotFound"}}
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], "error": error})

    endpoint.answer = answer
    async with RpcClient(endpoint.http) as client:
        with pytest.raises(RpcError, match="AccountNotFound") as caught:
            await client.call("sendTransaction", [])
    assert (caught.value.code, caught.value.data) == (-32002, {"err": "AccountNotFound"})
    assert not caught.value.recoverable
    assert len(endpoint.bodies) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_passing_fault_is_retried(endpoint: Endpoint, status: int) -> None:
    """HTTP 429 and 5xx are retried until they pass."""

    def answer(body: Any) -> web.Response:
        if len(endpoint.bodies) < 3:
            return web.Response(status=status)
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": 1})

    endpoint.answer = answer
    async with RpcClient(endpoint.http) as client:
        assert await client.call("getSlot") == 1
    assert len(endpoint.bodies) == 3


async def test_lasting_fault_is_not_retried(endpoint: Endpoint) -> None:
    """HTTP 403 is raised at once, with its status as code."""
    endpoint.answer = lambda _: web.Response(status=403, text="no")
    async with RpcClient(endpoint.http) as client:
        with pytest.raises(RpcError) as caught:
            await client.call("getSlot")
    assert (caught.value.code, caught.value.recoverable, len(endpoint.bodies)) == (403, False, 1)


async def test_patience_ends(endpoint: Endpoint) -> None:
    """An error that persists is raised after retry_s; the last one is raised."""
    endpoint.answer = lambda _: web.Response(status=503)
    async with RpcClient(endpoint.http, retry_s=0.2) as client:
        with pytest.raises(RpcError) as caught:
            await client.call("getSlot")
    assert caught.value.recoverable
    assert len(endpoint.bodies) > 1


async def test_time_out(endpoint: Endpoint) -> None:
    """An endpoint that does not answer raises a recoverable error after timeout_s."""

    async def answer(_: Any) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response()

    endpoint.answer = answer
    async with RpcClient(endpoint.http, timeout_s=0.05) as client:
        with pytest.raises(RpcError, match="no answer") as caught:
            await client.post(b"{}")
    assert caught.value.recoverable


async def test_nobody_there() -> None:
    """A refused connection raises an error that names the endpoint and the next step."""
    async with RpcClient("http://127.0.0.1:9", retry_s=0.0) as client:
        with pytest.raises(RpcError, match="cannot reach http") as caught:
            await client.call("getSlot")
    assert caught.value.recoverable
    assert "Try:" in str(caught.value)


async def test_batch_in_order(endpoint: Endpoint) -> None:
    """Answers of a batch that come in another order are put into that of the calls; errors are in their place."""

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
    """One error object in place of a whole batch is raised as that error."""
    error = {"code": -32600, "message": "batch too large"}
    endpoint.answer = lambda _: web.json_response({"jsonrpc": "2.0", "id": None, "error": error})
    async with RpcClient(endpoint.http) as client:
        with pytest.raises(RpcError, match="batch too large"):
            await client.batch([("a", [])])


async def test_batch_with_a_gap(endpoint: Endpoint) -> None:
    """An answer that is missing from a batch is an error, not a None."""
    endpoint.answer = lambda body: web.json_response([{"id": body[0]["id"], "result": 1}])
    async with RpcClient(endpoint.http, retry_s=0.2) as client:
        with pytest.raises(RpcError, match="left b of a batch unanswered"):
            await client.batch([("a", []), ("b", [])])


@pytest.mark.parametrize("text", ["", "<html>", "[1", '{"result": 1, "error": 3}'])
async def test_no_json_rpc(endpoint: Endpoint, text: str) -> None:
    """An answer that is not JSON-RPC raises an error that shows how it begins."""
    endpoint.answer = lambda _: web.Response(text=text)
    async with RpcClient(endpoint.http, retry_s=0.2) as client:
        with pytest.raises(RpcError, match="JSON as Solana"):
            await client.call("getSlot")


@pytest.mark.parametrize("number", [999, None, "1", 0])
async def test_answer_of_another_request(endpoint: Endpoint, number: Any) -> None:
    """An answer with another id, or without one, is an error and never the call's result."""
    endpoint.answer = lambda _: web.json_response({"jsonrpc": "2.0", "id": number, "result": "not yours"})
    async with RpcClient(endpoint.http, retry_s=0.2) as client:
        with pytest.raises(RpcError, match="id of the answer") as caught:
            await client.call("getSlot")
    assert caught.value.recoverable
    assert client.failures["malformed"] > 0


async def test_passing_errors_are_tried_again(endpoint: Endpoint) -> None:
    """An error that can pass (-32005), nonsense, and a lost answer are each retried."""
    said = iter(["busy", "nonsense", "silence", "answer"])

    async def answer(body: Any) -> web.Response:
        what = next(said)
        if what == "silence":
            await asyncio.sleep(5)
        if what == "busy":
            return web.json_response({"id": body["id"], "error": {"code": -32005, "message": "node is behind"}})
        return web.json_response({"id": body["id"], "result": 7}) if what == "answer" else web.Response(text="<html>")

    endpoint.answer = answer
    async with asyncio.timeout(10), RpcClient(endpoint.http, timeout_s=0.3) as client:
        assert await client.call("getSlot", [], int) == 7
    assert client.failures == {"malformed": 1, "overdue": 1}


async def test_lasting_errors_are_not_tried_again(endpoint: Endpoint) -> None:
    """An error that no retry can change is raised at once."""
    endpoint.answer = lambda body: web.json_response(
        {"id": body["id"], "error": {"code": -32602, "message": "invalid"}}
    )
    async with RpcClient(endpoint.http) as client:
        with pytest.raises(RpcError, match="getSlot: invalid"):
            await client.call("getSlot")
    assert len(endpoint.bodies) == 1


async def test_pause_that_the_endpoint_asks_for(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client waits as long as Retry-After says before it tries again."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    def answer(body: Any) -> web.Response:
        if len(endpoint.bodies) == 1:
            return web.Response(status=429, headers={"Retry-After": "3"})
        return web.json_response({"id": body["id"], "result": 1})

    endpoint.answer = answer
    monkeypatch.setattr(rpc.asyncio, "sleep", sleep)
    async with RpcClient(endpoint.http) as client:
        assert await client.call("getSlot") == 1
    assert pauses == [3.0]


@pytest.mark.parametrize("status", [403, 500])
async def test_no_secret_in_errors(endpoint: Endpoint, status: int) -> None:
    """Errors name the endpoint without its secrets, even where the endpoint repeats them."""
    url = endpoint.http.replace("http://", "http://me:passw0rd@") + "?api-key=s3cretkey"
    endpoint.answer = lambda _: web.Response(status=status, text=f"{url}: the key s3cretkey of passw0rd is not known")
    async with RpcClient(url, retry_s=0) as client:
        with pytest.raises(RpcError) as caught:
            await client.call("getSlot")
        for reply in ({"error": {"message": "s3cretkey is not known"}}, {"result": "passw0rd"}):
            endpoint.answer = lambda body, reply=reply: web.json_response({"id": body["id"], **reply})  # type: ignore[misc]
            with pytest.raises(RpcError) as other:
                await client.call("getSlot", [], int)
            assert "s3cret" not in str(other.value)
            assert "passw0rd" not in str(other.value)
    shown = f"{caught.value} {caught.value.data} {client.url} {client.endpoint!r}"
    assert "127.0.0.1" in shown
    assert "s3cret" not in shown
    assert "passw0rd" not in shown


async def test_typed_result(endpoint: Endpoint) -> None:
    """A call with a type returns that type or raises RpcError; null, for example, is no balance."""
    endpoint.answer = lambda body: web.json_response(
        {"id": body["id"], "result": None if body["params"] == ["null"] else {"context": {"slot": 1}, "value": 5}}
    )
    async with RpcClient(endpoint.http, retry_s=0) as client:
        assert (await client.call("getBalance", ["x"], jsonrpc.BalanceResult)).value == 5
        with pytest.raises(RpcError, match="getBalance; expected JSON as Solana"):
            await client.call("getBalance", ["null"], jsonrpc.BalanceResult)


async def test_long_answers_are_decoded_in_a_thread(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer with a large account is decoded outside of the loop, a small one on it."""
    threads: list[bool] = []
    data, size, decode = bytes(range(256)) * 4096, 0, jsonrpc.decode_reply

    def answer(body: Any) -> web.Response:
        account = {"data": [base64.b64encode(data[:size]).decode(), "base64"], "owner": "1" * 32, "lamports": 1}
        result = {"context": {"slot": 1}, "value": account}
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": result})

    def watched(data: bytes | memoryview) -> jsonrpc.Reply:
        threads.append(threading.current_thread() is threading.main_thread())
        return decode(data)

    endpoint.answer = answer
    monkeypatch.setattr(jsonrpc, "decode_reply", watched)
    async with RpcClient(endpoint.http) as client:
        for size in (0, len(data)):
            account = (await client.ask(jsonrpc.get_account_info(Pubkey.default()))).value
            assert account is not None
            assert account.raw == data[:size]
    assert threads == [True, False]
