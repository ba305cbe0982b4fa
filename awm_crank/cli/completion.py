"""`awm-crank completion SHELL`: prints a script that completes commands, options and files."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import output
from .parser import Parser

SHELLS = {
    "bash": "source <(awm-crank completion bash)        # in ~/.bashrc",
    "zsh": "awm-crank completion zsh > DIR/_awm-crank  # DIR is in $fpath, before compinit runs",
    "fish": "awm-crank completion fish > ~/.config/fish/completions/awm-crank.fish",
}


def configure(parser: Parser) -> None:
    """Adds the shell."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "To install it:\n" + "".join(f"  {line}\n" for line in SHELLS.values())
    parser.add_argument("shell", choices=tuple(SHELLS), metavar="SHELL", help=f"one of {', '.join(SHELLS)}")


def execute(args: argparse.Namespace) -> int:
    """Prints the script."""
    output.say(script(args.shell))
    return 0


def script(shell: str) -> str:
    """The completion script for one of `SHELLS`."""
    import shtab

    from . import build

    parser = build()
    _complete_files(parser)
    return shtab.complete(parser, shell=shell)


def _complete_files(parser: argparse.ArgumentParser) -> None:
    """Has every argument that is a path complete to file names."""
    import shtab

    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                _complete_files(sub)
        elif action.type is Path or action.metavar in ("FILE|ADDRESS", "ADDRESS|FILE", "SESSION|FILE"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
