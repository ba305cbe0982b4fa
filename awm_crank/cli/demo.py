"""`awm-crank demo`: a whole match on this machine, every process as an operator would run it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from pathlib import Path

import msgspec

from ..errors import ConfigError
from . import common, output
from .parser import Parser

DEFAULT_FRAMES = 1800
_MAX_FRAMES = 2**32 - 1
_TERMINATED = "SIGTERM"


def configure(parser: Parser) -> None:
    """Adds what to play, and which files to keep."""
    parser.add_argument(
        "--frames", type=common.number(1, _MAX_FRAMES), metavar="N",
        help=f"play N frames and show progress only (without this option: {DEFAULT_FRAMES} frames and the live view)",
    )  # fmt: skip
    output.add_json_file(parser)
    parser.add_argument(
        "--seed", type=common.unsigned(63), default=1, metavar="N", help="seed of the session and players (default: 1)"
    )
    match = Path("awm-demo-match.json")
    parser.add_argument(
        "--match", type=Path, default=match, metavar="FILE", help=f"write the match file to FILE (default: {match})"
    )
    page = "play against a bot yourself, in a browser, until Ctrl-C"
    parser.add_argument("--page", action="store_true", help=page)
    common.add_cartridge(parser, "the demo's")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep keys, configuration and logs in the folder DIR")


async def execute(args: argparse.Namespace) -> int:
    """Runs the demo. The status is 0 only if the observer saw every frame land, in order.

    Raises:
        ConfigError: a file's folder does not exist.
        CartridgeError: the file of --cartridge is not a cartridge.
        AwmError: as `demo.run.run_demo`.
    """
    path = output.json_file(args)
    if not args.match.absolute().parent.is_dir():
        raise ConfigError(f"--match {args.match}: its folder does not exist", hint="make the folder first")
    # heavy, and not needed for --help
    from ..demo.run import DemoOptions, run_demo
    from ..demo.summary import as_text

    cartridge = common.cartridge(args) or common.demo_cartridge()
    view = args.frames is None and not args.json and sys.stdout.isatty()
    frames = args.frames or DEFAULT_FRAMES
    options = DemoOptions(frames=frames, seed=args.seed, match_file=args.match, keep=args.keep, view=view)
    task = asyncio.current_task()
    assert task
    # all processes stop in order, as after Ctrl-C
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel, _TERMINATED)
    try:
        if args.page:
            from ..demo.page import run_page

            await run_page(_say, cartridge, seed=args.seed, keep=args.keep)
            return 0
        with contextlib.ExitStack() as stack:
            # the live view is progress enough
            bar = None if view else stack.enter_context(output.Progress("frames"))
            summary = await run_demo(
                options, _say, cartridge, landed=lambda landed: bar and bar("playing", landed, frames)
            )
    except asyncio.CancelledError as error:
        if error.args == (_TERMINATED,):
            return 128 + signal.SIGTERM
        raise
    if not args.json or path:
        output.say(as_text(summary))
    if args.json:
        shown = {**msgspec.to_builtins(summary), "passed": summary.passed}
        output.json_to(path, msgspec.json.format(msgspec.json.encode(shown)))
    return 0 if summary.passed else 1


def _say(text: str) -> None:
    output.note(f"· {text}")
