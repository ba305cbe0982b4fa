"""Writes the files that an operator asked for."""

from __future__ import annotations

from pathlib import Path

from ..telemetry import logs


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file as a whole. Matches go on without it, so a failure is only logged."""
    partial = path.with_suffix(".partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        logs.get().error("cannot write a file", file=str(path), problem=str(error), hint="choose another place")
