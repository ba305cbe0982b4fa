"""Formats dates, SOL and durations for people."""

from __future__ import annotations

LAMPORTS_PER_SOL = 1_000_000_000
_CENTURIES = 200 * 10**9


def date(seconds: int) -> str:
    """A Unix time as `2026-11-27 20:34:47 UTC`. 0 means "never" and gives `-`."""
    if not seconds:
        return "-"
    if not -_CENTURIES < seconds < _CENTURIES:
        return f"{seconds:,} s after 1970"
    # imported here, because `--help` imports this module and must stay fast
    import numpy as np

    return f"{np.datetime64(seconds, 's')} UTC".replace("T", " ", 1)


def sol(lamports: int) -> str:
    """Lamports in SOL, exact and without trailing zeros, such as `7.1 SOL`."""
    whole, rest = divmod(abs(lamports), LAMPORTS_PER_SOL)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return f"{'-' if lamports < 0 else ''}{whole:,}{fraction} SOL"


def duration(frames: int, frames_per_second: int = 60) -> str:
    """The duration of this many frames, such as `1 min 2.5 s`."""
    minutes, seconds = divmod(frames / frames_per_second, 60)
    return f"{minutes:.0f} min {seconds:.1f} s" if minutes else f"{seconds:.1f} s"
