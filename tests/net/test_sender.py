"""Signing and sending: distinct bytes, fresh blockhashes, and outcomes in order."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import Transaction

from awm_crank import config
from awm_crank.errors import AwmError, LayoutError, ProgramError, RpcError
from awm_crank.net.blockhash import BlockhashKeeper
from awm_crank.net.rpc import RpcClient
from awm_crank.net.sender import MAX_BATCH, Sender, batches
from awm_crank.wire import programs
from awm_crank.wire.transaction import Signer

if TYPE_CHECKING:
    from .conftest import Endpoint

PROGRAM, ACCOUNT = Pubkey.new_unique(), Pubkey.new_unique()
KEY = Keypair()
PACKET = 1232
"""The most bytes that a transaction may have."""


def instruction(data: bytes = b"12345678abc") -> Instruction:
    """An instruction with one account."""
    return Instruction(PROGRAM, data, [AccountMeta(KEY.pubkey(), True, True), AccountMeta(ACCOUNT, False, True)])


def sender(rpc: RpcClient) -> Sender:
    """A sender that has a blockhash."""
    blockhash = BlockhashKeeper(rpc)
    blockhash.value = bytes(range(32))
    return Sender(rpc, Signer(bytes(KEY)), blockhash)


def refusal(code: int) -> dict[str, Any]:
    """A preflight failure as an endpoint writes it."""
    err = {"InstructionError": [1, {"Custom": code}]}
    return {"code": -32002, "message": "simulation failed", "data": {"err": err, "logs": []}}


async def test_signed_transaction(endpoint: Endpoint) -> None:
    """The transaction verifies and carries the instruction's data and the current blockhash."""
    async with RpcClient(endpoint.http) as rpc:
        one = sender(rpc)
        for data in (b"12345678abc", b"12345678xyz", b"12345678longer"):
            transaction = Transaction.from_bytes(one.sign([instruction(data)]).wire)
            transaction.verify()
            assert bytes(transaction.message.recent_blockhash) == bytes(range(32))
            assert bytes(transaction.message.instructions[-1].data) == data


async def test_largest_chunk(endpoint: Endpoint) -> None:
    """The largest chunk that can be configured is the largest that fits a transaction."""
    largest = 938
    config.parse(f"[checkpoints]\nchunk_bytes = {largest}")
    async with RpcClient(endpoint.http) as rpc:
        one, me, entity = sender(rpc), Signer(bytes(KEY)).pubkey, Pubkey.new_unique()
        fits = one.sign([programs.checkpoint_write(me, entity, 1, 3_000_000, bytes(largest))])
        assert len(fits.wire) == PACKET
        with pytest.raises(LayoutError, match="1233 bytes"):
            one.sign([programs.checkpoint_write(me, entity, 1, 3_000_000, bytes(largest + 1))])


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("skip", [False, True])
async def test_preflight(endpoint: Endpoint, count: int, skip: bool) -> None:
    """Preflight applies to every transaction of a request or to none, alone or in a batch."""
    bodies: list[Any] = []

    def answer(body: Any) -> web.Response:
        bodies.extend(body if isinstance(body, list) else [body])
        answers = [{"jsonrpc": "2.0", "id": each["id"], "result": "signature"} for each in bodies]
        return web.json_response(answers if isinstance(body, list) else answers[0])

    endpoint.answer = answer
    async with RpcClient(endpoint.http) as rpc:
        one = sender(rpc)
        signed = [one.sign([instruction()]) for _ in range(count)]
        assert await one.send_all(signed, skip_preflight=skip) == [None] * count
    assert [each["params"][1].get("skipPreflight", False) for each in bodies] == [skip] * count


async def test_equal_instructions_give_other_bytes(endpoint: Endpoint) -> None:
    """The same instructions, sent twice under one blockhash, are two different transactions."""
    async with RpcClient(endpoint.http) as rpc:
        one = sender(rpc)
        assert len({one.sign([instruction()]).signature for _ in range(5)}) == 5
        assert len({one.sign([instruction(), instruction()]).signature for _ in range(5)}) == 5


async def test_no_blockhash_yet(endpoint: Endpoint) -> None:
    """Before the first blockhash, signing raises a recoverable error."""
    async with RpcClient(endpoint.http) as rpc:
        one = Sender(rpc, Signer(bytes(KEY)), BlockhashKeeper(rpc))
        with pytest.raises(RpcError) as caught:
            one.sign([instruction()])
        assert caught.value.recoverable


async def test_outcomes(endpoint: Endpoint) -> None:
    """Each transaction of a batch gets its own outcome, whatever order the answers came in."""

    def answer(body: Any) -> web.Response:
        first, second, _ = body
        assert base64.b64decode(first["params"][0])
        return web.json_response(
            [
                {"jsonrpc": "2.0", "id": second["id"], "error": refusal(6033)},
                {"jsonrpc": "2.0", "id": first["id"], "result": "5" * 88},
            ]
        )

    endpoint.answer = answer
    async with RpcClient(endpoint.http) as rpc:
        one = sender(rpc)
        good, bad, missing = await one.send_all([one.sign([instruction()]) for _ in range(3)])
    assert good is None
    assert isinstance(bad, ProgramError)
    assert bad.code == 6033
    assert isinstance(missing, AwmError)
    assert missing.recoverable


async def test_one_alone(endpoint: Endpoint) -> None:
    """A single transaction is sent as an object, and its refusal is returned, not raised."""
    endpoint.answer = lambda body: web.json_response({"jsonrpc": "2.0", "id": body["id"], "error": refusal(6030)})
    async with RpcClient(endpoint.http) as rpc:
        one = sender(rpc)
        (outcome,) = await one.send_all([one.sign([instruction()])])
    assert isinstance(outcome, ProgramError)
    assert outcome.code == 6030


async def test_endpoint_gone() -> None:
    """When no endpoint answers, every transaction's outcome says so."""
    async with RpcClient("http://127.0.0.1:9", retry_s=0) as rpc:
        one = sender(rpc)
        outcomes = await one.send_all([one.sign([instruction()]) for _ in range(2)])
    assert all(isinstance(outcome, RpcError) and outcome.recoverable for outcome in outcomes)


def test_batches() -> None:
    """Items go out in order, in groups of at most MAX_BATCH."""
    items = list(range(2 * MAX_BATCH + 1))
    groups = list(batches(items))
    assert [len(group) for group in groups] == [MAX_BATCH, MAX_BATCH, 1]
    assert [each for group in groups for each in group] == items
    assert not list(batches([]))


async def test_answer_of_another_request(endpoint: Endpoint) -> None:
    """An answer with another id does not count for this transaction, and the send fails with a recoverable error."""
    endpoint.answer = lambda body: web.json_response({"jsonrpc": "2.0", "id": body["id"] + 1, "result": "5" * 88})
    async with RpcClient(endpoint.http) as rpc:
        one = sender(rpc)
        outcome = await one.send(one.sign([instruction()]))
    assert isinstance(outcome, RpcError)
    assert outcome.recoverable
