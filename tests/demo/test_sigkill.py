"""SIGKILL of the crank, anywhere: after a restart every frame's record equals the undisturbed match's.

The crank is the real process over HTTP and WebSocket. It kills itself at named points of its path (`fault_kill_at`):
while sending, confirming, checkpointing, setting up and warming up. Or it is killed from outside at seeded times.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from demo.cartridges import enduring

from awm_crank import config
from awm_crank.client.player import PlayerConnection, ScriptedPlayer
from awm_crank.client.recorder import Recorder
from awm_crank.demo.observer import MatchWatch, Observer
from awm_crank.engine.packaged import demo_cartridge
from awm_crank.engine.reference import ReferenceEngine
from awm_crank.match.file import MatchFile
from awm_crank.match.players import agent
from awm_crank.match.verify import verify_file
from awm_crank.rig.arena import Arena, open_arena
from awm_crank.wire.accounts import RECORD_SIZE
from awm_crank.wire.transaction import Signer

FRAMES = 180
SEED = 20
RESUME_S = 2.0
# the last 8 bytes of a record are of the chain hash, which names the session; verify_file recomputes them
_COMPARED = RECORD_SIZE - 8

# One line for each match: the points where its cranks are killed, in turn. `outside` kills after a seeded time of play.
PLANS = {
    "before the first frame": ["model:1", "claim:1", "claim-sent:1", "setup:1", "setup-sent:1", "warm-up:1"],
    "sending": ["before-send:1", "in-flight:9", "after-send:20", "before-send:31", "in-flight:1"],
    "confirming": ["confirm:12", "confirm:30", "replay:7", "after-send:1", "confirm:9"],
    "checkpointing": [
        "checkpoint-begin:1", "checkpoint-begin-sent:1", "checkpoint-chunk:1", "checkpoint-chunk:2",
        "checkpoint-chunk-sent:1", "checkpoint-finalize:1", "checkpoint-finalize-sent:1",
    ],
    "outside": ["outside"] * 6,
}  # fmt: skip


@dataclass
class Survivor:
    """The results of a match whose crank was killed."""

    file: MatchFile
    final_state: str
    resumes_s: list[float] = field(default_factory=list)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def arena(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Arena]:
    """One localnet with a small cartridge. Frames are four times as fast as live, with a checkpoint every 40."""
    folder: Path = tmp_path_factory.mktemp("arena")
    settings = config.Config(
        crank=config.CrankConfig(late_policy="wait", frame_period_us=4000),
        checkpoints=config.CheckpointsConfig(min_interval_frames=40, chunk_bytes=400, chunks_per_frame=1),
    )
    async with open_arena(folder, enduring("tiny"), crank=settings) as arena:
        await arena.crank_process.stop()
        yield arena


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def undisturbed(arena: Arena) -> Survivor:
    """The same match with a crank that is never killed."""
    return await survive(arena, [])


async def frame_after(watch: MatchWatch) -> None:
    """Waits until another frame has landed."""
    frame = watch.accounting.last_frame
    async with asyncio.timeout(20):
        while watch.accounting.last_frame == frame:  # noqa: ASYNC110 (the watch is told by a callback, many times)
            await asyncio.sleep(0.002)


async def survive(arena: Arena, kills: list[str], frames: int = FRAMES) -> Survivor:
    """Plays a match whose crank is killed and restarted at each of `kills`, in turn."""
    dice = random.Random(f"{SEED} {kills}")
    resumes: list[float] = []
    async with PlayerConnection(arena.http, arena.ws) as connection, Observer(arena.http, arena.ws) as observer:
        match = await arena.create(SEED, frames)
        seats = [
            ScriptedPlayer(Signer(bytes(keypair)), number, agent("random"))
            for number, keypair in enumerate(arena.players)
        ]
        watch = await observer.watch(match.entity)
        recorder = Recorder(observer.rpc, match.entity)
        playing = asyncio.create_task(connection.play(match.entity, arena.world, seats, SEED))
        try:
            await arena.join(match)
            for kill in kills:
                started = time.monotonic()
                crank = arena.start_crank(fault_kill_at="" if kill == "outside" else kill)
                if kill == "outside":
                    await frame_after(watch)
                    resumes.append(time.monotonic() - started)
                    await asyncio.sleep(dice.uniform(0, 0.08))
                    crank.kill()
                else:
                    async with asyncio.timeout(20):
                        await asyncio.to_thread(crank.process.wait)
                assert crank.process.returncode == -signal.SIGKILL, f"{kill} was not reached:\n{crank.last_words()}"
                assert not watch.over.is_set(), f"the match was over before {kill}"
            crank = arena.start_crank()
            async with asyncio.timeout(30):
                await recorder.follow(watch.over, interval_s=0.5)
                await playing
            final_state = await observer.final_state(match.entity)
            assert await crank.stop() == 0
            assert watch.accounting.faults == []
            return Survivor(await recorder.match_file(arena.cartridge.sha256), final_state, resumes)
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("plan", PLANS)
async def test_records_after_kills_are_the_undisturbed_ones(arena: Arena, undisturbed: Survivor, plan: str) -> None:
    """Every frame's record, and the final state, equal those of a match whose crank was never killed."""
    survivor = await survive(arena, PLANS[plan])
    expected = [record[:_COMPARED] for record in undisturbed.file.records]
    assert len(expected) == FRAMES
    found = [record[:_COMPARED] for record in survivor.file.records]
    assert [n for n, pair in enumerate(zip(expected, found, strict=True), 1) if pair[0] != pair[1]] == []
    assert survivor.final_state == undisturbed.final_state
    verdict = verify_file(survivor.file, ReferenceEngine(arena.cartridge), arena.cartridge.sha256)
    assert verdict.difference is None
    assert verdict.last == FRAMES


async def test_resuming_the_demos_match_is_quick(tmp_path: Path) -> None:
    """With the demo's cartridge and cadence, a new frame lands within two seconds of a crank's start."""
    settings = config.Config(crank=config.CrankConfig(late_policy="wait", frame_period_us=4000))
    async with open_arena(tmp_path, demo_cartridge(), crank=settings) as arena:
        await arena.crank_process.stop()
        survivor = await survive(arena, ["before-send:200", "outside", "confirm:60", "outside"], frames=500)
    assert len(survivor.resumes_s) == 2
    assert max(survivor.resumes_s) < RESUME_S


def test_enough_kills() -> None:
    """The tests kill at 20 points or more, among them sending, checkpoints and warm-up."""
    kills = [kill for plan in PLANS.values() for kill in plan]
    assert len(kills) >= 20
    assert {"in-flight:9", "after-send:20", "checkpoint-chunk:2", "warm-up:1"} <= set(kills)
