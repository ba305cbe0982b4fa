"""The demo from start to summary: matches one after another until all frames have been seen."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from awm_crank.client.player import PlayerConnection
from awm_crank.client.session import SessionAccounts
from awm_crank.demo.accounting import Tally
from awm_crank.demo.observer import MatchWatch, Observer
from awm_crank.demo.play import EndedMatch, OnRefresh, play_match
from awm_crank.demo.summary import Summary, latency_of
from awm_crank.demo.viewer import Viewer, picture
from awm_crank.engine.cartridge import Cartridge
from awm_crank.errors import AwmError
from awm_crank.rig.arena import Arena, open_arena
from awm_crank.viewer import PageServer
from awm_crank.wire.accounts import SessionState

Landed = Callable[[int], object]
"""Called with a number of frames."""


@dataclass(frozen=True)
class DemoOptions:
    """What to play. `keep` is the folder for keys, configuration and logs; None uses one that is removed at the end."""

    frames: int
    seed: int
    match_file: Path
    keep: Path | None = None
    view: bool = False


@dataclass
class _Progress:
    """The counts over all matches so far."""

    tally: Tally = field(default_factory=Tally)
    faults: list[str] = field(default_factory=list)
    play_s: float = 0.0
    matches: int = 0


async def run_demo(
    options: DemoOptions, say: Callable[[str], None], cartridge: Cartridge, *, landed: Landed = lambda _frames: None
) -> Summary:
    """Runs the demo and returns its summary; the match file is the last match's.

    Args:
        say: called with a sentence at each step.
        cartridge: the model to play.
        landed: called some times a second with the number of frames that have landed so far, in all matches.

    Raises:
        AwmError: a process did not start, ended, or stalled; the hint says where to look.
    """
    with contextlib.ExitStack() as stack:
        folder = arena_folder(options.keep, stack)
        async with (
            open_arena(folder, cartridge, say) as arena,
            Observer(arena.http, arena.ws) as observer,
            PlayerConnection(arena.http, arena.ws) as connection,
            contextlib.AsyncExitStack() as pages,
        ):
            progress = _Progress()
            if options.view:
                page = await pages.enter_async_context(PageServer(rpc=arena.http, ws=arena.ws, port=0))
                say(f"also in a browser, while it lasts: {page.url}")
            while True:
                with contextlib.ExitStack() as shown:
                    viewer = shown.enter_context(Viewer()) if options.view else None
                    played, seed = await _next_match(options, arena, observer, connection, progress, viewer, landed)
                if progress.tally.frames >= options.frames or progress.faults:
                    break
                say(f"match {progress.matches} ended by KO; {progress.tally.frames} of {options.frames} frames so far")
            say("match over; waiting for the crank's last checkpoint")
            state_hash = await observer.final_state(played.match.entity)
            match_file = await played.recorder.match_file(cartridge.sha256)
            options.match_file.write_bytes(match_file.encode() + b"\n")
    if observer.connection_losses:
        progress.faults.append(f"the observer lost its connection {observer.connection_losses} times")
    tally = progress.tally
    return Summary(
        frames=tally.frames, on_time=tally.on_time, late=tally.late, missed=tally.missed,
        latency_ms=latency_of(tally), session=str(played.match.session), final_state_sha256=state_hash,
        match_file=str(options.match_file), wanted=options.frames, in_order=not progress.faults,
        faults=tuple(progress.faults), matches=progress.matches, seed=seed, play_s=round(progress.play_s, 4),
        fps=round(tally.frames / progress.play_s, 3) if progress.play_s else 0.0,
        cartridge_sha256=cartridge.sha256.hex(),
    )  # fmt: skip


def arena_folder(keep: Path | None, stack: contextlib.ExitStack) -> Path:
    """The folder for an arena's files: `keep`, or one that the stack removes. Raises AwmError if it is in use."""
    if keep is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="awm-demo-")))
    keep.mkdir(parents=True, exist_ok=True)
    if any(keep.iterdir()):
        raise AwmError(f"{keep} is not empty", hint="name a new folder for --keep")
    return keep


async def _next_match(
    options: DemoOptions,
    arena: Arena,
    observer: Observer,
    connection: PlayerConnection,
    progress: _Progress,
    viewer: Viewer | None,
    landed: Landed,
) -> tuple[EndedMatch, int]:
    """Plays one more match and adds its counts; returns it and its seed."""
    seed = options.seed + progress.matches
    progress.matches += 1
    before = progress.tally
    show = None if viewer is None else _refresher(viewer, options, progress.matches, seed, before)
    earlier = before.frames

    def on_refresh(accounts: SessionAccounts, watch: MatchWatch) -> None:
        landed(earlier + watch.accounting.last_frame)
        if show is not None:
            show(accounts, watch)

    wanted = options.frames - before.frames
    played = await play_match(arena, observer, connection, seed=seed, max_frames=wanted, on_refresh=on_refresh)
    accounting = played.watch.accounting
    if not accounting.last_frame:
        progress.faults.append(f"match {progress.matches} ended without a frame")
    progress.faults += [f"match {progress.matches}: {fault}" for fault in accounting.faults]
    progress.tally.add(accounting.tally)
    progress.play_s += played.seconds
    return played, seed


def _refresher(viewer: Viewer, options: DemoOptions, match: int, seed: int, before: Tally) -> OnRefresh:
    def on_refresh(accounts: SessionAccounts, watch: MatchWatch) -> None:
        if watch.session_data:
            state, session = SessionState.decode(watch.session_data), str(accounts.session)
            shown = picture(
                session=session, state=state, match=match, seed=seed, wanted=options.frames, before=before,
                now=watch.accounting,
            )  # fmt: skip
            viewer.show(shown)

    return on_refresh
