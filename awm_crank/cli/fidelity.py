"""`awm-crank fidelity`: how faithful a cartridge's integers are, beside what they must reach."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ..errors import CheckpointError, ConfigError
from . import common


def configure(parser: argparse.ArgumentParser) -> None:
    """Files, and how much is compared."""
    common.add_cartridge(parser, "the demo's")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="what it was made of (default: its own dequantized weights)"
    )
    parser.add_argument(
        "--frames", type=common.unsigned(20), default=10_000, metavar="N", help="frames of each session (10,000)"
    )
    parser.add_argument("--starts", type=common.unsigned(12), default=200, metavar="N", help="closed loops (200)")
    parser.add_argument(
        "--recorded", type=Path, metavar="FILE", help="97-byte frame blocks of real matches to compare on"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the table as JSON")


def execute(args: argparse.Namespace) -> int:
    """Prints the table; status 1 where a row misses its goal.

    Raises:
        ConfigError: a file that cannot be read or written, or a number that is too small.
        CheckpointError: torch is not installed, or the files do not belong together.
        EngineError: the native engine is not built.
    """
    from ..engine.native import NativeEngine
    from ..engine.offline import checkpoint

    if args.frames < 2:
        raise ConfigError("--frames", expected="2 or more", found=args.frames)
    if not args.starts:
        raise ConfigError("--starts", expected="1 or more", found=0)
    source = checkpoint.read(common.read(args.checkpoint)) if args.checkpoint else None
    recorded = common.read(args.recorded) if args.recorded else b""
    cartridge = common.cartridge(args) or common.demo_cartridge()
    try:
        from ..engine.offline import fidelity_table
    except ModuleNotFoundError as error:
        hint = "pip install 'awm-crank[model]'"
        raise CheckpointError("comparing with floating point needs torch", hint=hint) from error

    began = time.monotonic()
    table = fidelity_table.build(
        NativeEngine(cartridge),
        source,
        frames=args.frames,
        starts=args.starts,
        recorded=recorded,
        tick=lambda what: common.note(f"{time.monotonic() - began:6.1f} s  {what} …"),
    )
    common.say(table.text())
    if args.json:
        import msgspec

        try:
            args.json.write_bytes(msgspec.json.encode(table.as_json()) + b"\n")
        except OSError as error:
            raise ConfigError(f"{args.json} cannot be written: {error.strerror}", hint="name another file") from error
    return 0 if table.passed else 1
