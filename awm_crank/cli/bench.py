"""`awm-crank bench [NAME …]`: our times compared with off-the-shelf software."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from ..bench.report import Comparison, as_json, table
from ..errors import ConfigError
from . import output
from .parser import Parser

# name -> what it measures; the module is `awm_crank.bench.<name>` and is imported only when it runs
BENCHES: dict[str, str] = {
    "step": "one model step, against PyTorch FP32",
    "codec": "decoding, encoding and signing for one frame, against solana-py and solders",
    "http": "a request to an endpoint, against aiohttp",
    "latency": "from the last input to the frame, against a crank written with solana-py and solders",
}
# the same, for benchmarks with a report of their own (`report(seconds)` gives text and figures); run only when named
REPORTS: dict[str, str] = {
    "engine": "the native engine with each instruction set of this machine, against its memory bandwidth and PyTorch",
    "svm": "the compute units of a frame on chain, computed by the plain kernel and by the engine program",
    "env": "the training environments, against real time",
    "live": "many matches at once on a validator (--kind, --sessions), against the most that it can carry",
}
# the default of --seconds, where it is not 2
_SECONDS = {"live": 60.0}


def configure(parser: Parser) -> None:
    """Adds the names of the benchmarks and their options."""
    usual, further = ("; ".join(f"{name}: {text}" for name, text in each.items()) for each in (BENCHES, REPORTS))
    listed = f"what to measure. Without a name: {usual}. Only by name: {further}"
    parser.add_argument("names", nargs="*", metavar="NAME", help=listed)
    output.add_json_file(parser, words=(*BENCHES, *REPORTS))
    parser.add_argument(
        "--seconds", type=float, metavar="S", help="seconds to measure each figure for (default: 2; live: 60)"
    )
    live = parser.add_argument_group("live")
    live.add_argument(
        "--kind", choices=("embedded", "magicblock", "rollup", "solana"), default="embedded",
        help="the validator to play on (default: embedded)",
    )  # fmt: skip
    live.add_argument("--sessions", type=int, default=1, metavar="N", help="matches at the same time (default: 1)")
    live.add_argument(
        "--shape",
        choices=("tiny", "demo", "4.3M", "15.8M", "19.9M"),
        default="4.3M",
        help="size of the model (default: 4.3M)",
    )
    live.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="WORD",
        help="an option to pass on to `awm-crank localnet`; may be repeated",
    )


def execute(args: argparse.Namespace) -> int:
    """Runs the benchmarks and prints one table, after the reports that the user named.

    Raises:
        ConfigError: no benchmark has that name.
    """
    path = output.json_file(args)
    known = [*BENCHES, *REPORTS]
    unknown = [name for name in args.names if name not in known]
    if unknown:
        raise ConfigError(f"no benchmark is called {unknown[0]!r}", hint=f"one of {', '.join(known)}")
    rows: list[Comparison] = []
    reports: dict[str, Any] = {}
    texts: list[str] = []
    for name in args.names or BENCHES:
        output.note(f"measuring {name} …")
        module = importlib.import_module(f"awm_crank.bench.{name}")
        if name in REPORTS:
            text, reports[name] = module.report(args.seconds or _SECONDS.get(name, 2.0), **_further(name, args))
            texts.append(text)
        else:
            rows += module.measure(args.seconds or 2.0)
    if rows:
        texts.append(table(rows) + "\n")
    if not args.json or path:
        output.say("".join(texts))
    if args.json:
        output.json_to(path, as_json(rows, reports))
    return 0


def _further(name: str, args: argparse.Namespace) -> dict[str, Any]:
    if name != "live":
        return {}
    return {"kind": args.kind, "sessions": args.sessions, "shape": args.shape, "options": args.option}
