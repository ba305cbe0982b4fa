"""One match of the demo: created, joined, played and watched until it has ended."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from awm_crank.client.player import Outcome, PlayerConnection, ScriptedPlayer
from awm_crank.client.recorder import Recorder
from awm_crank.client.session import SessionAccounts
from awm_crank.demo.observer import MatchWatch, Observer
from awm_crank.errors import AwmError
from awm_crank.match.players import agent
from awm_crank.rig.arena import Arena
from awm_crank.wire.transaction import Signer

# Their inputs depend only on seed, frame and the previous frame, so a demo is the same on every machine.
AGENTS = ("fighter", "fighter")
REFRESH_S = 1 / 15
"""seconds between two refreshes of the view"""
_STALL_S = 30.0
# the ring holds 256 frames or more: at least four seconds
_RECORD_S = 1.0
OnRefresh = Callable[[SessionAccounts, MatchWatch], None]
OnCreated = Callable[[SessionAccounts], Awaitable[None]]


@dataclass(frozen=True)
class EndedMatch:
    """A match that has ended."""

    match: SessionAccounts
    watch: MatchWatch
    t0: float
    outcome: Outcome
    recorder: Recorder
    """holds every frame's record"""

    @property
    def seconds(self) -> float:
        """From t0 to the last frame, as observed."""
        judged = self.watch.accounting.judged
        return judged[-1].landed_at - self.t0 if judged else 0.0


async def play_match(
    arena: Arena,
    observer: Observer,
    connection: PlayerConnection,
    *,
    seed: int,
    max_frames: int,
    on_refresh: OnRefresh | None = None,
    on_created: OnCreated | None = None,
) -> EndedMatch:
    """Plays a match until it has ended.

    Args:
        on_refresh: called 15 times a second while the match runs.
        on_created: called once the session exists, before player 2 joins.

    Raises:
        AwmError: a process ended, or no frame came for 30 s.
    """
    match = await arena.create(seed, max_frames)
    watch = await observer.watch(match.entity)
    if on_created is not None:
        await on_created(match)
    seats = [
        ScriptedPlayer(Signer(bytes(keypair)), number, agent(name))
        for number, (keypair, name) in enumerate(zip(arena.players, AGENTS, strict=True))
    ]
    schedule = asyncio.create_task(_schedule(arena, match, watch))
    recorder = Recorder(observer.rpc, match.entity)
    recording = asyncio.create_task(recorder.follow(watch.over, interval_s=_RECORD_S))
    playing = asyncio.create_task(connection.play(match.entity, arena.world, seats, seed))
    try:
        await arena.join(match)
        frame, moved = 0, time.monotonic()
        while not watch.over.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await watch.over.wait()
            if on_refresh is not None:
                on_refresh(match, watch)
            for task in (schedule, playing, recording):
                if task.done():
                    task.result()
            if watch.accounting.last_frame != frame:
                frame, moved = watch.accounting.last_frame, time.monotonic()
            elif time.monotonic() - moved > _STALL_S:
                raise AwmError(
                    f"no frame for {_STALL_S:g} s after frame {frame}; the crank's last words:\n"
                    f"{arena.crank_process.last_words()}\n",
                    hint="keep the logs with --keep DIR",
                )
            arena.require_running()
        async with asyncio.timeout(_STALL_S):
            await recording
            return EndedMatch(match, watch, await schedule, await playing, recorder)
    finally:
        tasks = (schedule, playing, recording)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _schedule(arena: Arena, match: SessionAccounts, watch: MatchWatch) -> float:
    t0 = await arena.schedule(match)
    watch.accounting.set_schedule(t0)
    return t0
