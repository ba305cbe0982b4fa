"""The argument parser of all commands: its errors are typed, and name the help of the command that was meant."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from typing import Any, NoReturn

from ..errors import ConfigError


class Parser(argparse.ArgumentParser):
    """As argparse's, but it raises ConfigError, and takes options by their whole names only."""

    json_words: Collection[str] | None = None
    """Words after `--json` that are not a file; None for a command that has never had the form `--json FILE`."""

    def __init__(self, **settings: Any) -> None:
        # an abbreviation that works today may be ambiguous tomorrow
        super().__init__(**{**settings, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, hint=f"{self.prog} --help")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Refuses arguments that this command does not know; argparse leaves that to the top-level parser."""
        words = list(sys.argv[1:] if args is None else args)
        found, unknown = super().parse_known_args(self._with_output(words), namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def _with_output(self, words: list[str]) -> list[str]:
        """The older form `--json FILE` as `--json --output FILE`."""
        if self.json_words is None or "--json" not in words[:-1]:
            return words
        after = words.index("--json") + 1
        if words[after].startswith("-") or words[after] in self.json_words:
            return words
        return [*words[:after], "--output", *words[after:]]
