"""The folder of what was downloaded or built once: made whole or not at all, by one process at a time."""

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
    """A cache folder, created at first use. Raises SetupError where it cannot be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entry(self, name: str, make: Callable[[Path], None]) -> Path:
        """The folder `name`, made by `make(empty folder)` where it is not there.

        A `make` that raises leaves nothing behind; a second process waits for the first one's.
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
