"""Runs a command whose standard error is a terminal, for tests of progress and of Ctrl-C."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE_S = 120.0


class Command:
    """`awm-crank WORDS` with standard error (and, where wanted, output) on a
    terminal. A synchronous context manager.
    """

    def __init__(self, *words: str, cwd: Path | None = None, output: bool = False, env: dict[str, str] | None = None):
        self.words, self.cwd, self.output = words, cwd, output
        self.env = {**os.environ, "TERM": "xterm", "COLUMNS": "120", **(env or {})}
        self.seen = ""
        """What the terminal has shown so far."""

    def __enter__(self) -> Self:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "awm_crank", *self.words], stdin=subprocess.DEVNULL, stderr=slave,
            stdout=slave if self.output else subprocess.PIPE, cwd=self.cwd, env=self.env, text=True,
        )  # fmt: skip
        os.close(slave)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        os.close(self._master)

    def wait_for(self, wanted: str | Callable[[str], bool]) -> None:
        """Reads what the terminal shows until `wanted` appears."""
        deadline = time.monotonic() + PATIENCE_S
        while not (wanted in self.seen if isinstance(wanted, str) else wanted(self.seen)):
            assert time.monotonic() < deadline, f"never shown: {wanted}; shown: {self.seen[-2000:]}"
            self._read(0.1)

    def _read(self, wait_s: float) -> None:
        if select.select([self._master], [], [], wait_s)[0]:
            try:
                self.seen += os.read(self._master, 65536).decode(errors="replace")
            except OSError:
                # Linux returns EIO once the other side is closed
                assert self.process.poll() is not None or self.process.wait(5) is not None

    def interrupt(self) -> tuple[int, float]:
        """Sends SIGINT like Ctrl-C. Returns the exit status and the seconds until the command ended."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        while self.process.poll() is None:
            assert time.monotonic() - began < PATIENCE_S
            self._read(0.01)
        return self.process.returncode, time.monotonic() - began

    def printed(self) -> str:
        """Standard output, once the command has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.read()
