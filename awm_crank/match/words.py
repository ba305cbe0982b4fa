"""Values as people read them: dates, SOL, durations, and text from outside without control characters."""

from __future__ import annotations

import unicodedata

LAMPORTS_PER_SOL = 1_000_000_000
_CENTURIES = 200 * 10**9
_UNSAFE = {"Cc", "Cf", "Zl", "Zp", "Cs", "Co"}
"""Unicode categories that move the cursor, reorder text or do not show: controls, formats, line separators."""


def clean(text: str, *, keep: str = "") -> str:
    """Text in which no character can control a terminal: `\\x1b[2J` for a byte that would clear the screen.

    Names, error messages and log lines come from chains and endpoints that strangers write to.

    Args:
        keep: characters that stay as they are, for example `"\\n"` in text of several lines.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        each if each in keep or unicodedata.category(each) not in _UNSAFE else _escaped(each) for each in text
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def date(seconds: int) -> str:
    """A Unix time as `2026-11-27 20:34:47 UTC`; `-` for 0, which stands for "never"."""
    if not seconds:
        return "-"
    if not -_CENTURIES < seconds < _CENTURIES:
        return f"{seconds:,} s after 1970"
    # not needed for --help, which comes past here
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
