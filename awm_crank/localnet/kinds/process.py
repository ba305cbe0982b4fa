"""A validator's process: it logs to a file, is watched and stopped, and never outlives its parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pty
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import ConfigError, RpcError, SetupError
from .. import rpc

READY_TIMEOUT_S = 60.0
_STOP_S = 10.0
_PR_SET_PDEATHSIG = 1
_LOG_BYTES = 64 * 1024 * 1024
_ESCAPE = re.compile(rb"\x1b(\[[0-9;?]*[ -/]*[@-~]|[()][0-9A-Za-z]|[=>78])")


class Validator:
    """One validator process.

    Args:
        name: the process's name in errors.
        command: the program and its arguments.
        log: the file for what it prints.
        folder: its working directory.
        environment: variables in addition to this process's.
        terminal: give it a pseudo-terminal, and keep the terminal's control codes out of the log.

    Raises:
        SetupError: it cannot be started.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, log: Path, folder: Path, environment: dict[str, str],
        terminal: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self.log = log
        self._reader: threading.Thread | None = None
        words = {**os.environ, **environment, "TERM": "xterm"} if terminal else {**os.environ, **environment}
        master = slave = -1
        if terminal:
            master, slave = pty.openpty()
        try:
            with log.open("ab") as file:
                self._process = subprocess.Popen(
                    list(command), cwd=folder, env=words, preexec_fn=_in_child,
                    stdin=slave if terminal else subprocess.DEVNULL,
                    stdout=slave if terminal else file, stderr=slave if terminal else file, start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            if terminal:
                os.close(master)
            raise SetupError(f"{name} cannot be started: {error}", hint="look at the file") from None
        finally:
            if terminal:
                os.close(slave)
        if terminal:
            self._reader = threading.Thread(target=_copy, args=(master, log), daemon=True)
            self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.poll()

    def failure(self, what: str) -> SetupError:
        """An error that names the step that failed, with the end of the validator's log."""
        words = self.log.read_bytes()[-2000:].decode(errors="replace").strip() if self.log.exists() else ""
        status = self.status
        ended = "" if status is None else f" (it ended with status {status})"
        return SetupError(
            f"{self.name} {what}{ended}; its last words:\n{words}", hint=f"read the lines above, or {self.log}",
            recoverable=True,
        )  # fmt: skip

    def wait_for(self, condition: Callable[[], object], what: str, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Waits until the condition holds; it may raise RpcError meanwhile. Raises SetupError (`failure`)."""
        deadline = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(RpcError):
                # after the process has ended, the answer may have come from another program
                if condition() and self.status is None:
                    return
            if self.status is not None or time.monotonic() > deadline:
                raise self.failure(f"did not {what}")
            time.sleep(0.05)

    def wait_healthy(self, http: str) -> None:
        """Waits until its RPC answers `ok` to getHealth."""
        self.wait_for(lambda: rpc.call(http, "getHealth", timeout_s=5) == "ok", f"answer on {http}")

    def stop(self) -> None:
        """Ends the process, by force if SIGTERM does not do it. Does nothing if it has ended already."""
        process = self._process
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        if self._reader is not None:
            self._reader.join(1)


def free_ports(count: int) -> int:
    """The first of `count` free ports in a row on loopback. Another program may take them before they are used."""
    for _ in range(256):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first = int(probe.getsockname()[1])
        if first + count < 65536 and all(_is_free(first + offset) for offset in range(count)):
            return first
    raise SetupError(f"no {count} free ports in a row on 127.0.0.1", hint="--port", recoverable=True)


def require_free(host: str, port: int) -> None:
    """Raises ConfigError if another program listens on a TCP port: a validator there would answer for ours."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # like servers: closed connections do not keep a port taken
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}, port {port}", found=error,
                hint="another program does, perhaps a validator: end it, or take another --port (0: a free one)",
            ) from None  # fmt: skip


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def _in_child() -> None:
    # the highest limit of open files; and the kernel ends the process with its parent, however that ends
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _copy(master: int, log: Path) -> None:
    """Copies a terminal's text to the log until its program ends. Without a reader, the program would block."""
    written = 0
    with log.open("ab") as file, contextlib.suppress(OSError):
        while data := os.read(master, 65_536):
            text = _ESCAPE.sub(b"", data)
            # a screen that redraws itself repeats its text: the log of a long run is cut off at some size
            if text.strip() and written < _LOG_BYTES:
                written += file.write(text)
                file.flush()
    os.close(master)
