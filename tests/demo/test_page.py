"""The demo that people can play: bots fight, and a seat is always open."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode
from pathlib import Path

import aiohttp
import pytest
from demo.cartridges import enduring
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank.client import session, setup
from awm_crank.client.chain import Chain
from awm_crank.demo import page
from awm_crank.net.rpc import RpcClient
from awm_crank.wire import ids
from awm_crank.wire.accounts import ACTIVE, ENDED, WAITING_PLAYERS, SessionState


async def sessions(rpc: RpcClient) -> dict[str, SessionState]:
    """Every session on the chain."""
    options = {"encoding": "base64", "commitment": "processed", "filters": [{"dataSize": SessionState.LAYOUT.size}]}
    found = await rpc.call("getProgramAccounts", [str(ids.SESSION_STATE), options])
    return {each["pubkey"]: SessionState.decode(b64decode(each["account"]["data"][0])) for each in found}


async def until_session(rpc: RpcClient, status: int, beside: frozenset[str] = frozenset()) -> str:
    """Waits for a session with that status, and returns its address."""
    async with asyncio.timeout(30):
        while True:
            for key, state in (await sessions(rpc)).items():
                if state.status == status and key not in beside:
                    return key
            await asyncio.sleep(0.05)


async def test_seat_is_open_and_opens_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page names the chain. One match runs and one waits.

    The bot plays whoever joins, and then another one waits.
    """
    monkeypatch.setattr(page, "SHOWN_S", 0.5)
    said: asyncio.Queue[str] = asyncio.Queue()
    running = asyncio.create_task(
        page.run_page(said.put_nowait, enduring(), keep=tmp_path / "kept", port=0, feed_port=0)
    )
    try:
        async with asyncio.timeout(60):
            while (found := re.search(r"in a browser: (\S+)", await said.get())) is None:
                assert not running.done()
        async with aiohttp.ClientSession() as http, http.get(found.group(1) + "contract.json") as answer:
            defaults = (await answer.json())["defaults"]
        rpc = RpcClient(defaults["rpc"])
        async with Chain(defaults["rpc"], commitment="processed") as chain:
            await until_session(rpc, ACTIVE)
            seat = await until_session(rpc, WAITING_PLAYERS)
            person = Keypair()
            await rpc.call("requestAirdrop", [str(person.pubkey()), 1_000_000_000])
            world = await setup.find_world(chain)
            await session.join(chain, person, world, Pubkey.from_string(seat))
            # frames continue although the person gives no input
            async with asyncio.timeout(30):
                while (await sessions(rpc))[seat].frame < 20:  # noqa: ASYNC110 (another process moves it)
                    await asyncio.sleep(0.05)
            await session.end(chain, person, world, Pubkey.from_string(seat))
            assert (await sessions(rpc))[seat].status == ENDED
            await until_session(rpc, WAITING_PLAYERS, frozenset({seat}))
        await rpc.close()
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
