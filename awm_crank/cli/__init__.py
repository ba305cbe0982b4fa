"""`awm-crank`: finds the chosen command's module, and turns typed errors into one line and an exit status.

A command is a module of this package with two functions:

    def configure(parser: argparse.ArgumentParser) -> None     # its arguments
    def execute(args: argparse.Namespace) -> int | None        # its work; may be `async def`; None is status 0

and a row in `COMMANDS`. Only the chosen command's module is imported, so `--help` costs no chain library.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from ..errors import AwmError, ConfigError

# command -> what `awm-crank --help` says of it
COMMANDS: dict[str, str] = {
    "demo": "run a whole demo match on this machine: localnet, crank, two players, observer",
    "run": "serve sessions (the crank)",
    "doctor": "look at everything that a crank needs, and say what to do where it is wrong",
    "localnet": "run the embedded validator with all programs in place",
    "quantize": "make an INT8 cartridge from an FP32 checkpoint",
    "fidelity": "compare a cartridge's integers with floating point, against what they must reach",
    "publish": "put a cartridge on chain, or fork one that is there",
    "unpublish": "take a published cartridge back and return its rent",
    "session": "create, join, end, close or show a session",
    "play": "play a session with an agent, or a whole match without a chain",
    "view": "show sessions in a browser, and feed frames to spectator pages",
    "inspect": "show an account, a cartridge or a match file",
    "export": "write a session's match file",
    "verify": "recompute a session or a match file and compare every byte",
    "bench": "measure step, codec and input-to-frame times",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, hint=f"{self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line.

    Args:
        argv: the arguments without the program's name; None takes the process's.

    Returns:
        the exit status: the command's own, an error's `exit_code`, 130 after Ctrl-C.
    """
    try:
        return _run(sys.argv[1:] if argv is None else list(argv))
    except AwmError as error:
        sys.stderr.write(f"Error: {error}\n")
        return error.exit_code
    except BrokenPipeError:
        # the reader went away (`| head`); what is still buffered must not raise again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.filename is None:
            raise
        sys.stderr.write(f"Error: {error.filename}: {error.strerror}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _run(argv: list[str]) -> int:
    parser = _Parser(prog="awm-crank", description="The heartbeat of autonomous worlds on Solana.")
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    chosen = next((word for word in argv if not word.startswith("-")), None)
    module = importlib.import_module(f".{chosen}", __name__) if chosen in COMMANDS else None
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == chosen and module is not None:
            module.configure(sub)
    args = parser.parse_args(argv)
    if args.version:
        from importlib.metadata import version

        sys.stdout.write(f"awm-crank {version('awm-crank')}\n")
        return 0
    if module is None:
        raise ConfigError("no command given", hint="awm-crank --help")
    result = module.execute(args)
    if asyncio.iscoroutine(result):
        result = asyncio.run(result)
    return int(result or 0)
