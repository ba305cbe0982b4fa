"""Feeds the live view: makes pictures of what the observer has seen and sends them to the view's process."""

from __future__ import annotations

import contextlib
import subprocess
from types import TracebackType
from typing import Any, Self

import msgspec

from awm_crank.demo.accounting import MatchAccounting, Tally, percentile
from awm_crank.demo.view import DrawnFighter, Picture
from awm_crank.launch import own_command, own_environment
from awm_crank.match.stages import geometry
from awm_crank.wire.accounts import PlayerState, SessionState

_RECENT_FRAMES = 600
_RATE_FRAMES = 60


def fighter(state: bytes) -> DrawnFighter:
    """A PlayerState (32 bytes) as the view shows it."""
    player = PlayerState.decode(state)
    return DrawnFighter(
        player.x / 256, player.y / 256, player.percent, player.stocks, player.facing, player.action_state
    )  # fmt: skip


def stage_of(number: int) -> dict[str, Any]:
    """The parts of a stage that the view draws. A stage of unknown geometry gets a plain ground."""
    known = geometry(number)
    if "ground" not in known:
        return {"ground": 80.0}
    zones = known["blast_zones"]
    return {
        "ground": known["ground"]["x_max"],
        "platforms": [(each["x_min"], each["x_max"], each["y"]) for each in known["platforms"]],
        "blast": (zones["left"], zones["right"], zones["top"], zones["bottom"]),
    }


def frames_per_second(accounting: MatchAccounting) -> float:
    """The frame rate over the last 60 frames; 0 with fewer than two."""
    recent = accounting.judged[-_RATE_FRAMES - 1 :]
    if len(recent) < 2 or recent[-1].landed_at <= recent[0].landed_at:
        return 0.0
    return (len(recent) - 1) / (recent[-1].landed_at - recent[0].landed_at)


def picture(
    *, session: str, state: SessionState, match: int, seed: int, wanted: int, before: Tally, now: MatchAccounting
) -> Picture:
    """One moment of the demo.

    Args:
        before: the counts of earlier matches.
        now: the running match's.
    """
    recent = now.tally.latencies_s[-_RECENT_FRAMES:]
    fields = {
        "match": match, "seed": seed, "session": session, "frame": state.frame,
        "done": before.frames + now.last_frame, "wanted": wanted,
        "fighters": (fighter(state.players[:32]), fighter(state.players[32:])), "fps": frames_per_second(now),
        "last_ms": recent[-1] * 1e3 if recent else 0.0, "p50_ms": percentile(recent, 0.5) * 1e3,
        "p99_ms": percentile(recent, 0.99) * 1e3, "on_time": before.on_time + now.tally.on_time,
        "late": before.late + now.tally.late, "missed": before.missed + now.tally.missed, **stage_of(state.stage),
    }  # fmt: skip
    return msgspec.convert(fields, Picture)


class Viewer:
    """The live view's process. Entering the block starts it; leaving lets it draw its last picture and end."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        # a session of its own: the demo decides what Ctrl-C ends
        self._process = subprocess.Popen(
            own_command("awm_crank.demo.view"), stdin=subprocess.PIPE, start_new_session=True, env=own_environment()
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def show(self, shown: Picture) -> None:
        """Sends a picture. Without a running view it is dropped."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(msgspec.json.encode(shown) + b"\n")
                self._process.stdin.flush()
