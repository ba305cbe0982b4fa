"""`awm-crank doctor`: looks at everything a crank needs, before it is started or when something is wrong."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import common


def configure(parser: argparse.ArgumentParser) -> None:
    """Configuration, key, what else to look at."""
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the crank's configuration")
    parser.add_argument("--keypair", type=Path, metavar="FILE", help="the key file, instead of the configuration's")
    parser.add_argument("--cartridge", metavar="FILE|ADDRESS", help="a cartridge file or published model to look at")
    parser.add_argument(
        "--write", type=Path, action="append", default=[], metavar="PATH", help="a file that the crank is to write"
    )
    common.add_json(parser)


async def execute(args: argparse.Namespace) -> int:
    """Prints a line for each thing looked at, with what to do where it is wrong; 0 when all are well."""
    import msgspec

    from .checks import examine

    findings = await examine(args.config, keypair=args.keypair, cartridge=args.cartridge, write=tuple(args.write))
    if args.json:
        common.say(msgspec.json.encode(findings).decode())
    else:
        marks = {"ok": "\x1b[32mok\x1b[0m   ", "warn": "\x1b[33mwarn\x1b[0m ", "wrong": "\x1b[31mwrong\x1b[0m"}
        plain = not sys.stdout.isatty()
        for finding in findings:
            mark = f"{finding.verdict:<5}" if plain else marks[finding.verdict]
            common.say(f"{mark}  {finding.what:<12} {finding.found}")
            if finding.fix:
                common.say(f"{'':<20} → {finding.fix}")
    return int(any(finding.verdict == "wrong" for finding in findings))
