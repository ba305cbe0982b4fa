"""Child processes: started, watched and stopped in order, with none left behind.

Every child is a process group of its own, so Ctrl-C in the terminal reaches only the parent. The parent decides the
order in which they stop. A child's output goes to a log file, and its readiness is read from there, too. If the parent
is killed, a guard (a `/bin/sh` that holds one end of a pipe) ends the groups. That works on every system, where
PDEATHSIG works on Linux only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from awm_crank.errors import AwmError
from awm_crank.launch import own_command, own_environment

_POLL_S = 0.02
_KILL_AFTER_S = 15.0
_EVENT_S = 60.0

# Reads group ids, one a line. At end of file (the parent is gone) it ends those groups. `done` dismisses it.
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


class LogTail:
    """Reads new whole lines from a growing file. A half-written last line is returned once it is complete."""

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
    """One process, running from the start, and its log file.

    Args:
        name: the process's name in errors.
        arguments: the program and its arguments.
        log: the file to which its output is appended.
    """

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        self._events: list[dict[str, Any]] = []
        self.stopped = False
        """whether it was ended on purpose"""
        with log.open("ab") as output:
            self.tail = LogTail(log, output.tell())
            self.process = subprocess.Popen(
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=own_environment(),
            )

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self.process.poll() is None

    def last_words(self, lines: int = 8) -> str:
        """The end of the log, for error messages."""
        text = self.log.read_text(errors="replace").rstrip()
        return "\n".join(text.splitlines()[-lines:]) or "(nothing)"

    def require_running(self) -> None:
        """Raises AwmError, with the end of its log, if the process has ended and nobody stopped it."""
        if not self.running and not self.stopped:
            raise AwmError(
                f"the {self.name} process ended by itself with status {self.process.returncode}; its last words:\n"
                f"{self.last_words()}\n",
                hint=f"read {self.log} (keep it with --keep DIR)",
            )

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        """The JSON lines that this process has logged so far, or those of one event."""
        for text in self.tail.lines():
            try:
                line = msgspec.json.decode(text)
            except msgspec.DecodeError:
                continue  # whatever else it printed
            if isinstance(line, dict):
                self._events.append(line)
        return [line for line in self._events if event is None or line.get("event") == event]

    async def wait_for(
        self, event: str, *, count: int = 1, timeout_s: float = _EVENT_S, **fields: Any
    ) -> dict[str, Any]:
        """Waits for the `count`th line of an event whose fields have these values; returns that line.

        Raises AwmError if the process ends, or the time is over.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            found = [line for line in self.lines(event) if fields.items() <= line.items()]
            if len(found) >= count:
                return found[count - 1]
            self.require_running()
            self.require_time(deadline, f"did not log {event!r} ({count} times, {fields}) within {timeout_s:g} s")
            await asyncio.sleep(_POLL_S)

    async def wait_for_line(self, wanted: Callable[[str], bool], timeout_s: float) -> str:
        """The next line of the log that is wanted. Raises AwmError if the process ends or the time is over."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            for line in self.tail.lines():
                if wanted(line):
                    return line
            self.require_running()
            self.require_time(deadline, f"was not ready within {timeout_s:g} s")
            await asyncio.sleep(_POLL_S)

    def require_time(self, deadline: float, failure: str) -> None:
        """Raises AwmError, with the failure and the end of the log, once the loop's clock has passed the deadline."""
        if asyncio.get_running_loop().time() > deadline:
            raise AwmError(
                f"the {self.name} process {failure}; its last words:\n{self.last_words()}\n",
                hint="try again when the machine is less busy, or read its log with --keep DIR",
                recoverable=True,
            )

    def signal_group(self, number: signal.Signals) -> None:
        """Sends a signal to the child and everything it started. A group that has ended is no error."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """Sends SIGKILL and waits for the end. To other processes this looks like a power cut."""
        self.stopped = True
        self.signal_group(signal.SIGKILL)
        self.process.wait()

    async def stop(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = _KILL_AFTER_S) -> int:
        """Sends a signal, then SIGKILL to whatever of the group is left after `timeout_s`. Returns the exit status."""
        self.stopped = True
        if self.running:
            self.signal_group(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self.process.wait, timeout_s)
        self.kill()
        return self.process.returncode


class Children:
    """Several children. Leaving the `async with` block stops them, the last started first."""

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

    def adopt(self, child: Child) -> None:
        """Takes over a child: it ends with the others."""
        self._children.append(child)
        self._tell_guard(str(child.process.pid))

    def start(self, name: str, arguments: Sequence[str]) -> Child:
        """Starts a program whose output goes to NAME.log. A name that is started again appends to its log."""
        child = Child(name, arguments, self._logs / f"{name}.log")
        self.adopt(child)
        return child

    def start_own(self, name: str, *arguments: str, module: str = "awm_crank") -> Child:
        """Starts an `awm-crank` command, or another module of this package."""
        return self.start(name, own_command(module, *arguments))

    def require_running(self) -> None:
        """Raises AwmError if a child that nobody stopped has ended."""
        for child in self._children:
            child.require_running()
