"""The cache of what is downloaded or built once. An entry is complete or absent; one process at a time makes it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ...errors import SetupError


def default_folder() -> Path:
    """`awm-crank` in the user's cache folder (XDG_CACHE_HOME, else ~/.cache)."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "awm-crank"


class Cache:
    """A cache folder, created at first use. Raises SetupError if it cannot be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entry(self, name: str, make: Callable[[Path], None]) -> Path:
        """The folder `name`. If it does not exist, `make(empty folder)` fills it.

        A `make` that raises leaves nothing behind. A second process waits for the first one to finish.
        """
        target = self.folder / name
        if target.is_dir():
            return target
        with self._locked():
            if target.is_dir():
                return target
            partial = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=self.folder))
            try:
                make(partial)
                partial.rename(target)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
        return target

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("w")
        except OSError as error:
            raise SetupError(
                f"cache folder {self.folder} cannot be written: {error.strerror}", hint="name another one with --cache"
            ) from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
