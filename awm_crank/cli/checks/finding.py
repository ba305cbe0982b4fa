"""What a check finds."""

from __future__ import annotations

from typing import Literal

import msgspec

from ...errors import AwmError

Verdict = Literal["ok", "warn", "wrong"]
WAIT_S = 5.0
"""How long a check waits for an endpoint."""
FRAME_S = 1 / 60


class Finding(msgspec.Struct, frozen=True):
    """The result of one check: what was checked, the verdict, what was found, and how to fix it."""

    what: str
    verdict: Verdict
    found: str
    fix: str = ""


def from_error(what: str, error: AwmError, fix: str = "") -> Finding:
    """An error as a finding. The fix is `fix`, or the error's own hint."""
    text = str(error).removesuffix(f". Try: {error.hint}") if error.hint else str(error)
    return Finding(what, "wrong", text, fix or error.hint or "")
