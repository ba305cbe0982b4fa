"""`awm-crank replay FILE.slp -o OUT`: turns a Slippi replay into frame blocks, a match file or an array of frames."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, ReplayError
from . import common, output
from .parser import Parser

if TYPE_CHECKING:
    from ..engine.encoding import Encoding
    from ..match.replay import Replay

FORMS = ("blocks", "match", "frames")


def configure(parser: Parser) -> None:
    """Adds the replay, the output, and which frames it takes."""
    parser.add_argument("replay", type=Path, metavar="FILE", help="the replay (.slp)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="write to OUT")
    parser.add_argument(
        "--as", dest="form", choices=FORMS, default="blocks",
        help="blocks: frame blocks one after another, for quantize and fidelity; match: a match file for the page; "
        "frames: a plain JSON array of frames, for other viewers (default: blocks)",
    )  # fmt: skip
    parser.add_argument(
        "--start", type=common.unsigned(32), default=0, metavar="N",
        help="leave out the first N frames; players can act from frame 84 on (default: 0)",
    )  # fmt: skip
    parser.add_argument(
        "--count", type=common.number(1, 2**32 - 1), default=None, metavar="N", help="take N frames (default: all)"
    )
    parser.add_argument(
        "--flags", type=_encoding, default="", metavar="NAMES",
        help="the world's flags that add to its frame blocks, such as state_flags,hitstun,projectiles (default: none)",
    )  # fmt: skip
    output.add_json(parser)


def execute(args: argparse.Namespace) -> int:
    """Converts and writes.

    Raises:
        ConfigError: the file cannot be read or written, or peppi-py is not installed.
        ReplayError: this is no replay, or not one of two players.
    """
    from ..match import replay

    data = common.read(args.replay)
    found = replay.convert(_parsed(args.replay), encoding=args.flags, start=args.start, count=args.count)
    for note in found.notes:
        output.note(note)
    output.write(args.output, _written(found, args.form, data))
    output.result(
        args,
        {"file": str(args.output), "form": args.form, "frames": len(found.blocks), "stage": found.stage},
    )
    return 0


def _written(found: Replay, form: str, data: bytes) -> bytes:
    if form == "blocks":
        return b"".join(found.blocks)
    match = found.match_file(data)
    return match.encode() if form == "match" else match.encode_frames()


def _parsed(path: Path) -> Any:
    try:
        import peppi_py
    except ModuleNotFoundError as error:
        raise ConfigError("reading replays needs peppi-py", hint="pip install 'awm-crank[replay]'") from error
    try:
        return peppi_py.read_slippi(str(path))
    except BaseException as error:
        # its parser is Rust: what a damaged file provokes may be a panic, which is no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        raise ReplayError(
            f"{path} cannot be read as a replay", expected="a .slp file of Slippi", found=str(error)[:120]
        ) from None


def _encoding(text: str) -> Encoding:
    from ..engine.encoding import FLAGS, Encoding

    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in FLAGS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(FLAGS)}")
    return Encoding(**dict.fromkeys(names, True))
