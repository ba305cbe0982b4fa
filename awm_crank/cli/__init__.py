"""`awm-crank`: finds the chosen command's module, and turns typed errors into one line and an exit status.

A command is a module of this package with two functions:

    def configure(parser: argparse.ArgumentParser) -> None     # its arguments
    def execute(args: argparse.Namespace) -> int | None        # its work; may be `async def`; None is status 0

and a row in `COMMANDS`. Only the chosen command's module is imported, so `--help` costs no chain library.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import Collection, Sequence
from typing import Any

from ..errors import AwmError, ConfigError, printable
from . import interrupt
from .parser import Parser

# command -> its description in `awm-crank --help`
COMMANDS: dict[str, str] = {
    "demo": "play a whole match on this machine: validator, crank, two players and an observer",
    "run": "serve sessions until SIGTERM or Ctrl-C: this is the crank",
    "doctor": "check everything that a crank needs, and say how to fix what is wrong",
    "localnet": "run a local Solana validator with all of the project's programs",
    "quantize": "convert an FP32 checkpoint to an INT8 cartridge",
    "fidelity": "compare a cartridge with the floating-point model that it was made from",
    "publish": "put a cartridge on chain, or fork a published model",
    "mirror": "serve and repair the pieces of mirrored models",
    "unpublish": "delete a published model and return its rent",
    "model": "list the published models",
    "session": "list, create, join, end, close or show sessions",
    "play": "play a session with an agent, or a whole match without a chain",
    "view": "show live sessions in a browser, and serve frames to spectator pages",
    "inspect": "show an account, a cartridge or a match file in words",
    "export": "write a session's match file",
    "replay": "turn a Slippi replay into frames for calibration and viewers",
    "verify": "recompute a session or a match file and compare every byte",
    "bench": "measure the speed of each part",
    "key": "make a key file",
    "completion": "print the completion script for bash, zsh or fish",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line.

    Args:
        argv: the arguments without the program's name; None takes the process's.

    Returns:
        the exit status: the command's own, an error's `exit_code`, 130 after Ctrl-C.
    """
    with interrupt.watching():
        try:
            status = _guarded(sys.argv[1:] if argv is None else list(argv))
            interrupt.check()
            return status
        except KeyboardInterrupt:
            interrupt.finish()
            return interrupt.STATUS


def _guarded(argv: list[str]) -> int:
    try:
        return _run(argv)
    except AwmError as error:
        interrupt.check()
        return _failed(str(error), error.exit_code)
    except BrokenPipeError:
        # the reader has closed the pipe (`| head`); buffered output must not raise another error at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        interrupt.check()
        if error.filename is None:
            raise
        return _failed(f"{error.filename}: {error.strerror}", 1)


def _failed(text: str, status: int) -> int:
    sys.stderr.write(f"Error: {printable(text, keep=chr(10))}\n")
    return status


def build(configured: Collection[str] = tuple(COMMANDS)) -> Parser:
    """The command line's parser, with the arguments of the commands in `configured`.

    Each of those commands' modules is imported.
    """
    made = Parser(prog="awm-crank", description="The heartbeat of autonomous worlds on Solana.")
    made.add_argument("--version", action="store_true", help="print the version and exit")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for name, summary in COMMANDS.items():
        description = summary[0].upper() + summary[1:] + "."
        sub = commands.add_parser(name, help=summary, description=description)
        if name in configured:
            _module(name).configure(sub)
    return made


def _module(name: str) -> Any:
    return importlib.import_module(f".{name}", __name__)


def _run(argv: list[str]) -> int:
    chosen = next((word for word in argv if not word.startswith("-")), "")
    args = build([chosen] if chosen in COMMANDS else []).parse_args(argv)
    if args.version:
        from importlib.metadata import version

        sys.stdout.write(f"awm-crank {version('awm-crank')}\n")
        return 0
    if args.command is None:
        raise ConfigError("no command given", hint="awm-crank --help")
    result = _module(args.command).execute(args)
    if asyncio.iscoroutine(result):
        result = interrupt.run(result)
    return int(result or 0)
