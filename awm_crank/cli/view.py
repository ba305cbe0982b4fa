"""`awm-crank view [SESSION]`: serves the live view and the frame feed for any RPC endpoint until you stop it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal

from ..viewer.feed import FEED_PORT
from ..viewer.server import PAGE_PORT
from . import common, interrupt, output
from .parser import Parser


def configure(parser: Parser) -> None:
    """Adds the session, and where to listen."""
    parser.add_argument(
        "session", nargs="?", default="", metavar="SESSION", help="the session's address (default: the newest live one)"
    )
    common.add_rpc(parser)
    common.add_ws(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address that page and feed listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=common.unsigned(16), default=PAGE_PORT, metavar="N",
        help=f"port of the page; 0 takes a free one (default: {PAGE_PORT})",
    )  # fmt: skip
    parser.add_argument(
        "--feed-port", type=common.unsigned(16), default=FEED_PORT, metavar="N",
        help=f"port of the frame feed; 0 takes a free one (default: {FEED_PORT})",
    )  # fmt: skip
    parser.add_argument(
        "--name", action="append", default=[], metavar="HOST",
        help="also answer under this host name, such as a reverse proxy's, and let its pages read the feed; "
        "may be repeated",
    )  # fmt: skip


async def execute(args: argparse.Namespace) -> None:
    """Prints both addresses, and serves until Ctrl-C or SIGTERM.

    Raises:
        ConfigError: the session is not an address, a port is taken, or there is no WebSocket endpoint.
    """
    from ..viewer import Feed, PageServer

    session = str(common.address(args.session, "session")) if args.session else ""
    ws = common.websocket(args)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        page = await stack.enter_async_context(
            PageServer(rpc=args.rpc, ws=ws, session=session, host=args.host, port=args.port, names=args.name)
        )
        feed = await stack.enter_async_context(
            Feed(ws, rpc=args.rpc, session=session, host=args.host, port=args.feed_port, names=args.name)
        )
        output.say(f"live view   {page.url}")
        output.say(f"frame feed  {feed.url}")
        with interrupt.stopping_by(stop.set):
            await stop.wait()
