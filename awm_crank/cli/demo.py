"""`awm-crank demo`: a whole match on this machine, every process as an operator would run it."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import msgspec

from ..errors import ConfigError
from . import common

DEFAULT_FRAMES = 1800
_MAX_FRAMES = 2**32 - 1
_TERMINATED = "SIGTERM"


def configure(parser: argparse.ArgumentParser) -> None:
    """How long, from which seed, and what is kept."""
    shown = f"frames to play, without the live view (default {DEFAULT_FRAMES}, with it)"
    parser.add_argument("--frames", type=int, metavar="N", help=shown)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the summary as JSON, and show no live view")
    parser.add_argument("--seed", type=int, default=1, help="of the session and its players (default 1)")
    match = Path("awm-demo-match.json")
    parser.add_argument("--match", type=Path, default=match, metavar="FILE", help=f"the match file (default {match})")
    page = "play yourself, in a browser: bots fight on, and one waits for you, until Ctrl-C"
    parser.add_argument("--page", action="store_true", help=page)
    common.add_cartridge(parser, "the demo's")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep keys, configuration and logs in a new folder")


async def execute(args: argparse.Namespace) -> int:
    """Runs the demo; 0 only if the observer saw every frame land, in order.

    Raises:
        ConfigError: a number out of range, or a file that cannot be written there.
        CartridgeError: the file of --cartridge is none.
        AwmError: as `demo.run.run_demo`.
    """
    frames = DEFAULT_FRAMES if args.frames is None else args.frames
    if not 1 <= frames <= _MAX_FRAMES:
        raise ConfigError("--frames", expected=f"1 to {_MAX_FRAMES}", found=frames)
    if not 0 <= args.seed < 2**63:
        raise ConfigError("--seed", expected="0 to 2^63 - 1", found=args.seed)
    for option, path in (("--match", args.match), ("--json", args.json)):
        if path is not None and not path.absolute().parent.is_dir():
            raise ConfigError(f"{option} {path}: its folder does not exist", hint="make the folder first")
    # heavy, and not needed for --help
    from ..demo.arena import demo_cartridge
    from ..demo.run import Options, run_demo
    from ..demo.summary import as_text

    cartridge = common.cartridge(args) or demo_cartridge()
    view = args.frames is None and args.json is None and sys.stdout.isatty()
    options = Options(frames=frames, seed=args.seed, match_file=args.match, keep=args.keep, view=view)
    task = asyncio.current_task()
    assert task
    # as Ctrl-C: everything that was started is stopped in order
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel, _TERMINATED)
    try:
        if args.page:
            from ..demo.page import run_page

            await run_page(_say, cartridge, seed=args.seed, keep=args.keep)
            return 0
        summary = await run_demo(options, _say, cartridge)
    except asyncio.CancelledError as error:
        if error.args == (_TERMINATED,):
            return 128 + signal.SIGTERM
        raise
    sys.stdout.write(as_text(summary) + "\n")
    if args.json:
        shown = {**msgspec.to_builtins(summary), "passed": summary.passed}
        args.json.write_bytes(msgspec.json.format(msgspec.json.encode(shown)) + b"\n")
    return 0 if summary.passed else 1


def _say(text: str) -> None:
    sys.stderr.write(f"· {text}\n")
    sys.stderr.flush()
