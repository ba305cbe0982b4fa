"""Runs other programs for the set-up. Errors name a program that is missing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ...errors import SetupError


def need(tool: str, purpose: str, hint: str) -> str:
    """The path of a tool. Raises SetupError if it is not on PATH."""
    found = shutil.which(tool)
    if found is None:
        raise SetupError(f"no {tool} on PATH", expected=f"one, to {purpose}", hint=hint)
    return found


def run(command: Sequence[str | Path], purpose: str, hint: str, *, folder: Path | None = None) -> str:
    """Runs a tool and returns what it printed. Raises SetupError, with the end of its output, if it fails."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(f"cannot {purpose}: {error}", hint=hint, recoverable=True) from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip())[-600:]
        raise SetupError(
            f"cannot {purpose}: {Path(words[0]).name} ended with status {done.returncode}: {last}",
            hint=hint,
            recoverable=True,
        )
    return done.stdout


def remove_all_but(folder: Path, *names: str) -> None:
    """Removes everything from a folder except these."""
    for path in folder.iterdir():
        if path.name in names:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
