"""Plays frames on the engine program inside MagicBlock's real rollup, and compares them with the native engine's.

`python tools/onchain_rollup.py [--shape shipped] [--frames 20] [--kind rollup] [--engine FILE]` prints the compute
units of a frame and the time of a turn. `--engine` takes another build of the program, such as that with the syscall
sol_matmul_i8 (`python localnet/programs/build.py --matmul-syscall FILE`).

The image is built in LiteSVM and loaded into the chain before its first slot; a rollup clones it. There the run is
loaded as an account that is delegated already, with the records that the delegation program would write: the engine
program has no instruction for that yet.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction

sys.path.insert(0, str(Path(__file__).resolve().parent))

from onchain_frames import PART_WORDS, world_of

from awm_crank.bench.onchain import LIMIT, RUN, WAITS, OnchainWorld
from awm_crank.engine.frame import start_block
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.onchain import dump_work
from awm_crank.errors import AwmError
from awm_crank.localnet.rig import LocalnetProcess
from awm_crank.net.rpc import RpcClient
from awm_crank.wire import ids, onchain
from awm_crank.wire.accounts import EngineRun

VALIDATOR = Pubkey.from_string("mAGicPQYBMvcYveUZA5F5UNNwyHvfYh5xkLS2Fr1mev")
"""The rollup's identity where its configuration names none."""
FIRST_USES = 20
"""How often a program that the rollup has only just cloned may be refused."""


def record(run: Pubkey, lamports: int) -> dict[Pubkey, bytes]:
    """The delegation program's two records of a run in this rollup."""
    owner, never = bytes(onchain.ENGINE), (2**32 - 1).to_bytes(8, "little")
    kept = bytes(VALIDATOR) + owner + bytes(8) + lamports.to_bytes(8, "little") + never
    found = {"delegation": (100).to_bytes(8, "little") + kept, "delegation-metadata": (102).to_bytes(8, "little")}
    found["delegation-metadata"] += bytes(9) + bytes(4) + bytes(VALIDATOR)
    return {
        Pubkey.find_program_address([seed.encode(), bytes(run)], ids.DELEGATION)[0]: data
        for seed, data in found.items()
    }


def write_accounts(world: OnchainWorld, folder: Path, *, delegated: bool) -> None:
    """The image and the run as files in the Solana CLI's format; if delegated, with the run's records."""

    def write(key: Pubkey, data: bytes, owner: Pubkey, lamports: int) -> None:
        account = {"lamports": lamports, "owner": str(owner), "executable": False, "rentEpoch": 0}
        account["data"] = [base64.b64encode(data).decode(), "base64"]
        (folder / f"{key}.json").write_text(json.dumps({"pubkey": str(key), "account": account}))

    for part in range(onchain.parts(world.image()) + 1):
        key = world.key.part(part)
        write(key, world.data(key), onchain.ENGINE, world.svm.get_balance(key) or 0)
    lamports = world.svm.get_balance(world.run_key) or 0
    write(world.run_key, world.data(world.run_key), ids.DELEGATION if delegated else onchain.ENGINE, lamports)
    if not delegated:
        return
    for key, data in record(world.run_key, lamports).items():
        write(key, data, ids.DELEGATION, 10**7)


class RollupRun:
    """A run of the engine program inside the rollup."""

    def __init__(self, rpc: RpcClient, world: OnchainWorld) -> None:
        self.rpc, self.world = rpc, world
        self.parts = range(1, onchain.parts(world.image()) + 1)
        self.seconds: list[float] = []
        self._nonce = 0

    async def send(self, instruction: Instruction) -> str:
        """Sends one transaction, again while the rollup does not know the program yet; returns its signature."""
        for _ in range(FIRST_USES):
            self._nonce += 1
            latest: Any = await self.rpc.call("getLatestBlockhash")
            blockhash = Hash.from_string(latest["value"]["blockhash"])
            limit = set_compute_unit_limit(LIMIT - self._nonce % 500)
            payer = self.world.payer
            made = Transaction(
                [payer], Message.new_with_blockhash([limit, instruction], payer.pubkey(), blockhash), blockhash
            )
            text, before = base64.b64encode(bytes(made)).decode(), time.perf_counter()
            try:
                signature: str = await self.rpc.call("sendTransaction", [text, {"encoding": "base64"}])
            except AwmError as error:
                refused = error
                await asyncio.sleep(0.5)
                continue
            self.seconds.append(time.perf_counter() - before)
            return signature
        raise refused

    async def account(self) -> EngineRun:
        """The run's account; the first question makes the rollup clone it."""
        for _ in range(FIRST_USES):
            options = {"encoding": "base64", "commitment": "processed"}
            found: Any = await self.rpc.call("getAccountInfo", [str(self.world.run_key), options])
            if found["value"]:
                return EngineRun.decode(base64.b64decode(found["value"]["data"][0]))
            await asyncio.sleep(0.5)
        raise SystemExit("the rollup does not clone the run")

    async def turn(self) -> list[str]:
        """Sends turns until the run waits for inputs; returns their signatures."""
        signatures, run = [], await self.account()
        while run.stage != WAITS or run.fed > run.frame:
            signatures.append(await self.send(onchain.run_turn(self.world.run_key, self.world.key, self.parts)))
            run = await self.account()
        return signatures

    async def units(self, signatures: list[str]) -> int:
        """Compute units of these transactions."""
        options = {"encoding": "json", "maxSupportedTransactionVersion": 0}
        found: list[Any] = [await self.rpc.call("getTransaction", [each, options]) for each in signatures]
        return sum(each["meta"]["computeUnitsConsumed"] for each in found)


async def play(url: str, world: OnchainWorld, frames: int) -> str:
    """Plays and compares. Returns what to print; SystemExit where program and native engine differ."""
    async with RpcClient(url) as rpc:
        run, engine = RollupRun(rpc, world), NativeEngine(world.cartridge)
        block = (await run.account()).work[: world.cartridge.shape.encoding.block_size]
        await run.turn()
        run.seconds.clear()
        state = engine.start_state(block)
        context, units = engine.backbone(state, block), []
        for n in range(1, frames + 1):
            pads = hashlib.sha256(b"rollup frame %d" % n).digest()[:16]
            await run.send(onchain.run_feed(world.payer.pubkey(), RUN, n, pads))
            run.seconds.pop()
            signatures = await run.turn()
            block = engine.heads(context, block, pads)
            context = engine.backbone(state, block)
            account = await run.account()
            if account.work[: len(block)] != block:
                raise SystemExit(f"the block of frame {n} differs")
            units.append(await run.units(signatures))
        if dump_work(world.cartridge.shape, account.work, account.step) != engine.dump(state):
            raise SystemExit(f"the state after frame {frames} differs")
    times = sorted(1000 * each for each in run.seconds)
    return (
        f"{frames} frames equal to the native engine's; units a frame: median {statistics.median(units):,.0f}\n"
        f"a turn, request included: median {statistics.median(times):.1f} ms, best {times[0]:.1f} ms\n"
    )


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Frames of the engine program in MagicBlock's rollup.")
    parser.add_argument("--shape", default="shipped")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--kind", choices=("rollup", "embedded"), default="rollup")
    parser.add_argument("--engine", type=Path, help="another build of the engine program")
    args = parser.parse_args()
    code = args.engine.read_bytes() if args.engine else None
    world = OnchainWorld(world_of(args.shape), PART_WORDS.get(args.shape, 262_144), code=code)
    world.allocate()
    world.build()
    world.make_run(start_block(32, (1, 20), world.cartridge.shape.encoding.extra_size))
    with tempfile.TemporaryDirectory() as name:
        write_accounts(world, Path(name), delegated=args.kind == "rollup")
        options = ["--account", name, "--fund", str(world.payer.pubkey())]
        if args.engine:
            options += ["--program", str(onchain.ENGINE), str(args.engine)]
        with LocalnetProcess(args.kind, *options) as net:
            sys.stdout.write(f"{args.shape}, {args.kind}: " + asyncio.run(play(net.http, world, args.frames)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
