"""Structured logs: JSON, one object a line; on a terminal, text for people. Secret keys never reach a line.

`awm-crank run` logs to standard output through a thread (see `linewriter`), so that a slow, closed or full sink costs
no frame. Warnings of the libraries (asyncio, aiohttp) take the same way.
"""

from __future__ import annotations

import atexit
import datetime
import logging
import os
import sys
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

from .linewriter import LineWriter

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_writer: LineWriter | None = None


def configure(level: str, file: TextIO | None = None) -> None:
    """Sends all lines of `level` and above to standard output, or to `file`.

    Args:
        level: "debug", "info", "warning" or "error".
        file: takes the lines at once, as JSON, from the caller's thread (tests, tools). Without it, lines go to
            standard output through a queue and a thread; a process whose standard output is closed logs nothing.
    """
    global _writer
    sink: Any
    on_terminal = False
    if file is not None:
        sink = structlog.PrintLogger(file)
    elif (handle := _stdout()) is None:
        sink = structlog.ReturnLogger()
    else:
        on_terminal = os.isatty(handle)
        if _writer is None:
            _writer = LineWriter(handle, _note)
            atexit.register(_writer.close)
        sink = _Queue(_writer)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            *_renderers(on_terminal),
        ],
        # a line below the level costs one call of a method that does nothing
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: sink,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Libraries()], level=logging.WARNING, force=True)


def get() -> Any:
    """A logger; `bind(key=value)` adds to every line of the one it returns."""
    return structlog.get_logger()


def dropped() -> int:
    """Lines that were dropped since the start because the sink took none."""
    return 0 if _writer is None else _writer.dropped


class _Queue:
    """The object to which structlog passes finished lines."""

    def __init__(self, writer: LineWriter) -> None:
        self._put = writer.put

    def msg(self, line: str) -> None:
        # a lone surrogate in a name that came from outside must not raise
        self._put(line.encode(errors="replace") + b"\n")

    debug = info = warning = error = critical = exception = msg


class _Libraries(logging.Handler):
    """Passes on what libraries log with the standard library's `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            get().log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)
        except Exception:
            self.handleError(record)


def _stdout() -> int | None:
    # descriptor 1 may belong to a socket by now when the process was started with standard output closed
    try:
        return None if sys.stdout is None else sys.stdout.fileno()
    except (OSError, ValueError):
        return None


def _renderers(on_terminal: bool) -> list[Any]:
    if not on_terminal:
        return [structlog.processors.format_exc_info, _to_json]
    # repr: a name read from chain may hold a terminal's escape sequences
    console = structlog.dev.ConsoleRenderer(
        timestamp_key="at", repr_native_str=True, exception_formatter=structlog.dev.plain_traceback
    )
    return [console]


def _to_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    # time and level first, so that lines align in a terminal
    ordered = {"at": event.pop("at"), "level": event.pop("level"), "event": event.pop("event"), **event}
    return msgspec.json.encode(ordered, enc_hook=str).decode()


def _note(lines: int, problem: str) -> bytes:
    now = datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")
    note = {"at": now, "level": "warning", "event": "log lines dropped", "lines": lines}
    return msgspec.json.encode(note | ({"problem": problem} if problem else {})) + b"\n"
