"""The blockhash is kept fresh, and counts as old when the node has stopped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank.errors import RpcError
from awm_crank.net import blockhash as module
from awm_crank.net.blockhash import BlockhashKeeper
from awm_crank.net.rpc import RpcClient
from awm_crank.net.sender import Sender
from awm_crank.wire.transaction import Signer

if TYPE_CHECKING:
    from .conftest import Endpoint

KEY = Keypair()


def instruction() -> Instruction:
    """An instruction with one account."""
    return Instruction(Pubkey.new_unique(), b"12345678", [AccountMeta(KEY.pubkey(), True, True)])


def answers(value: Any) -> Any:
    """An endpoint that gives this blockhash to every request."""
    result = {"context": {"slot": 1}, "value": {"blockhash": value, "lastValidBlockHeight": 9}}
    return lambda body: web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": result})


async def test_blockhash_is_kept_fresh(endpoint: Endpoint) -> None:
    """The blockhash is fetched at the start, and again at once when the endpoint no longer knows it."""
    hashes = [str(Pubkey.new_unique()) for _ in range(2)]

    def answer(body: Any) -> web.Response:
        if body["method"] == "sendTransaction":
            error = {"code": -32002, "message": "failed", "data": {"err": "BlockhashNotFound"}}
            return web.json_response({"jsonrpc": "2.0", "id": body["id"], "error": error})
        asked = sum(each["method"] == "getLatestBlockhash" for each in endpoint.bodies)
        value = {"blockhash": hashes[min(asked, 2) - 1], "lastValidBlockHeight": 9}
        return web.json_response(
            {"jsonrpc": "2.0", "id": body["id"], "result": {"context": {"slot": 1}, "value": value}}
        )

    endpoint.answer = answer
    async with RpcClient(endpoint.http) as rpc:
        blockhash = BlockhashKeeper(rpc)
        task = asyncio.create_task(blockhash.keep_fresh())
        await blockhash.known.wait()
        assert str(Pubkey.from_bytes(blockhash.value)) == hashes[0]
        await asyncio.sleep(0.06)
        one = Sender(rpc, Signer(bytes(KEY)), blockhash)
        assert await one.send(one.sign([instruction()])) is not None
        async with asyncio.timeout(0.3):
            while str(Pubkey.from_bytes(blockhash.value)) != hashes[1]:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        task.cancel()


async def test_frozen_endpoint(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blockhash that never changes grows old, although it is fetched again and again.

    The next fetches then use new connections, and a different blockhash counts as fresh again.
    """
    now = 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    endpoint.answer = answers(str(Pubkey.new_unique()))
    async with RpcClient(endpoint.http) as rpc:
        keeper = BlockhashKeeper(rpc)
        assert (keeper.age_s(), "no fresh blockhash" in keeper.problem) == (float("inf"), True)
        dropped: list[float] = []
        monkeypatch.setattr(rpc, "drop_idle", lambda: dropped.append(now))
        for _ in range(5):
            await keeper.refresh()
            now += 1.0
        assert (keeper.age_s(), dropped, keeper.frozen) == (5.0, [1004.0], True)
        assert "the node has stopped" in keeper.problem
        endpoint.answer = answers(str(Pubkey.new_unique()))
        await keeper.refresh()
        assert (keeper.age_s(), keeper.frozen, keeper.problem) == (0.0, False, "")
        now += 60.0
        assert (keeper.frozen, "no fresh blockhash" in keeper.problem) == (False, True)


@pytest.mark.parametrize("nonsense", [None, "0OIl", 7, "", "1" * 31])
async def test_nonsense(endpoint: Endpoint, nonsense: Any) -> None:
    """Bytes that are no blockhash raise RpcError, and the last good one stays."""
    async with RpcClient(endpoint.http, retry_s=0) as rpc:
        keeper = BlockhashKeeper(rpc)
        endpoint.answer = answers(str(KEY.pubkey()))
        await keeper.first()
        endpoint.answer = answers(nonsense)
        with pytest.raises(RpcError):
            await keeper.refresh()
        assert keeper.value == bytes(KEY.pubkey())
