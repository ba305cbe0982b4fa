"""Writes files that are either the old ones or the new ones, whole."""

from __future__ import annotations

import os
from pathlib import Path

from ..telemetry import logs


def replace_whole(path: Path, content: bytes, *, fsync: bool = False) -> None:
    """Writes a file under another name and renames it, so that nobody ever reads half of it.

    Args:
        fsync: whether the content is on the disk before the file has its name.

    Raises:
        OSError: the file cannot be written.
    """
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(content)
        if fsync:
            file.flush()
            os.fsync(file.fileno())
    partial.replace(path)


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file that an operator asked for. Matches go on without it, so a failure is only logged."""
    try:
        replace_whole(path, content)
    except OSError as error:
        logs.get().error("cannot write a file", file=str(path), problem=str(error), hint="choose another place")
