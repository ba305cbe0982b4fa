"""How commands show values to people: dates, SOL, durations, and text from outside without control characters."""

from __future__ import annotations

import datetime
import unicodedata
from typing import Any

LAMPORTS_PER_SOL = 1_000_000_000
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
    try:
        at = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (OverflowError, OSError, ValueError):
        return f"{seconds:,} s after 1970"
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def sol(lamports: int) -> str:
    """Lamports as SOL, exact and without trailing zeros: `7.1 SOL`."""
    whole, rest = divmod(abs(lamports), LAMPORTS_PER_SOL)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return f"{'-' if lamports < 0 else ''}{whole:,}{fraction} SOL"


def duration(frames: int, frames_per_second: int = 60) -> str:
    """How long so many frames last: `1 min 2.5 s`."""
    minutes, seconds = divmod(frames / frames_per_second, 60)
    return f"{minutes:.0f} min {seconds:.1f} s" if minutes else f"{seconds:.1f} s"


def value(name: str, found: Any) -> tuple[str, str]:
    """A result's label and its text for people; the unit is the end of the name.

    `("rent_lamports", 7_100_000_000)` gives `("rent", "7.1 SOL")`.
    """
    if name.endswith("lamports") and isinstance(found, int):
        return name.removesuffix("lamports").strip("_").replace("_", " ") or "balance", sol(found)
    label = name.replace("_", " ")
    if name.endswith("_at") and isinstance(found, int):
        return label, date(found)
    if found is None or found == "":
        return label, "-"
    if isinstance(found, bool):
        return label, "yes" if found else "no"
    if isinstance(found, int):
        return label, f"{found:,}"
    if isinstance(found, list | tuple):
        return label, clean(", ".join(map(str, found))) or "-"
    return label, clean(str(found))
