"""`awm-crank localnet`: the embedded validator, in the foreground."""

from __future__ import annotations

from ..localnet.command import configure, execute

__all__ = ["configure", "execute"]
