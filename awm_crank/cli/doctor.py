"""`awm-crank doctor`: checks everything a crank needs, before you start it or when something is wrong."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import printable
from . import output
from .parser import Parser


def configure(parser: Parser) -> None:
    """Adds the configuration, and what to check beyond it."""
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the crank's configuration file")
    parser.add_argument(
        "--keypair", type=Path, metavar="FILE", help="key file to check instead of the one in the configuration"
    )
    parser.add_argument("--cartridge", metavar="FILE|ADDRESS", help="also check a cartridge file or a published model")
    parser.add_argument(
        "--write", type=Path, action="append", default=[], metavar="PATH",
        help="also check that the crank can write PATH",
    )  # fmt: skip
    output.add_json(parser)


async def execute(args: argparse.Namespace) -> int:
    """Prints a line for each check, and how to fix what is wrong. The status is 0 when nothing is wrong."""
    from .checks import examine

    findings = await examine(args.config, keypair=args.keypair, cartridge=args.cartridge, write=tuple(args.write))
    if args.json:
        output.say(output.as_json(findings))
    else:
        marks = {"ok": "\x1b[32mok\x1b[0m   ", "warn": "\x1b[33mwarn\x1b[0m ", "wrong": "\x1b[31mwrong\x1b[0m"}
        plain = not sys.stdout.isatty()
        for finding in findings:
            mark = f"{finding.verdict:<5}" if plain else marks[finding.verdict]
            lines = f"{mark}  {finding.what:<12} {printable(finding.found)}\n"
            if finding.fix:
                lines += f"{'':<20} → {printable(finding.fix)}\n"
            # not by output.say, which would escape the marks' colors too
            sys.stdout.write(lines)
    return int(any(finding.verdict == "wrong" for finding in findings))
