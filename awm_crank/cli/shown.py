"""How a command's result is shown to people: the end of a value's name says its unit."""

from __future__ import annotations

from typing import Any

from ..errors import printable
from ..match.words import date, duration, sol

__all__ = ["date", "duration", "sol", "value"]


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
        return label, printable(", ".join(map(str, found))) or "-"
    return label, printable(str(found))
