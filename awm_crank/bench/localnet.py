"""`python -m awm_crank.bench.localnet`: what a frame costs the localnet, and how soon its change is notified.

A frame is two submit-inputs and one run-inference, each sent over its own connection, 60 times a second. A crank (four
components), two players and an observer (the session each) subscribe, as in a match.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import os
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ..localnet.rig import EmbeddedLocalnet
from ..wire import bolt, ids, layouts, programs
from ..wire.args import FrameArgs, Input, Lifecycle
from ..wire.start import start_players
from ..wire.transaction import Signer, Template, args_range, sign_once

_UNITS = 1_000_000
_CAPACITY = 256
_INPUT_COMPONENTS = (ids.SESSION_STATE, ids.INPUT_BUFFER)
_IDLE_S = 2.0


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used: from /proc in steps of 10 ms, elsewhere from `ps`, which is coarser."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        fields = stat.read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))
    text = subprocess.run(["ps", "-o", "time=", "-p", str(pid)], check=True, capture_output=True, text=True).stdout
    seconds = 0.0
    for part in text.strip().replace("-", ":").split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


class _Match:
    """A session on a localnet, and the templates of its frames."""

    def __init__(self, net: EmbeddedLocalnet) -> None:
        self._net = net
        self.players = [net.funded(), net.funded()]
        self.writer = net.funded()
        one = self.players[0].pubkey()
        registry = self._data(bolt.registry_pda())
        number = int.from_bytes(registry[8:16], "little")
        self._number = number
        self.world, self.entity = bolt.world_pda(number), bolt.entity_pda(number)
        self._send(self.players[0], bolt.initialize_new_world(one, number))
        self._send(self.players[0], bolt.add_entity(one, self.world, self.entity))
        for program in ids.SESSION_COMPONENTS:
            self._send(self.players[0], bolt.initialize_component(one, self.entity, program))
        model = self._publish()
        for action, player in enumerate(self.players):
            args = Lifecycle(action, player.pubkey(), 1, 32, model, 0, 1, 256, 16, 2, self.writer.pubkey()).to_binary()
            self._send(player, self._apply(ids.SESSION_LIFECYCLE, player.pubkey(), ids.SESSION_COMPONENTS, args))
        for _ in range(3):
            self._send(self.writer, programs.ring_grow(self.writer.pubkey(), self.entity, _CAPACITY))
        self._send(self.writer, programs.claim(self.writer.pubkey(), self.entity, 0))
        self._send(self.writer, programs.pin_cartridge(self.writer.pubkey(), self.entity, model))
        inputs = [self._input(player, 0) for player in self.players]
        frame = self._frame(1)
        self._signers = [Signer(bytes(pair)) for pair in [*self.players, self.writer]]
        self._templates = [
            Template(
                [self._apply(ids.SUBMIT_INPUT, player.pubkey(), _INPUT_COMPONENTS, args)],
                player.pubkey(),
                patch=args_range(0, len(args)),
            )
            for player, args in zip(self.players, inputs, strict=True)
        ]
        self._templates.append(
            Template(
                [self._apply(ids.RUN_INFERENCE, self.writer.pubkey(), ids.SESSION_COMPONENTS, frame)],
                self.writer.pubkey(),
                patch=args_range(0, len(frame)),
                compute_units=_UNITS,
            )
        )

    def _publish(self) -> Pubkey:
        """A ready manifest of one small shard. Nobody runs the model."""
        author, data = self.players[0], bytes(64)
        key, entity = author.pubkey(), bolt.entity_pda(self._number, 1)
        shard, manifest = (bolt.component_pda(each, entity) for each in (ids.WEIGHT_SHARD, ids.MODEL_MANIFEST))
        fields = {"num_shards": b"\1" + bytes(shard), "shard_sizes": len(data).to_bytes(4, "little")}
        fields["cartridge_hash"] = hashlib.sha256(data).digest()
        calls = [bolt.add_entity(key, self.world, entity)]
        calls += [bolt.initialize_component(key, entity, each) for each in (ids.WEIGHT_SHARD, ids.MODEL_MANIFEST)]
        calls += [programs.shard_grow(key, shard, 0, len(data)), programs.shard_hash_leaves(key, shard, 1)]
        calls.append(programs.shard_finalize(key, shard, fields["cartridge_hash"]))
        for name, value in fields.items():
            calls.append(programs.manifest_write(key, manifest, layouts.MODEL_MANIFEST.offset(name), value))
        calls.append(programs.manifest_finalize(key, manifest, [shard]))
        for call in calls:
            self._send(author, call)
        return manifest

    def _apply(self, system: Pubkey, key: Pubkey, components: tuple[Pubkey, ...], args: bytes) -> Any:
        return bolt.apply_entity(system, key, self.world, self.entity, components, args)

    def _data(self, key: Pubkey) -> bytes:
        return base64.b64decode(self._net.call("getAccountInfo", str(key), {"encoding": "base64"})["value"]["data"][0])

    def blockhash(self) -> bytes:
        """The newest blockhash."""
        return bytes(Hash.from_string(self._net.call("getLatestBlockhash")["value"]["blockhash"]))

    def _send(self, payer: Keypair, call: Any) -> None:
        signed = sign_once([call], payer.pubkey(), [Signer(bytes(payer))], self.blockhash(), compute_units=_UNITS)
        self._net.call("sendTransaction", signed.base64().decode(), {"encoding": "base64"})
        # otherwise the next transaction may have the same bytes
        time.sleep(0.02)

    @staticmethod
    def _controls(frame: int) -> list[bytes]:
        return [struct.pack("<bbbbBBBB", frame % 160 - 80, 0, 0, 0, 0, 0, frame & 3, 0), bytes(8)]

    def _input(self, player: Keypair, frame: int) -> bytes:
        return Input(player.pubkey(), self._controls(frame)[self.players.index(player)], frame).to_binary()

    def _frame(self, frame: int) -> bytes:
        start = bytearray(start_players(1, 1))
        start[0:4] = (frame % 1000).to_bytes(4, "little")
        inputs = b"".join(self._controls(frame))
        return FrameArgs(frame, 1, inputs, bytes(2), bytes(start), bytes(16)).to_binary()

    def bodies(self, frame: int, blockhash: bytes) -> list[bytes]:
        """The three requests of a frame."""
        args = [*(self._input(player, frame) for player in self.players), self._frame(frame)]
        rows = zip(self._templates, self._signers, args, strict=True)
        return [
            b'{"jsonrpc":"2.0","id":%d,"method":"sendTransaction","params":["%b",'
            b'{"encoding":"base64","skipPreflight":true}]}' % (frame, template.sign(blockhash, [signer], data).base64())
            for template, signer, data in rows
        ]

    def accounts(self) -> list[list[Pubkey]]:
        """The accounts that crank, two players and an observer subscribe to."""
        session = bolt.component_pda(ids.SESSION_STATE, self.entity)
        all_four = [bolt.component_pda(program, self.entity) for program in ids.SESSION_COMPONENTS]
        return [all_four, [session], [session], [session]]


async def _watch(
    client: aiohttp.ClientSession, url: str, keys: list[Pubkey], seen: asyncio.Queue[float] | None
) -> asyncio.Task[None]:
    socket = await client.ws_connect(url)
    for number, key in enumerate(keys):
        request = {"jsonrpc": "2.0", "id": number, "method": "accountSubscribe"}
        await socket.send_json({**request, "params": [str(key), {"encoding": "base64", "commitment": "processed"}]})
        await socket.receive_json()

    async def read() -> None:
        async for message in socket:
            if seen is not None and message.type is aiohttp.WSMsgType.TEXT:
                seen.put_nowait(time.perf_counter())

    return asyncio.create_task(read())


async def measure(frames: int, fps: float = 60.0) -> dict[str, Any]:
    """Runs the benchmark; times are in milliseconds. Raises AwmError if a frame does not land."""
    # more frames than the ring holds would need checkpoints, which are not measured here
    frames = min(frames, _CAPACITY)
    async with EmbeddedLocalnet() as net, aiohttp.ClientSession() as client:
        match = await asyncio.to_thread(_Match, net)
        idle_from = cpu_seconds(net.pid)
        await asyncio.sleep(_IDLE_S)
        idle = (cpu_seconds(net.pid) - idle_from) / _IDLE_S
        seen: asyncio.Queue[float] = asyncio.Queue()
        watchers = match.accounts()
        tasks = [await _watch(client, net.ws, keys, None) for keys in watchers[:-1]]
        tasks.append(await _watch(client, net.ws, watchers[-1], seen))

        async def post(body: bytes) -> None:
            headers = {"Content-Type": "application/json"}
            async with client.post(net.http, data=body, headers=headers) as answer:
                reply = await answer.read()
            if b'"error"' in reply:
                raise RuntimeError(reply.decode())

        latencies: list[float] = []
        used = cpu_seconds(net.pid)
        started = time.perf_counter()
        blockhash = match.blockhash()
        for frame in range(1, frames + 1):
            await asyncio.sleep(max(0.0, started + frame / fps - time.perf_counter()))
            *inputs, inference = match.bodies(frame, blockhash)
            await asyncio.gather(*map(post, inputs))
            sent = time.perf_counter()
            answer = asyncio.create_task(post(inference))
            latencies.append((await asyncio.wait_for(seen.get(), 5) - sent) * 1000)
            await answer
        wall = time.perf_counter() - started
        used = cpu_seconds(net.pid) - used
        for task in tasks:
            task.cancel()
    latencies.sort()
    return {
        "frames": frames,
        "fps": round(frames / wall, 2),
        "cpu_ms_per_frame": round((used - idle * wall) / frames * 1000, 3),
        "idle_cpu_percent": round(idle * 100, 2),
        "send_to_notified_ms": {
            "p50": round(latencies[len(latencies) // 2], 3),
            "p99": round(latencies[int(len(latencies) * 0.99)], 3),
        },
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m awm_crank.bench.localnet")
    parser.add_argument("--frames", type=int, default=_CAPACITY, help="at most 256 (default: %(default)s)")
    parser.add_argument("--fps", type=float, default=60.0)
    parser.add_argument("--json", action="store_true", help="print JSON; there is no other form")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the JSON to FILE (default: standard output)")
    args = parser.parse_args()
    figures = asyncio.run(measure(args.frames, args.fps))
    shown = msgspec.json.format(msgspec.json.encode(figures)) + b"\n"
    if args.output is None:
        sys.stdout.write(shown.decode())
    else:
        args.output.write_bytes(shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
