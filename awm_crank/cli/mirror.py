"""`awm-crank mirror FOLDER`: serves the pieces of mirrored models, and repairs those that are damaged or missing."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import AwmError
from . import common, interrupt, output
from .parser import Parser

if TYPE_CHECKING:
    from ..net.mirror_folder import MirrorServer
    from ..net.mirrors import Mirrors
    from ..wire.pieces import Sheet

PORT = 8770
CHECK_S = 600


def configure(parser: Parser) -> None:
    """Adds the folder, where it listens, and what it repairs from."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of pieces, as publish --mirrored writes it")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=common.unsigned(16), default=PORT, metavar="N",
        help=f"port to listen on; 0 takes a free one (default: {PORT})",
    )  # fmt: skip
    parser.add_argument(
        "--from", action="append", default=[], type=common.url, metavar="URL", dest="mirror",
        help="another mirror, to repair pieces from; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--piece", action="append", default=[], type=common.number(0, 63), metavar="I",
        help="have piece number I of each model too; may be repeated",
    )  # fmt: skip
    parser.add_argument("--model", metavar="ADDRESS", help="a model on chain, for a folder without a whole piece of it")
    parser.add_argument(
        "--check-every", type=common.number(1, 86400), default=CHECK_S, metavar="S",
        help=f"seconds from one check of all pieces to the next (default: {CHECK_S})",
    )  # fmt: skip
    parser.add_argument("--repair-only", action="store_true", help="repair, and exit instead of serving")
    common.add_rpc(parser)


async def execute(args: argparse.Namespace) -> None:
    """Repairs, then serves until Ctrl-C or SIGTERM, with a check from time to time.

    Raises:
        ConfigError: the folder cannot be read, or the port is taken.
        AwmError: with `--repair-only`, a piece could not be repaired.
    """
    from ..net.mirror_folder import MirrorServer
    from ..net.mirrors import Mirrors

    sheet = await _sheet(args)
    mirrors = Mirrors(args.mirror)
    if args.repair_only:
        await _repair(args, mirrors, sheet)
        return
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with MirrorServer(args.folder, args.host, args.port) as server:
        checking = asyncio.create_task(_keep_whole(args, mirrors, sheet, server))
        checking.add_done_callback(lambda _: stop.set())
        with interrupt.stopping_by(stop.set):
            await stop.wait()
        if checking.done():
            checking.result()
        checking.cancel()


async def _sheet(args: argparse.Namespace) -> Sheet | None:
    from ..client import publish
    from ..client.chain import Chain

    if args.model is None:
        return None
    async with Chain(args.rpc) as chain:
        return await publish.read_sheet(chain, common.address(args.model, "model"))


async def _keep_whole(args: argparse.Namespace, mirrors: Mirrors, sheet: Sheet | None, server: MirrorServer) -> None:
    """Serves what is good, repairs what is not, and looks again after a pause, for ever."""
    from ..net.mirror_folder import look

    said = False
    while True:
        server.names = (await asyncio.to_thread(look, args.folder)).good
        try:
            await _repair(args, mirrors, sheet)
        except AwmError as error:
            output.note(f"{error}; the next try is in {args.check_every} s")
        server.names = (await asyncio.to_thread(look, args.folder)).good
        if not said:
            output.say(f"{len(server.names)} pieces at {server.url}")
            said = True
        await asyncio.sleep(args.check_every)


async def _repair(args: argparse.Namespace, mirrors: Mirrors, sheet: Sheet | None) -> None:
    from ..net.mirror_folder import repair

    made = await repair(args.folder, mirrors, known=sheet, indices=args.piece, tell=common.mirror_fault)
    for name in made:
        output.note(f"repaired {name}")
