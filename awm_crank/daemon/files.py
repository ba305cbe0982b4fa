"""Replaces files atomically: a reader finds either the whole old file or the whole new one."""

from __future__ import annotations

import os
from pathlib import Path

from ..telemetry import logs


def replace_whole(path: Path, content: bytes, *, fsync: bool = False) -> None:
    """Writes a file under a temporary name and renames it, so that nobody ever reads half a file.

    Args:
        fsync: wait until the content is on the disk before the file gets its name.

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
    """Writes a file that the operator asked for. A failure is only logged, because matches continue without the
    file.
    """
    try:
        replace_whole(path, content)
    except OSError as error:
        logs.get().error("cannot write a file", file=str(path), problem=str(error), hint="choose another place")
