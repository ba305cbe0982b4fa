"""`awm-crank fidelity`: compares a cartridge's integers with floating point, and with the goals they must reach."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import CheckpointError
from . import common, output
from .parser import Parser


def configure(parser: Parser) -> None:
    """Adds the files, and how much to compare."""
    common.add_cartridge(parser, "the demo's")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE",
        help="the checkpoint that the cartridge was made from (default: the cartridge's own weights as floats)",
    )  # fmt: skip
    parser.add_argument(
        "--frames", type=common.number(2, 2**20 - 1), default=10_000, metavar="N",
        help="first comparison, where both models get the same frames: how many of each match (default: 10000)",
    )  # fmt: skip
    parser.add_argument(
        "--starts", type=common.number(1, 2**12 - 1), default=200, metavar="N",
        help="second comparison, where each model goes on from its own frames: how many matches (default: 200)",
    )  # fmt: skip
    parser.add_argument(
        "--recorded", type=Path, metavar="FILE", help="also compare on real frames: a file of 97-byte frame blocks"
    )
    output.add_json_file(parser)


def execute(args: argparse.Namespace) -> int:
    """Prints the table. The status is 1 when a row misses its goal.

    Raises:
        ConfigError: a file cannot be read or written.
        CheckpointError: torch is not installed, or the files do not belong together.
        EngineError: the native engine is not built.
    """
    path = output.json_file(args)
    from ..engine.native import NativeEngine
    from ..engine.offline import checkpoint

    source = checkpoint.read(common.read(args.checkpoint)) if args.checkpoint else None
    recorded = common.read(args.recorded) if args.recorded else b""
    cartridge = common.cartridge(args) or common.demo_cartridge()
    try:
        from ..engine.offline import fidelity_table
    except ModuleNotFoundError as error:
        hint = "pip install 'awm-crank[model]'"
        raise CheckpointError("comparing with floating point needs torch", hint=hint) from error

    with output.Progress() as progress:
        table = fidelity_table.build(
            NativeEngine(cartridge),
            source,
            frames=args.frames,
            starts=args.starts,
            recorded=recorded,
            tick=lambda what: progress(what, 0, 0),
        )
    if not args.json or path:
        output.say(table.text())
    if args.json:
        output.json_to(path, output.as_json(table.as_json()).encode())
    return 0 if table.passed else 1
