"""MagicBlock's validators demand a high limit of open files; a preloaded library lets them run with less."""

from __future__ import annotations

import hashlib
import resource
import shutil
import sys
from pathlib import Path

from ...errors import SetupError
from . import tools
from .cache import Cache

WANTED = 1_000_000
"""The limit that the validators set for themselves. They end if they cannot."""
SOURCE = Path(__file__).parent / "clamp.c"


def preload(cache: Cache, hard_limit: int | None = None) -> Path | None:
    """The library to preload; None if the limit is high enough. Raises SetupError if it cannot be built.

    Args:
        hard_limit: the highest limit that a process may set; None asks the system.
    """
    if hard_limit is None:
        hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard_limit in (resource.RLIM_INFINITY,) or hard_limit >= WANTED:
        return None
    hint = f"raise the limit (ulimit -Hn {WANTED}, LimitNOFILE=, docker --ulimit nofile), or install a C compiler"
    if sys.platform != "linux":
        raise SetupError("hard limit of open files", expected=f"{WANTED} or more", found=hard_limit, hint=hint)
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang-19")
    if compiler is None:
        expected = f"{WANTED} or more, or a C compiler (cc) to get around it"
        raise SetupError("hard limit of open files", expected=expected, found=hard_limit, hint=hint)
    # the entry's name depends on the source, so that an upgrade does not use the old library
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]

    def make(folder: Path) -> None:
        command: list[str | Path] = [compiler, "-O2", "-shared", "-fPIC", "-o", folder / "clamp.so", SOURCE]
        tools.run(command, "build the library that lowers a validator's limit of open files", hint)

    return cache.entry(f"clamp-{digest}", make) / "clamp.so"
