"""The off-the-shelf crank: solana-py for HTTP and WebSocket, solders for every transaction, PyTorch for the step.

It does what anyone would write first: wait for the inputs, sleep until the tick, step, fetch a blockhash, build, sign,
send. It serves one session whose ring exists already. Every frame repeats the start position, since only the time is
measured. It logs its t0 as `awm-crank run` does. Only `awm-crank bench latency` uses it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Processed
from solana.rpc.models import TxOpts
from solana.rpc.websocket_api import SolanaWsClient
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.rpc.responses import AccountNotification
from solders.transaction import VersionedTransaction

from awm_crank.wire import bolt, ids, programs
from awm_crank.wire.accounts import InputBuffer, SessionState
from awm_crank.wire.args import FrameArgs

_PERIOD_S = 1 / 60


def stepper(shape: list[int]) -> Callable[[], object]:
    """A PyTorch step of a model of this shape. Without PyTorch, it does nothing."""
    try:
        from awm_crank.bench.torch_step import TorchSizes, step
    except ImportError:
        return lambda: None
    return step(TorchSizes(*shape))


async def send(client: AsyncClient, keypair: Keypair, instruction: Instruction) -> None:
    """Signs one instruction and sends it."""
    blockhash = (await client.get_latest_blockhash()).value.blockhash
    message = Message.new_with_blockhash([instruction], keypair.pubkey(), blockhash)
    await client.send_transaction(VersionedTransaction(message, [keypair]), TxOpts(skip_preflight=True))


async def serve(
    http: str, ws: str, keypair: Keypair, world: Pubkey, entity: Pubkey, step: Callable[[], object]
) -> None:
    """Serves one session until it is stopped."""
    payer = keypair.pubkey()
    keys = [bolt.component_pda(program, entity) for program in ids.SESSION_COMPONENTS]
    session_key, _, inputs_key, _ = keys
    args = bytes(FrameArgs.LAYOUT.size)
    template = bolt.apply_entity(ids.RUN_INFERENCE, payer, world, entity, ids.SESSION_COMPONENTS, args)
    head = bytes(template.data[: -FrameArgs.LAYOUT.size])
    tick, t0 = 0, 0.0
    async with AsyncClient(http, commitment=Processed) as client, SolanaWsClient(ws) as socket:
        await socket.account_subscribe(pubkey=inputs_key, commitment=Processed, encoding="base64")
        account = (await client.get_account_info(session_key)).value
        assert account is not None
        session = SessionState.decode(account.data)
        account = (await client.get_account_info(inputs_key)).value
        assert account is not None
        inputs = InputBuffer.decode(account.data)
        frame = session.frame + 1
        await send(client, keypair, programs.pin_cartridge(payer, entity, session.model))
        while True:
            while not (inputs.frame == frame and inputs.p1_ready and inputs.p2_ready):
                note = await socket.recv()
                assert isinstance(note, AccountNotification)
                inputs = InputBuffer.decode(bytes(note.result.value.data))
            now = time.monotonic()
            if not t0:
                t0 = now - _PERIOD_S
                sys.stdout.write(json.dumps({"event": "schedule", "session": str(session_key), "t0": t0}) + "\n")
                sys.stdout.flush()
            tick = max(tick + 1, math.floor((now - t0) / _PERIOD_S))
            await asyncio.sleep(max(0.0, t0 + tick * _PERIOD_S - time.monotonic()))
            step()
            args = struct.pack("<BII16s2s64s16s", 1, frame, 0, inputs.inputs, bytes(2), session.players, bytes(16))
            accounts = [AccountMeta(meta.pubkey, meta.is_signer, meta.is_writable) for meta in template.accounts]
            await send(client, keypair, Instruction(ids.WORLD, head + args, accounts))
            frame += 1
            if session.max_frames and frame > session.max_frames:
                # the match is over; the parent process ends this one
                await asyncio.Event().wait()


def main() -> None:
    """Reads the command line and serves."""
    parser = argparse.ArgumentParser()
    for name in ("http", "ws", "key", "world", "entity"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--shape", type=int, nargs=5, required=True)
    args = parser.parse_args()
    keypair = Keypair.from_json(Path(args.key).read_text())
    key = Pubkey.from_string
    asyncio.run(serve(args.http, args.ws, keypair, key(args.world), key(args.entity), stepper(args.shape)))


if __name__ == "__main__":
    main()
