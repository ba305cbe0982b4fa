"""Child processes of the demo: started, watched and stopped in order, with none left behind.

Every child is a process group of its own, so that Ctrl-C in the terminal reaches the demo alone and the demo decides
the order. What a child prints goes to a log file, which is also where its readiness is read from. Should the demo
itself be killed, a guard (a `/bin/sh` that holds one end of a pipe) ends the groups: portable, where PDEATHSIG is Linux
only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import awm_crank
from awm_crank.errors import AwmError

_POLL_S = 0.02
_KILL_AFTER_S = 15.0

# Reads group ids, one a line; at end of file (the demo is gone) it ends those groups. `done` dismisses it.
_GUARD = """
trap '' INT HUP
groups=
while read -r line; do
  if [ "$line" = done ]; then exit 0; fi
  groups="$groups $line"
done
for group in $groups; do kill -s TERM -- "-$group" 2>/dev/null; done
sleep 2
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
exit 0
"""


def own_command(module: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment that run a module of the package that is running now, wherever the current folder is.

    `-m` alone would prefer a folder `awm_crank` in the current one, a checkout's say, to the installed package.
    """
    root = str(Path(awm_crank.__file__).parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return [sys.executable, "-P", "-m", module], {"PYTHONPATH": os.pathsep.join(paths)}


class LogTail:
    """New whole lines of a growing file, each time it is asked. A half-written last line waits for its end."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._path = path
        self._offset = offset
        self._rest = b""

    def lines(self) -> list[str]:
        """The lines written since the last call, without their line ends."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [line.decode(errors="replace") for line in whole]


class Child:
    """One running process and its log file."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path, log_offset: int) -> None:
        self.name = name
        self.process = process
        self.log = log
        self.tail = LogTail(log, log_offset)
        self.stopped = False
        """whether it was ended on purpose"""

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self.process.poll() is None

    def last_words(self, lines: int = 8) -> str:
        """The end of the log, for error messages."""
        text = self.log.read_text(errors="replace").rstrip()
        return "\n".join(text.splitlines()[-lines:]) or "(nothing)"

    def require_running(self) -> None:
        """Raises AwmError, with the end of its log, when the process is gone and was not stopped."""
        if not self.running and not self.stopped:
            raise AwmError(
                f"the {self.name} process ended by itself with status {self.process.returncode}; its last words:\n"
                f"{self.last_words()}\n",
                hint=f"read {self.log} (keep it with --keep DIR)",
            )

    async def wait_for_line(self, wanted: Callable[[str], bool], timeout_s: float) -> str:
        """The next line of the log that is wanted; raises AwmError when the process ends or the time is over."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            for line in self.tail.lines():
                if wanted(line):
                    return line
            self.require_running()
            if asyncio.get_running_loop().time() > deadline:
                raise AwmError(
                    f"the {self.name} process was not ready within {timeout_s:g} s; its last words:\n"
                    f"{self.last_words()}\n",
                    hint="try again when the machine is less busy, or read its log with --keep DIR",
                    recoverable=True,
                )
            await asyncio.sleep(_POLL_S)

    def signal_group(self, number: signal.Signals) -> None:
        """Sends a signal to the child and all it started; a group that is gone is no error."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """SIGKILL, and waits for the end: what a power cut looks like to the others."""
        self.stopped = True
        self.signal_group(signal.SIGKILL)
        self.process.wait()

    async def stop(self, timeout_s: float = _KILL_AFTER_S) -> int:
        """SIGTERM, then SIGKILL to whatever of the group is left after `timeout_s`. Returns the exit status."""
        self.stopped = True
        if self.running:
            self.signal_group(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self.process.wait, timeout_s)
        self.kill()
        return self.process.returncode


class Children:
    """The children of one demo; leaving the `async with` block stops the last started first."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[Child] = []
        self._guard: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        self._guard = subprocess.Popen(  # noqa: ASYNC220 (returns at once, and start() is synchronous as well)
            ["/bin/sh", "-c", _GUARD],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for child in reversed(self._children):
                await child.stop()
        finally:
            for child in reversed(self._children):
                child.kill()
            self._tell_guard("done")
            if self._guard is not None:
                assert self._guard.stdin
                with contextlib.suppress(BrokenPipeError):
                    self._guard.stdin.close()
                self._guard.wait()

    def _tell_guard(self, line: str) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.write(line.encode() + b"\n")
                self._guard.stdin.flush()

    def start(self, name: str, arguments: Sequence[str], environment: dict[str, str] | None = None) -> Child:
        """Starts a program whose output goes to NAME.log; a name started again appends to its log."""
        log = self._logs / f"{name}.log"
        with log.open("ab") as output:
            log_offset = output.tell()
            process = subprocess.Popen(
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            )
        child = Child(name, process, log, log_offset)
        self._children.append(child)
        self._tell_guard(str(process.pid))
        return child

    def start_own(self, name: str, *arguments: str, module: str = "awm_crank") -> Child:
        """Starts an `awm-crank` command, or another module of this very package, with the running interpreter."""
        command, environment = own_command(module)
        return self.start(name, [*command, *arguments], environment)

    def require_running(self) -> None:
        """Raises AwmError when a child that was not stopped is gone."""
        for child in self._children:
            child.require_running()
