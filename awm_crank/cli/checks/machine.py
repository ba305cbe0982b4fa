"""Checks of this machine: versions, engine, timer, open files, files to write, the key."""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from solders.pubkey import Pubkey

from ... import config
from ...client.keys import load_keypair
from ...engine import choose
from ...errors import AwmError
from .finding import Finding, from_error

LATE_TIMER_S = 0.004
WANTED_FILES = 4096


def versions() -> Finding:
    names = ("awm-crank", "solders", "numpy", "aiohttp")
    text = ", ".join(f"{name} {version(name)}" for name in names)
    return Finding("versions", "ok", f"{text}, Python {platform.python_version()}, {platform.machine()}")


def engine(settings: config.Config) -> tuple[bool, Finding]:
    try:
        path = choose.path_of(settings.engine.kernel, settings.engine.path)
    except AwmError as error:
        return False, from_error("engine", error)
    if path == "reference":
        fix = 'set engine.kernel = "native"'
        return True, Finding("engine", "warn", "reference, which is fast enough for small models only", fix)
    if path == "plain":
        fix = "use a machine with AVX2 or NEON; a full-size model does not reach 60 frames a second on this one"
        return True, Finding("engine", "warn", "native, path plain: no vector instructions", fix)
    return True, Finding("engine", "ok", f"native, path {path}")


async def timer() -> Finding:
    late = []
    for _ in range(60):
        wanted = time.perf_counter() + 0.002
        await asyncio.sleep(0.002)
        late.append(time.perf_counter() - wanted)
    worst = sorted(late)[len(late) * 9 // 10]
    text = f"a sleep of 2 ms takes {worst * 1000:.2f} ms longer (90th percentile)"
    if worst > LATE_TIMER_S:
        return Finding("timer", "warn", text, "reserve a core for the crank, and run it with a negative nice value")
    return Finding("timer", "ok", text)


def open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < WANTED_FILES:
        fix = f"ulimit -n {WANTED_FILES} (hard limit {hard}), or LimitNOFILE= in the systemd unit"
        return Finding("open files", "warn", f"limit {soft}", fix)
    return Finding("open files", "ok", f"limit {soft}")


def writable(paths: tuple[Path, ...]) -> Iterator[Finding]:
    for path in paths:
        folder = path.absolute().parent
        if not folder.is_dir():
            yield Finding("write", "wrong", f"{folder} is not a folder", f"mkdir -p {folder}")
        elif not os.access(path if path.exists() else folder, os.W_OK):
            fix = f"chown it to the crank's user (uid {os.geteuid()}), or name another path"
            yield Finding("write", "wrong", f"{path} cannot be written", fix)
        else:
            yield Finding("write", "ok", str(path))


def key(path: Path, *, allow_open: bool) -> tuple[Pubkey | None, Finding]:
    open_to_others: list[str] = []
    try:
        key = load_keypair(path, allow_open=allow_open, warn=open_to_others.append).pubkey()
    except AwmError as error:
        return None, from_error("key", error)
    return key, Finding("key", "ok", "; ".join([f"{key} ({path})", *open_to_others]))
