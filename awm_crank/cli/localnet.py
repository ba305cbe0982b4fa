"""`awm-crank localnet`: runs a local validator in the foreground."""

from __future__ import annotations

from ..localnet.command import configure, execute

__all__ = ["configure", "execute"]
