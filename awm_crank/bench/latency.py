"""From the last input to the frame, as an observer sees it: `awm-crank run` against the off-the-shelf crank.

Both serve a match of the same players on the same localnet, one after the other, at 60 frames per second. Observer and
latency are the demo's. If the inputs arrive before the tick is due, latency counts from the tick.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from awm_crank.bench.report import Comparison
from awm_crank.client.player import PlayerConnection
from awm_crank.client.session import SessionAccounts
from awm_crank.demo.accounting import FRAMES_PER_SECOND, Tally
from awm_crank.demo.observer import Observer
from awm_crank.demo.play import play_match
from awm_crank.demo.summary import latency_of
from awm_crank.engine.packaged import demo_cartridge
from awm_crank.rig.arena import Arena, open_arena
from awm_crank.wire import programs
from awm_crank.wire.accounts import RECORD_SIZE

_MIN_FRAMES = 300
_ROUNDS = 3


async def start_naive(arena: Arena, match: SessionAccounts, frames: int) -> None:
    """Makes the ring that frames need, and starts the off-the-shelf crank on the session in place of the arena's."""
    capacity = max(256, frames)
    grow = programs.ring_grow(arena.crank_key.pubkey(), match.entity, capacity)
    await arena.chain.send([grow] * -(-capacity * RECORD_SIZE // programs.GROWTH), arena.crank_key)
    shape = arena.cartridge.shape
    sizes = (shape.num_layers, shape.d_model, shape.d_inner, shape.d_state, shape.num_heads)
    where = ["--http", arena.http, "--ws", arena.ws, "--world", str(arena.world), "--entity", str(match.entity)]
    what = ["--key", str(arena.folder / "crank.json"), "--shape", *map(str, sizes)]
    arena.crank_process = arena.children.start_own("naive", *where, *what, module="awm_crank.bench.naive_crank")


async def compare(frames: int) -> tuple[Tally, Tally]:
    """The counts of our matches and of the off-the-shelf crank's, `frames` each (rounded up to thirds).

    They take turns, so that both meet the same load of the machine. Raises AwmError if one does not run.
    """
    ours, theirs = Tally(), Tally()
    part = -(-frames // _ROUNDS)
    with tempfile.TemporaryDirectory(prefix="awm-bench-") as folder:
        async with (
            open_arena(Path(folder), demo_cartridge()) as arena,
            Observer(arena.http, arena.ws) as observer,
            PlayerConnection(arena.http, arena.ws) as connection,
        ):

            async def on_created(match: SessionAccounts) -> None:
                await start_naive(arena, match, part)

            for seed in range(_ROUNDS):
                if seed:
                    await arena.start_crank().ready()
                played = await play_match(arena, observer, connection, seed=seed, max_frames=part)
                ours.add(played.watch.accounting.tally)
                await arena.crank_process.stop()
                played = await play_match(
                    arena, observer, connection, seed=seed, max_frames=part, on_created=on_created
                )
                theirs.add(played.watch.accounting.tally)
                await arena.crank_process.stop()
    return ours, theirs


def measure(seconds: float) -> list[Comparison]:
    """Median and 99th percentile in ms, over at least 300 frames."""
    frames = max(_MIN_FRAMES, round(seconds * FRAMES_PER_SECOND))
    ours, theirs = asyncio.run(compare(frames))
    mine, other = latency_of(ours), latency_of(theirs)
    how = f"awm-crank run, {ours.frames} frames, {ours.missed} ticks missed"
    other_how = f"solana-py, solders and PyTorch, {theirs.frames} frames, {theirs.missed} ticks missed"
    return [
        Comparison(name=f"input to frame, {name}", unit="ms", ours=a, ours_how=how, other=b, other_how=other_how)
        for name, a, b in (("p50", mine.p50, other.p50), ("p99", mine.p99, other.p99))
    ]
