"""The localnet's command line: its options, and the line it prints when it is ready."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

import msgspec
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ..errors import ConfigError, KeyFileError
from .bank import DEFAULT_HISTORY
from .kinds import packages
from .kinds import serve as kinds_serve
from .kinds.cache import Cache, default_folder
from .kinds.plan import LocalnetPlan, Running
from .kinds.rollup import BASE_SLOT_MS
from .kinds.serve import STARTERS
from .server import Localnet, LocalnetOptions, serve

LAMPORTS_PER_SOL = 1_000_000_000
DEFAULT_SOL = 1000.0
DEFAULT_SLOT_MS = 10.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--kind", choices=("embedded", *STARTERS), default="embedded",
        help="the validator to run: embedded (a small one inside this command; the default); "
        "solana (solana-test-validator); magicblock (0.1.7, on its own); rollup (MagicBlock 0.8.3 on a base chain)",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port",
        type=int,
        default=8899,
        help="port for HTTP, with WebSocket on the next one; 0 takes free ports (default: 8899)",
    )
    parser.add_argument(
        "--slot-ms",
        type=float,
        help="length of a slot in milliseconds (default: 10; base chain of a rollup: 100; solana: 400)",
    )
    parser.add_argument(
        "--history",
        type=int,
        default=DEFAULT_HISTORY,
        metavar="N",
        help="number of transactions to keep (default: %(default)s)",
    )
    parser.add_argument(
        "--bare",
        action="store_true",
        help="start without the project's programs, and without the account in which BOLT counts its worlds",
    )
    parser.add_argument(
        "--program",
        nargs=2,
        action="append",
        default=[],
        metavar=("ID", "FILE"),
        help="also load a program from a .so file; may be repeated",
    )
    parser.add_argument(
        "--account",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="also load an account, in the Solana CLI's JSON format, or all .json and .so files of a folder; may be "
        "repeated",
    )
    parser.add_argument(
        "--fund",
        action="append",
        default=[],
        metavar="KEY[=SOL]",
        help=f"give a public key SOL at the start (default: {DEFAULT_SOL:g}); may be repeated",
    )
    parser.add_argument(
        "--until-eof",
        action="store_true",
        help="also stop when standard input ends, for programs that start a localnet",
    )
    parser.add_argument(
        "--keypair",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help=f"give the key in FILE {DEFAULT_SOL:g} SOL at the start, and make the file if it does not exist",
    )
    parser.add_argument(
        "--for-rollup",
        action="store_true",
        help="also load the programs and accounts that a rollup started separately needs; they come from npm",
    )
    others = parser.add_argument_group("kinds other than embedded")
    others.add_argument(
        "--validator", type=Path, metavar="FILE", help="run this executable instead of the one that is downloaded"
    )
    others.add_argument(
        "--base", type=_base, default="embedded", metavar="{embedded,solana,URL}",
        help="base chain of a rollup: one to start, or the RPC endpoint of one that runs (default: embedded)",
    )  # fmt: skip
    others.add_argument(
        "--base-validator", type=Path, metavar="FILE", help="run this executable as the base chain's validator"
    )
    others.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="keep ledger and logs in DIR (default: a folder that is removed at the end)",
    )
    others.add_argument(
        "--cache", type=Path, metavar="DIR", help="keep downloads and builds in DIR (default: ~/.cache/awm-crank)"
    )
    others.add_argument("--resume", action="store_true", help="continue with the ledger in --folder")


def execute(args: argparse.Namespace) -> int:
    """Serves until SIGTERM or Ctrl-C. When the ports are open it prints where: text on a terminal, otherwise one line
    of JSON (`http`, `ws`, `pid`).

    Raises:
        ConfigError, KeyFileError, SetupError: it does not start.
    """
    if args.for_rollup and args.slot_ms is None:
        args.slot_ms = BASE_SLOT_MS
    options = options_of(args)
    if args.kind == "embedded":
        if args.for_rollup:
            options = _for_rollup(options, (args.cache or default_folder()).expanduser().resolve())
        serve(options, _announce)
        return 0
    if args.host != "127.0.0.1" and args.kind != "rollup":
        raise ConfigError("--host goes with --kind embedded and rollup", found=args.host, hint="leave it out")
    with kinds_serve.scratch(args.folder) as folder:
        plan = plan_of(args, options, folder)
        kinds_serve.serve(args.kind, plan, _announce_kind, until_eof=args.until_eof)
    return 0


def plan_of(args: argparse.Namespace, options: LocalnetOptions, folder: Path) -> LocalnetPlan:
    """How to start a kind other than the embedded one."""
    return LocalnetPlan(
        folder=folder,
        host=args.host,
        cache=(args.cache or default_folder()).expanduser().resolve(),
        port=options.port,
        slot_ms=args.slot_ms,
        bare=options.bare,
        programs=options.programs,
        accounts=options.accounts,
        fund=options.fund,
        executable=args.validator,
        base=args.base,
        base_executable=args.base_validator,
        resume=args.resume,
    )


def options_of(args: argparse.Namespace) -> LocalnetOptions:
    """The options of a parsed command line. Raises ConfigError, KeyFileError."""
    if not 0 <= args.port <= 65534:
        raise ConfigError("--port", expected="0 to 65534", found=args.port)
    slot_ms = DEFAULT_SLOT_MS if args.slot_ms is None else args.slot_ms
    if not 1 <= slot_ms <= 10_000:
        raise ConfigError("--slot-ms", expected="1 to 10000", found=slot_ms)
    if args.history < 1:
        raise ConfigError("--history", expected="1 or more", found=args.history)
    programs = [(_key(text, "--program"), Path(path)) for text, path in args.program]
    accounts: list[Path] = []
    for path in args.account:
        if path.is_dir():
            accounts += sorted(path.glob("*.json"))
            programs += [(_key(file.stem, str(file)), file) for file in sorted(path.glob("*.so"))]
        else:
            accounts.append(path)
    for path in [*accounts, *(path for _, path in programs)]:
        if not path.is_file():
            raise ConfigError(f"{path} is no file", hint="give the path of an existing file")
    fund = [_funded(text) for text in args.fund]
    fund += [(_key_file(path).pubkey(), int(DEFAULT_SOL * LAMPORTS_PER_SOL)) for path in args.keypair]
    return LocalnetOptions(
        host=args.host,
        port=args.port,
        slot_ms=slot_ms,
        history=args.history,
        bare=args.bare,
        programs=programs,
        accounts=accounts,
        fund=fund,
        until_eof=args.until_eof,
    )


def _base(text: str) -> str:
    if text not in ("embedded", "solana") and not re.fullmatch(r"http://[^/:]+:\d+/?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is neither embedded, solana, nor http://HOST:PORT")
    return text


def _for_rollup(options: LocalnetOptions, cache: Path) -> LocalnetOptions:
    """Adds the programs and accounts that a rollup needs on its base chain. Raises SetupError."""
    dumps = packages.base_chain_accounts(Cache(cache))
    programs = [(_key(file.stem, str(file)), file) for file in sorted(dumps.glob("*.so"))]
    accounts = sorted(dumps.glob("*.json"))
    return msgspec.structs.replace(
        options, programs=[*programs, *options.programs], accounts=[*accounts, *options.accounts]
    )


def _key(text: str, where: str) -> Pubkey:
    try:
        return Pubkey.from_string(text)
    except ValueError:
        raise ConfigError(where, expected="a base58 public key", found=text) from None


def _funded(text: str) -> tuple[Pubkey, int]:
    key, equals, sol = text.partition("=")
    try:
        lamports = round(float(sol) * LAMPORTS_PER_SOL) if equals else int(DEFAULT_SOL * LAMPORTS_PER_SOL)
        if not 0 < lamports < 2**62:
            raise ValueError
    except (ValueError, OverflowError):
        raise ConfigError("--fund", expected="KEY or KEY=SOL", found=text) from None
    return _key(key, "--fund"), lamports


def _key_file(path: Path) -> Keypair:
    # the shell does not expand the ~ of `--keypair=~/x.json`
    path = path.expanduser()
    if not path.exists():
        pair = Keypair()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(pair.to_json())
        return pair
    try:
        return Keypair.from_json(path.read_text())
    except ValueError:
        expected = "a JSON array of 64 numbers"
        raise KeyFileError(f"key file {path}", expected=expected, hint="solana-keygen new") from None


def _announce(net: Localnet) -> None:
    line = msgspec.json.encode({"http": net.http, "ws": net.ws, "pid": os.getpid()}).decode()
    _print(line, {"RPC": net.http, "WebSocket": net.ws})


def _announce_kind(running: Running) -> None:
    places = {"RPC": running.http, "WebSocket": running.ws}
    if running.base_http != running.http:
        places |= {"base chain": running.base_http, "its WebSocket": running.base_ws}
    _print(kinds_serve.ready_line(running), places)


def _print(line: str, places: dict[str, str]) -> None:
    if sys.stdout.isatty():
        line = "\n".join([*(f"{name:<14} {url}" for name, url in places.items()), "Ctrl-C stops it"])
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
