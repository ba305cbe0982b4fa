"""Structured logs: one JSON object a line, written at once. Keys' secrets never stand in one."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(level: str, file: TextIO | None = None) -> None:
    """Sends all lines of `level` and above to `file` (standard output by default) as JSON."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _to_json,
        ],
        # lines below the level cost a method that does nothing
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(file or sys.stdout),
        cache_logger_on_first_use=False,
    )


def get() -> Any:
    """A logger; `bind(key=value)` adds to every line of the one it returns."""
    return structlog.get_logger()


def _to_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    # time and level first, so that lines align in a terminal
    ordered = {"at": event.pop("timestamp"), "level": event.pop("level"), "event": event.pop("event"), **event}
    return msgspec.json.encode(ordered, enc_hook=str).decode()
