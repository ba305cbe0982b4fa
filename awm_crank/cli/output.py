"""What commands print: results on standard output, everything else on standard error.

A result is text for people or, with `--json`, one JSON object. Progress is shown on a terminal only. Every line passes
`printable`, so that a name read from a chain cannot control the terminal.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..errors import ConfigError, printable
from . import interrupt, shown
from .parser import Parser

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

_LABEL_WIDTH = 16


def add_json(parser: Parser) -> None:
    """`--json`: print the result for programs."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_json_file(parser: Parser, words: Collection[str] = ()) -> None:
    """`--json` and `--output FILE`, for a command that writes no other file of that name.

    `--json FILE`, the form before `--output` was there, still works, unless FILE is one of `words`.
    """
    add_json(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="with --json: write the JSON to FILE")
    parser.json_words = words


def json_file(args: argparse.Namespace) -> Path | None:
    """Where to write the JSON: a file, or None for standard output.

    Raises:
        ConfigError: a file without `--json`, or in a folder that does not exist.
    """
    path: Path | None = args.output
    if path is not None and not args.json:
        raise ConfigError("--output goes with --json", hint=f"awm-crank {args.command} --json --output {path}")
    if path is not None and not path.absolute().parent.is_dir():
        raise ConfigError(f"--output {path}: its folder does not exist", hint="make the folder first")
    return path


def say(text: str) -> None:
    """Prints lines of the result. Raises KeyboardInterrupt after Ctrl-C."""
    interrupt.check()
    text = printable(text, keep="\n\t")
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Prints a line about what the command is doing, on standard error."""
    sys.stderr.write(printable(text, keep="\n\t") + "\n")
    sys.stderr.flush()


def json_to(path: Path | None, data: bytes) -> None:
    """Puts a result's JSON into the file of `json_file`, or on standard output."""
    if path is None:
        say(data.decode())
    else:
        write(path, data.rstrip(b"\n") + b"\n")


def as_json(values: object) -> str:
    """One line of JSON."""
    import msgspec

    return msgspec.json.encode(values).decode()


def write(path: Path, data: bytes) -> None:
    """Writes a result file whole or not at all: a reader never sees a part of it.

    Raises:
        ConfigError: the file cannot be written.
        KeyboardInterrupt: after Ctrl-C.
    """
    interrupt.check()
    # a pipe or a device, such as /dev/stdout, is written to directly
    special = path.exists() and not path.is_file()
    target = path if special else path.with_name(f".{path.name}.part")
    try:
        target.write_bytes(data)
        if target is not path:
            target.replace(path)
    except OSError as error:
        if target is not path:
            target.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {error.strerror}", hint="name another file") from None


def writable(path: Path) -> None:
    """Finds out before long work whether `write` will be able to write a file. Raises ConfigError."""
    if path.is_dir():
        raise ConfigError(f"{path} cannot be written: it is a folder", hint="name a file in it")
    folder = path.parent
    if not folder.is_dir() or not os.access(path if path.exists() and not path.is_file() else folder, os.W_OK):
        reason = "is no folder that exists" if not folder.is_dir() else "cannot be written to"
        raise ConfigError(f"{path} cannot be written: {folder} {reason}", hint="name another file")


def result(args: argparse.Namespace, values: Mapping[str, Any]) -> None:
    """Prints a command's result: a name and a value a line, or JSON where the user asked for it.

    The text shows lamports as SOL and times as dates; the JSON has the numbers themselves.
    """
    if args.json:
        say(as_json(values))
        return
    for name, found in values.items():
        label, text = shown.value(name, found)
        say(f"{label:<{_LABEL_WIDTH}}{text}")


def rows(args: argparse.Namespace, found: Iterable[Mapping[str, Any]], empty: str) -> None:
    """Prints a list: one row a line under a heading, or a JSON array. `empty` says that there is nothing."""
    listed = list(found)
    if args.json:
        say(as_json(listed))
        return
    if not listed:
        say(empty)
        return
    texts = [[shown.value(name, each[name])[1] for name in each] for each in listed]
    heading = [shown.value(name, listed[0][name])[0] for name in listed[0]]
    widths = [max(map(len, column)) for column in zip(heading, *texts, strict=True)]
    for row in (heading, *texts):
        say("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())


@contextlib.asynccontextmanager
async def waiting(what: str) -> AsyncIterator[None]:
    """Shows on a terminal that work is going on, and for how long, while the block runs."""
    with Progress() as progress:
        progress(what, 0, 0)
        yield


class Progress:
    """A progress bar on standard error while a block of work runs; nothing where that is not a terminal.

    with Progress("frames") as progress:
        progress("verifying", 10, 600)
    """

    def __init__(self, unit: str = "") -> None:
        self._unit = unit
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            unit = TextColumn(self._unit)
            self._bar = Bar(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), unit, TimeElapsedColumn(),
                TimeRemainingColumn(), console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Shows how much of `what` is done. A `total` of 0 means that the total is not known yet."""
        interrupt.check()
        if self._bar is None:
            return
        if self._task is None:
            self._task = self._bar.add_task(what, total=total or None)
        self._bar.update(self._task, description=what, completed=done, total=total or None)
