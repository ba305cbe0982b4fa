"""The process from outside, over raw sockets, aiohttp and solana-py. No client can end it."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from localnet.kit import SOL, encode
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solana.rpc.core import RPCException
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.rpc.responses import RpcBlockhash
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from awm_crank.errors import ConfigError
from awm_crank.localnet.rig import EmbeddedLocalnet
from awm_crank.localnet.server import Localnet, LocalnetOptions
from awm_crank.wire import bolt, ids


def transfer_of(payer: Keypair, to: Pubkey, blockhash: RpcBlockhash) -> VersionedTransaction:
    """A transfer of one SOL."""
    move = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=SOL))
    return VersionedTransaction(Message.new_with_blockhash([move], payer.pubkey(), blockhash.blockhash), [payer])


async def test_ws_port_is_the_next(net: EmbeddedLocalnet) -> None:
    """WebSocket is on the port where clients expect it."""
    http, ws = urlsplit(net.http), urlsplit(net.ws)
    assert ws.port == (http.port or 0) + 1


def test_programs_and_registry_are_there(net: EmbeddedLocalnet) -> None:
    """Every program is executable at its id, and World's registry exists without a world."""
    keys = [str(key) for key in ids.PROGRAMS.values()]
    rows = net.call("getMultipleAccounts", keys)["value"]
    assert all(row["executable"] for row in rows)
    registry = net.call("getAccountInfo", str(bolt.registry_pda()), {"encoding": "base64"})["value"]
    assert registry["owner"] == str(ids.WORLD)


def test_slots_pass(net: EmbeddedLocalnet) -> None:
    """About a hundred slots pass in a second, and the clock sysvar moves with real time."""
    first, started = net.call("getSlot"), time.monotonic()
    time.sleep(0.5)
    passed, elapsed = net.call("getSlot") - first, time.monotonic() - started
    assert passed == pytest.approx(elapsed * 100, abs=10)
    assert abs(net.call("getBlockTime", net.call("getSlot")) - time.time()) < 3


async def test_aiohttp_batches_and_notifications(net: EmbeddedLocalnet) -> None:
    """A batch of sends through aiohttp notifies an account's subscriber; after it unsubscribes, only slots arrive."""
    payer, target = net.faucet, Keypair().pubkey()
    async with aiohttp.ClientSession() as client, client.ws_connect(net.ws) as peer:

        async def ask(method: str, *params: object) -> Any:
            await peer.send_json({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
            while "id" not in (answer := await peer.receive_json()):
                pass
            return answer["result"]

        number = await ask("accountSubscribe", str(target), {"encoding": "base64", "commitment": "processed"})
        latest = net.call("getLatestBlockhash")["value"]["blockhash"]
        calls = [
            transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=target, lamports=SOL + extra))
            for extra in range(5)
        ]
        batch = []
        for index, call in enumerate(calls):
            message = Message.new_with_blockhash([call], payer.pubkey(), Hash.from_string(latest))
            params = [encode(VersionedTransaction(message, [payer])), {"encoding": "base64"}]
            batch.append({"jsonrpc": "2.0", "id": index, "method": "sendTransaction", "params": params})
        async with client.post(net.http, json=batch) as response:
            answers = await response.json()
        assert [answer["id"] for answer in answers] == list(range(5))
        assert len({answer["result"] for answer in answers}) == 5
        balances: list[int] = []
        while len(balances) < 5:
            told = await asyncio.wait_for(peer.receive_json(), 5)
            assert told["params"]["subscription"] == number
            balances.append(told["params"]["result"]["value"]["lamports"])
        assert balances == [sum(SOL + extra for extra in range(count)) for count in range(1, 6)]
        assert await ask("accountUnsubscribe", number) is True
        slots = await ask("slotSubscribe")
        seen = [await asyncio.wait_for(peer.receive_json(), 5) for _ in range(3)]
        assert all(row["params"]["subscription"] == slots for row in seen)
        numbers = [row["params"]["result"]["slot"] for row in seen]
        assert numbers == list(range(numbers[0], numbers[0] + 3))


async def test_solana_py(net: EmbeddedLocalnet) -> None:
    """solana-py's client works unchanged: airdrop, blockhash, send, confirm, read back, and errors as its own types."""
    async with AsyncClient(net.http, Confirmed) as client:
        assert await client.is_connected()
        payer, target = Keypair(), Keypair().pubkey()
        airdrop = await client.request_airdrop(payer.pubkey(), 5 * SOL)
        await client.confirm_transaction(airdrop.value, Confirmed)
        latest = (await client.get_latest_blockhash()).value
        transaction = transfer_of(payer, target, latest)
        sent = await client.send_transaction(transaction)
        confirmed = await client.confirm_transaction(
            sent.value, Confirmed, last_valid_block_height=latest.last_valid_block_height
        )
        assert confirmed.value[0] is not None
        assert (await client.get_balance(target)).value == SOL
        account = (await client.get_account_info(target)).value
        assert account is not None
        assert account.lamports == SOL
        found = (await client.get_transaction(sent.value)).value
        assert found is not None
        assert found.transaction.meta is not None
        assert found.transaction.meta.fee == 5000
        rows = (await client.get_signatures_for_address(target)).value
        assert [row.signature for row in rows] == [sent.value]
        simulated = (await client.simulate_transaction(transaction)).value
        assert simulated.err is not None
        assert (await client.get_epoch_info()).value.slots_in_epoch == 432_000
        assert (await client.get_block(found.slot)).value is not None
        with pytest.raises(RPCException, match="already been processed"):
            await client.send_transaction(transaction)


async def test_taken_port_is_named() -> None:
    """A port that is in use raises a ConfigError that names it."""
    first = Localnet(LocalnetOptions(port=0, bare=True))
    await first.listen()
    try:
        port = urlsplit(first.http).port
        assert port
        with pytest.raises(ConfigError, match=f"ports {port} and {port + 1}"):
            await Localnet(LocalnetOptions(port=port, bare=True)).listen()
    finally:
        await first.close()
