"""Checks of the endpoints: whether they answer, the key's balance, the world, the clock."""

from __future__ import annotations

import asyncio
import struct
import time

from solders.pubkey import Pubkey

from ... import config
from ...client import setup
from ...client.chain import Chain
from ...errors import AwmError
from ...match.words import sol
from ...net.pubsub import PubSub, SlotChanged
from ...net.rpc import RpcClient
from ...wire import ids, jsonrpc
from .finding import FRAME_S, WAIT_S, Finding, from_error

LOW_LAMPORTS = 100_000_000
CLOCK_S = 30


async def endpoint(url: str, what: str) -> list[Finding]:
    async with RpcClient(url, timeout_s=WAIT_S, retry_s=1.0) as rpc:
        try:
            # the first one opens the connection
            health = await rpc.call("getHealth")
            began = time.perf_counter()
            answer = await rpc.call("getVersion")
            took = time.perf_counter() - began
            slot = await rpc.call("getSlot", [{"commitment": "processed"}])
        except AwmError as error:
            fix = f"start it, or correct chain.{'base' if what == 'base' else 'rollup'}_http"
            return [from_error(what, error, fix)]
    core = answer.get("solana-core", "?") if isinstance(answer, dict) else "?"
    text = f"{rpc.url}: {health}, solana-core {core}, slot {slot}, {took * 1000:.1f} ms an answer"
    if took > FRAME_S / 2:
        return [Finding(what, "warn", text, "each frame is one request: run the crank closer to the endpoint")]
    return [Finding(what, "ok", text)]


async def websocket(url: str, wait_s: float = WAIT_S) -> Finding:
    flowing = asyncio.Event()
    pubsub = PubSub(url, lambda event: flowing.set() if isinstance(event, SlotChanged) else None)
    pubsub.start()
    try:
        async with asyncio.timeout(wait_s):
            await flowing.wait()
    except TimeoutError:
        fix = "set chain.rollup_ws; if there is a proxy, let it pass WebSockets"
        return Finding("websocket", "wrong", f"{pubsub.url}: no slot notification in {wait_s:g} s", fix)
    finally:
        await pubsub.close()
    return Finding("websocket", "ok", f"{pubsub.url}: slot notifications arrive")


async def balance(url: str, key: Pubkey) -> Finding:
    async with RpcClient(url, timeout_s=WAIT_S, retry_s=1.0) as rpc:
        try:
            lamports = (await rpc.call("getBalance", [str(key)], jsonrpc.BalanceResult)).value
        except AwmError as error:
            return from_error("balance", error)
    text, fix = sol(lamports), f"send at least {sol(LOW_LAMPORTS)} to {key}"
    if lamports == 0:
        return Finding("balance", "wrong", text, fix)
    return Finding("balance", "warn" if lamports < LOW_LAMPORTS else "ok", text, fix if lamports < LOW_LAMPORTS else "")


async def world(settings: config.Config) -> Finding:
    async with Chain(settings.rollup_http(), timeout_s=WAIT_S) as chain:
        try:
            world = await setup.find_world(chain, settings.chain.world)
        except AwmError as error:
            return from_error("world", error, "set chain.world, or publish a model, which also makes a world")
    return Finding("world", "ok", str(world))


async def clock(url: str) -> Finding:
    async with RpcClient(url, timeout_s=WAIT_S, retry_s=1.0) as rpc:
        try:
            data = await data_of(rpc, ids.CLOCK_SYSVAR)
        except AwmError as error:
            return from_error("clock", error)
    if data is None or len(data) < 40:
        return Finding("clock", "warn", "the endpoint has no clock to compare with", "compare with `timedatectl`")
    difference = time.time() - struct.unpack_from("<q", data, 32)[0]
    text = f"{difference:+.0f} s from the chain's clock"
    if abs(difference) > CLOCK_S:
        return Finding("clock", "warn", text, "let chrony or systemd-timesyncd set this machine's clock")
    return Finding("clock", "ok", text)


async def data_of(rpc: RpcClient, key: Pubkey) -> bytes | None:
    """An account's data; None where there is no such account."""
    account = (await rpc.call("getAccountInfo", [str(key), {"encoding": "base64"}], jsonrpc.AccountResult)).value
    return None if account is None else account.raw
