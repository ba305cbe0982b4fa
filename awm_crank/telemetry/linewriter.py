"""Writes log lines from its own thread, so that a reader of the log can never slow down or stop the crank.

The event loop puts a line into a bounded queue, which takes about a microsecond. The thread writes it. When the reader
stops reading, closes its end, or the disk behind the file is full, lines wait in the queue; when the queue is full,
new lines are dropped and counted. Writing is tried again for ever, with growing pauses. As soon as it works again, a
note in the log says how many lines are missing at that place.
"""

from __future__ import annotations

import errno
import os
import queue
import select
import threading
from collections.abc import Callable

ROOM = 1 << 20
"""Bytes of lines that may wait; hours of a crank's log at level `info`."""
# bytes that a pipe takes in one piece even if other processes write to it, too (POSIX guarantees 512, Linux 4096)
_PIECE = 4096
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0


class LineWriter:
    """Writes lines to a file descriptor without ever blocking the caller. Any thread may put lines.

    Args:
        handle: the file descriptor. Its mode (blocking or not) stays as it is, since other processes may share it.
        note: makes the line that says how many lines were dropped, and the last error of the system ("" when the
            reader was merely too slow).
        room: bytes of lines that may wait.
    """

    def __init__(self, handle: int, note: Callable[[int, str], bytes], *, room: int = ROOM) -> None:
        self._handle = handle
        self._note = note
        self._room = room
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        # reentrant: a finalizer that logs may run inside put()
        self._lock = threading.RLock()
        self._taken = 0
        self._done = 0
        self._noted = 0
        self._problem = ""
        self._closing = threading.Event()
        self.dropped = 0
        """Lines dropped since the start."""
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Queues a line, its line break included; drops and counts it when the queue is full."""
        with self._lock:
            if self._taken - self._done + len(line) > self._room:
                self.dropped += 1
                return
            self._note_drops()
            self._taken += len(line)
            self._lines.put(line)

    def close(self, deadline_s: float = 2.0) -> bool:
        """Writes what waits, for at most `deadline_s`. Lines that are put afterwards are lost.

        Returns:
            whether everything was written.
        """
        self._closing.set()
        self._lines.put(None)
        self._thread.join(deadline_s)
        return self._done == self._taken

    def _note_drops(self) -> None:
        if self.dropped == self._noted:
            return
        note = self._note(self.dropped - self._noted, self._problem)
        self._noted = self.dropped
        self._problem = ""
        self._taken += len(note)
        self._lines.put(note)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            piece = [line]
            size = len(line)
            ended = False
            while size < _PIECE and not self._lines.empty():
                if (more := self._lines.get()) is None:
                    ended = True
                    break
                if size + len(more) > _PIECE:
                    self._write(b"".join(piece))
                    piece, size = [], 0
                piece.append(more)
                size += len(more)
            self._write(b"".join(piece))
            if ended:
                return
            if self._lines.empty():
                with self._lock:
                    self._note_drops()

    def _write(self, data: bytes) -> None:
        at, pause = 0, _FIRST_PAUSE_S
        while at < len(data):
            try:
                at += os.write(self._handle, data[at:])
                continue
            except BlockingIOError:
                # another process made the shared descriptor non-blocking
                self._wait_for_room()
            except OSError as error:
                self._problem = os.strerror(error.errno or 0)
                if error.errno == errno.EPIPE:
                    # a new reader of a named pipe should not begin inside a line
                    at = data.rfind(b"\n", 0, at) + 1
                self._closing.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
            if self._closing.is_set():
                return
        self._done += len(data)
        if self.dropped == self._noted:
            self._problem = ""

    def _wait_for_room(self) -> None:
        poll = select.poll()
        poll.register(self._handle, select.POLLOUT)
        poll.poll(1000)
