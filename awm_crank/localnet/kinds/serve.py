"""Runs one localnet in the foreground until a signal."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from . import magicblock, rollup, solana
from .plan import LocalnetPlan, Running

STARTERS: dict[str, Callable[[LocalnetPlan], Running]] = {
    "magicblock": magicblock.start,
    "solana": solana.start,
    "rollup": rollup.start,
}
"""All kinds except the embedded one."""
_LOOK_S = 0.25


class _StopRequested(BaseException):
    """A signal asked the localnet to end."""


def serve(kind: str, plan: LocalnetPlan, announce: Callable[[Running], None], *, until_eof: bool) -> None:
    """Starts a localnet, announces it, and serves until SIGTERM or, where wanted, the end of standard input.

    Ctrl-C stops the validators too, and raises KeyboardInterrupt.

    Raises:
        ConfigError, SetupError: it does not start, or ended by itself.
    """
    with contextlib.suppress(_StopRequested), _signals():
        running = STARTERS[kind](plan)
        try:
            announce(running)
            while True:
                ready, _, _ = select.select([0] if until_eof else [], [], [], _LOOK_S)
                if ready and not os.read(0, 4096):
                    return
                running.check()
        finally:
            running.stop()


@contextlib.contextmanager
def scratch(folder: Path | None) -> Iterator[Path]:
    """The folder that is named, created if necessary; otherwise a temporary one that is removed at the end."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="awm-localnet-", ignore_cleanup_errors=True) as made:
        yield Path(made)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    def stop(*_: object) -> None:
        # only once: the orderly end that follows must not be interrupted
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _StopRequested

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def ready_line(running: Running) -> str:
    """One line of JSON: both chains' addresses (equal without a rollup), and the ids of all processes."""
    line = {
        "http": running.http, "ws": running.ws, "base_http": running.base_http, "base_ws": running.base_ws,
        "pid": os.getpid(), "validators": [validator.pid for validator in running.validators],
    }  # fmt: skip
    return msgspec.json.encode(line).decode()
