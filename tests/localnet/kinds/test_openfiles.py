"""The limit of open files is high enough, or a preloaded library works around it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from awm_crank.errors import SetupError
from awm_crank.localnet.kinds import openfiles
from awm_crank.localnet.kinds.cache import Cache

PROGRAM = """
import ctypes, resource
class Limit(ctypes.Structure):
    _fields_ = [("current", ctypes.c_ulonglong), ("maximum", ctypes.c_ulonglong)]
library = ctypes.CDLL(None)
for name in ("setrlimit", "setrlimit64"):
    print(getattr(library, name)(resource.RLIMIT_NOFILE, ctypes.byref(Limit(1_000_000, 1_000_000))))
    print(*resource.getrlimit(resource.RLIMIT_NOFILE))
print(library.setrlimit(resource.RLIMIT_CORE, ctypes.byref(Limit(0, 4096))), *resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_high_enough(tmp_path: Path) -> None:
    """If the process may raise the limit, no library is built."""
    assert openfiles.preload(Cache(tmp_path), openfiles.WANTED) is None
    assert openfiles.preload(Cache(tmp_path), resource.RLIM_INFINITY) is None
    assert not list(tmp_path.iterdir())


def test_clamp(tmp_path: Path) -> None:
    """A program that asks for a million open files gets as many as are allowed, without an error.

    Other limits are set as asked.
    """
    library = openfiles.preload(Cache(tmp_path), 4096)
    assert library is not None
    command = ["sh", "-c", f"ulimit -n 2000 && exec {sys.executable} -c '{PROGRAM}'"]
    done = subprocess.run(
        command, env={**os.environ, "LD_PRELOAD": str(library)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:5] == ["0", "2000 2000", "0", "2000 2000", "0 0 4096"]


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a compiler, the error names the alternative."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match=r"1000000 or more, or a C compiler .*found 4096.*LimitNOFILE"):
        openfiles.preload(Cache(tmp_path), 4096)


def test_other_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a system where preloading works differently, the limit must be raised."""
    monkeypatch.setattr(openfiles.sys, "platform", "darwin")
    with pytest.raises(SetupError, match=r"hard limit of open files"):
        openfiles.preload(Cache(tmp_path), 4096)
