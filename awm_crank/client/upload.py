"""Brings one shard's bytes into its account: grows it, writes chunks, has the chain hash them, and finalizes it.

Each step begins with what the account already holds, so nothing is sent twice. Chunks travel in JSON-RPC batches. A
chunk that got lost is found by reading the account again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha256

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ..errors import AwmError, CartridgeError, RpcError
from ..net.rpc import RpcClient
from ..wire import programs
from ..wire.accounts import WeightShard
from ..wire.contract import LEAF_BYTES
from ..wire.failures import error_in_words, transaction_error
from ..wire.transaction import MAX_COMPUTE_UNITS, Signer, compute_unit_limit, sign_once
from .chain import Chain
from .patience import busy_code

CHUNK = 1000
"""Bytes in one shard_write. With the program and two more keys, the transaction stays below 1,232 bytes."""
# validators refuse requests of more than 50 KiB; a full transaction takes 1.8 KB of one
_BATCH = 27
_LEAVES_AT_ONCE = 32
_GROWS_AT_ONCE = 24
_CONFIRM_S = 15.0
_ROUNDS = 10
"""Times in a row that all chunks may get lost before the upload gives up."""
_LONGEST_PAUSE_S = 5.0


async def fill_shard(
    chain: Chain, rpc: RpcClient, authority: Keypair, key: Pubkey, index: int, data: bytes,
    tell: Callable[[str, int], object],
) -> int:  # fmt: skip
    """Grows, writes, hashes and finalizes one shard, beginning with what is there; returns the bytes sent."""
    payer = authority.pubkey()
    shard = await _shard(chain, key)
    size = WeightShard.LAYOUT.size
    sent = 0
    if shard.leaves_hashed == 0 and not shard.finalized:
        missing = -(-(len(data) - len(shard.data)) // programs.GROWTH)
        grows = [programs.shard_grow(payer, key, index, len(data))] * max(missing, shard.data_size != len(data))
        for at in range(0, len(grows), _GROWS_AT_ONCE):
            tell("grow", len(shard.data) + at * programs.GROWTH)
            await chain.send([_limit(at), *grows[at : at + _GROWS_AT_ONCE]], authority)
        sent = await _write(chain, rpc, authority, key, data, tell)
        shard = await _shard(chain, key)
    if shard.data != data:
        raise CartridgeError(
            f"shard {index} ({key}) is being hashed and holds other bytes", hint="awm-crank unpublish it, then publish"
        )
    for done in range(shard.leaves_hashed, -(-len(data) // LEAF_BYTES), _LEAVES_AT_ONCE):
        tell("hash", min(done * LEAF_BYTES, len(data)))
        await chain.send([_limit(done), programs.shard_hash_leaves(payer, key, _LEAVES_AT_ONCE)], authority)
    if not shard.finalized:
        finalize = programs.shard_finalize(payer, key, sha256(data).digest())
        await chain.send([_limit(), finalize], authority)
    account = await chain.need(key, f"shard {index}")
    if len(account.data) != size + len(data):
        raise CartridgeError(f"shard {index} ({key})", expected=f"{size + len(data)} bytes", found=len(account.data))
    return sent


async def _shard(chain: Chain, key: Pubkey) -> WeightShard:
    account = await chain.need(key, "shard")
    return WeightShard.decode(account.data, owner=account.owner, address=key)


async def _write(
    chain: Chain, rpc: RpcClient, authority: Keypair, key: Pubkey, data: bytes, tell: Callable[[str, int], object]
) -> int:
    """Sends the chunks that differ until none does; returns the bytes sent, those that got lost included."""
    signer = Signer(bytes(authority))
    sent = without_progress = 0
    before: list[int] = []
    while without_progress < _ROUNDS:
        there = (await _shard(chain, key)).data
        chunks = [at for at in range(0, len(data), CHUNK) if there[at : at + CHUNK] != data[at : at + CHUNK]]
        if not chunks:
            return sent
        if chunks == before:
            without_progress += 1
            await asyncio.sleep(min(0.1 * 2**without_progress, _LONGEST_PAUSE_S))
        else:
            without_progress = 0
        before = chunks
        for start in range(0, len(chunks), _BATCH):
            batch = chunks[start : start + _BATCH]
            tell("write", batch[0])
            await _send_batch(chain, rpc, signer, [
                programs.shard_write(signer.pubkey, key, at, data[at : at + CHUNK]) for at in batch
            ])  # fmt: skip
            sent += sum(len(data[at : at + CHUNK]) for at in batch)
        # a batch counts as processed before the commitment that is read shows it
        await chain.blockhash()
    raise RpcError(
        f"shard {key}: chunks do not arrive", hint="run publish again: it goes on from here", recoverable=True
    )


async def _send_batch(chain: Chain, rpc: RpcClient, signer: Signer, instructions: Sequence[Instruction]) -> None:
    """Sends one transaction for each instruction, in one request, and waits until all have landed or time is up.

    What an endpoint did not take, or whose answer got lost, is left to the next round.

    Raises:
        ProgramError, RpcError: one of them was refused for good.
    """
    blockhash, _ = await chain.blockhash()
    signed = [sign_once([each], signer.pubkey, (signer,), bytes(blockhash)) for each in instructions]
    options = {"encoding": "base64", "skipPreflight": True}
    try:
        answers = await rpc.batch([("sendTransaction", [each.base64().decode(), options]) for each in signed])
    except RpcError as error:
        if not error.recoverable:
            raise
        return
    for answer in answers:
        if isinstance(answer, AwmError) and not _may_pass(answer):
            raise answer
    left = [answer for answer in answers if isinstance(answer, str)]
    wait = 0.005
    deadline = asyncio.get_running_loop().time() + _CONFIRM_S
    while left and asyncio.get_running_loop().time() < deadline:
        statuses = await chain.statuses(left)
        for status in statuses:
            if status is not None and status.refused is not None:
                raise transaction_error(status.refused)
        left = [signature for signature, status in zip(left, statuses, strict=True) if status is None]
        if left:
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, 0.4)


def _may_pass(error: AwmError) -> bool:
    named = error_in_words(str(error)) or error
    refusal = error.data.get("err") if isinstance(error, RpcError) and isinstance(error.data, dict) else None
    if refusal is not None:
        named = transaction_error(refusal)
    done = isinstance(named, RpcError) and named.data == "AlreadyProcessed"
    return done or named.recoverable or (isinstance(error, RpcError) and busy_code(error.code))


def _limit(step: int = 0) -> Instruction:
    # another `step` makes equal transactions differ: with the same blockhash, the second one would count as already
    # processed
    return compute_unit_limit(MAX_COMPUTE_UNITS - step)
