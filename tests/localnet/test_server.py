"""The process from outside: raw sockets, aiohttp and solana-py; and that no client can kill it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import struct
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
from awm_crank.localnet import server
from awm_crank.localnet.rig import EmbeddedLocalnet
from awm_crank.localnet.server import Localnet, Options
from awm_crank.localnet.websocket import accept_key
from awm_crank.wire import bolt, ids

HEALTH = b'{"jsonrpc":"2.0","id":1,"method":"getHealth"}'


def request(body: bytes, extra: bytes = b"Content-Type: application/json\r\n") -> bytes:
    """A POST."""
    return b"POST / HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b" % (extra, len(body), body)


def connect(url: str) -> socket.socket:
    """A plain connection to an endpoint."""
    parts = urlsplit(url)
    assert parts.hostname and parts.port
    return socket.create_connection((parts.hostname, parts.port), timeout=5)


def exchange(url: str, data: bytes) -> bytes:
    """What comes back until the other side closes, or has nothing more to say."""
    with connect(url) as peer:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        received = b""
        while part := peer.recv(65536):
            received += part
        return received


def transfer_of(payer: Keypair, to: Pubkey, blockhash: RpcBlockhash) -> VersionedTransaction:
    """One SOL."""
    move = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=SOL))
    return VersionedTransaction(Message.new_with_blockhash([move], payer.pubkey(), blockhash.blockhash), [payer])


async def test_ws_port_is_the_next(net: EmbeddedLocalnet) -> None:
    """WebSocket is where clients look for it."""
    http, ws = urlsplit(net.http), urlsplit(net.ws)
    assert ws.port == (http.port or 0) + 1


def test_programs_and_registry_are_there(net: EmbeddedLocalnet) -> None:
    """Every program is executable at its id, and World's registry exists with no world in it."""
    keys = [str(key) for key in ids.PROGRAMS.values()]
    rows = net.call("getMultipleAccounts", keys)["value"]
    assert all(row["executable"] for row in rows)
    registry = net.call("getAccountInfo", str(bolt.registry_pda()), {"encoding": "base64"})["value"]
    assert registry["owner"] == str(ids.WORLD)


def test_slots_pass(net: EmbeddedLocalnet) -> None:
    """About a hundred slots a second, and the clock sysvar moves with real time."""
    first, started = net.call("getSlot"), time.monotonic()
    time.sleep(0.5)
    passed, elapsed = net.call("getSlot") - first, time.monotonic() - started
    assert passed == pytest.approx(elapsed * 100, abs=10)
    assert abs(net.call("getBlockTime", net.call("getSlot")) - time.time()) < 3


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(HEALTH), b"200"),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"OPTIONS / HTTP/1.1\r\nOrigin: http://a\r\nAccess-Control-Request-Method: POST\r\n\r\n", b"204"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
        (request(HEALTH, b"Content-Type: text/plain\r\n"), b"415"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", b"426"),
    ],
)
def test_http_status(net: EmbeddedLocalnet, data: bytes, status: bytes) -> None:
    """Each kind of request has its status, on both ports."""
    for url in (net.http, net.ws):
        assert exchange(url, data).split(b" ", 2)[1] == status


def test_pipelining_and_close(net: EmbeddedLocalnet) -> None:
    """Requests of one connection are answered in order; `Connection: close` is obeyed after its answer."""
    closing = request(HEALTH.replace(b'"id":1', b'"id":3'), b"Content-Type: application/json\r\nConnection: close\r\n")
    received = exchange(net.http, request(HEALTH) + closing + request(HEALTH))
    assert received.count(b'"result":"ok"') == 2
    assert received.index(b'"id":1') < received.index(b'"id":3')


def test_expect_continue(net: EmbeddedLocalnet) -> None:
    """A client that waits before its body is told to go on."""
    with connect(net.http) as peer:
        headers = b"Content-Type: application/json\r\nExpect: 100-continue\r\n"
        head, _, body = request(HEALTH, headers).partition(b"\r\n\r\n")
        peer.sendall(head + b"\r\n\r\n")
        assert peer.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sendall(body)
        assert b'"ok"' in peer.recv(1000)


async def test_aiohttp_batches_and_notifications(net: EmbeddedLocalnet) -> None:
    """Over aiohttp: a batch of sends, told to an account's and a slot's subscriber; unsubscribed ones are silent."""
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
        balances = []
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


def test_noise_on_both_ports(net: EmbeddedLocalnet) -> None:
    """Hundreds of connections of seeded noise, whole and broken off, over HTTP and WebSocket: the server lives on."""
    chance = random.Random(4)
    handshake = (
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    subscribe = b'{"jsonrpc":"2.0","id":1,"method":"slotSubscribe","params":[]}'
    masked = struct.pack(">BB", 0x81, 0x80 | len(subscribe)) + bytes(4) + subscribe
    good = [request(HEALTH), request(b"[" + HEALTH + b"]"), handshake, handshake + masked, request(b'{"id":1')]
    for index in range(400):
        data = bytearray(chance.choice(good))
        for _ in range(chance.randrange(6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.3:
            del data[chance.randrange(len(data)) :]
        data += chance.randbytes(chance.randrange(40))
        with connect(net.ws if index % 2 else net.http) as peer:
            peer.sendall(data)
            if index % 5 == 0:
                # a reset instead of a polite end
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert net.call("getHealth") == "ok"
    os.kill(net.pid, 0)


def test_websocket_close_codes(net: EmbeddedLocalnet) -> None:
    """An unmasked frame is answered with close 1002, a client's close with its own code, a ping with its pong."""
    key = b"dGhlIHNhbXBsZSBub25jZQ=="
    handshake = (
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: %b\r\n\r\n" % key
    )
    for frame, answer in (
        (b"\x81\x02hi", b"\x88\x02\x03\xea"),
        (b"\x88\x82\0\0\0\0\x03\xe8", b"\x88\x02\x03\xe8"),
        (b"\x89\x82\0\0\0\0ab" + b"\x88\x80\0\0\0\0", b"\x8a\x02ab\x88\x00"),
    ):
        received = exchange(net.ws, handshake + frame)
        head, _, rest = received.partition(b"\r\n\r\n")
        assert accept_key(key) in head
        assert rest == answer


async def test_taken_port_is_named() -> None:
    """A port that is taken is a ConfigError that says which."""
    first = Localnet(Options(port=0, bare=True))
    await first.listen()
    try:
        port = urlsplit(first.http).port
        assert port
        with pytest.raises(ConfigError, match=f"ports {port} and {port + 1}"):
            await Localnet(Options(port=port, bare=True)).listen()
    finally:
        await first.close()


async def test_late_subscriber_is_dropped_not_served_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscriber that reads nothing is cut off at the backlog's limit, and the others go on."""
    monkeypatch.setattr(server, "MAX_BACKLOG_BYTES", 200_000)
    net = Localnet(Options(port=0, bare=True))
    await net.listen()
    try:
        async with aiohttp.ClientSession() as client:
            lazy = await client.ws_connect(net.ws)
            await lazy.send_json({"jsonrpc": "2.0", "id": 1, "method": "slotSubscribe"})
            await lazy.receive_json()
            (connection,) = [c for c in net.connections if c in net.hub._all]
            lazy._response.connection.transport.pause_reading()  # type: ignore[union-attr]
            for _ in range(20_000):
                connection.push(b'"' + bytes(1000).replace(b"\0", b"x") + b'"')
                connection.flush()
                if connection._closing:
                    break
            assert connection._closing
            for _ in range(100):
                if connection not in net.connections:
                    break
                await asyncio.sleep(0.01)
            assert connection not in net.connections
            async with client.post(net.http, json=json.loads(HEALTH)) as response:
                assert (await response.json())["result"] == "ok"
    finally:
        await net.close()
