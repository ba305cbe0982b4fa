"""`awm-crank key new FILE`: makes a key file in the Solana CLI's format."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import ConfigError
from . import output
from .parser import Parser


def configure(parser: Parser) -> None:
    """Adds the subcommand `new`."""
    steps = parser.add_subparsers(dest="step", metavar="STEP", parser_class=Parser)
    text = "make a new key and write it to a file that only you can read; an existing file is never overwritten"
    new = steps.add_parser("new", help=text, description=text[0].upper() + text[1:] + ".")
    new.add_argument("file", type=Path, metavar="FILE", help="key file to write, in the Solana CLI's format")
    output.add_json(new)


def execute(args: argparse.Namespace) -> int:
    """Writes the key file, and prints its public key.

    Raises:
        ConfigError: the command line names no step.
        KeyFileError: the file exists, or cannot be written.
    """
    from solders.keypair import Keypair

    from ..client.keys import write_keypair

    if args.step is None:
        raise ConfigError("no step given", hint="awm-crank key --help")
    pair = Keypair()
    write_keypair(args.file, pair)
    output.result(args, {"file": str(args.file), "public_key": str(pair.pubkey())})
    return 0
