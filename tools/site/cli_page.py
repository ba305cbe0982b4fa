"""Writes the reference page of the command line from the commands' own argument parsers."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from awm_crank.cli import build

INTRODUCTION = """# Command line

Each section is what `awm-crank COMMAND --help` prints. An error is one line on standard error. The exit status is 0 for
success, 1 for an error, 2 for a mistake in arguments, settings or keys, and 130 after Ctrl-C.
"""
WIDTH = 100


def commands_page() -> str:
    """The page, as Markdown."""
    os.environ["COLUMNS"] = str(WIDTH)  # argparse wraps its lines to that
    return INTRODUCTION + "".join(
        f"\n{'#' * depth} {name}\n\n```text\n{parser.format_help()}```\n" for depth, name, parser in _parsers()
    )


def _parsers() -> Iterator[tuple[int, str, argparse.ArgumentParser]]:
    for command, parser in _steps(build()).items():
        yield 2, command, parser
        for name, step in _steps(parser).items():
            yield 3, f"{command} {name}", step


def _steps(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """A command's own subcommands, such as `session create`."""
    return {
        name: step
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, step in action.choices.items()
    }
