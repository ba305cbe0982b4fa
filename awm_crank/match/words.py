"""Values as people read them: dates, SOL and durations."""

from __future__ import annotations

LAMPORTS_PER_SOL = 1_000_000_000
_CENTURIES = 200 * 10**9


def date(seconds: int) -> str:
    """A Unix time as `2026-11-27 20:34:47 UTC`; `-` for 0, which stands for "never"."""
    if not seconds:
        return "-"
    if not -_CENTURIES < seconds < _CENTURIES:
        return f"{seconds:,} s after 1970"
    # imported here, because --help uses this module and does not need it
    import numpy as np

    return f"{np.datetime64(seconds, 's')} UTC".replace("T", " ", 1)


def sol(lamports: int) -> str:
    """Lamports as SOL, exact and without trailing zeros: `7.1 SOL`."""
    whole, rest = divmod(abs(lamports), LAMPORTS_PER_SOL)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return f"{'-' if lamports < 0 else ''}{whole:,}{fraction} SOL"


def duration(frames: int, frames_per_second: int = 60) -> str:
    """How long so many frames last: `1 min 2.5 s`."""
    minutes, seconds = divmod(frames / frames_per_second, 60)
    return f"{minutes:.0f} min {seconds:.1f} s" if minutes else f"{seconds:.1f} s"
