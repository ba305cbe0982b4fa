"""`awm-crank view [SESSION]`: serves the live view and the frame feed for any RPC endpoint, until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal

from ..errors import ConfigError
from ..viewer.feed import FEED_PORT
from ..viewer.server import PAGE_PORT
from . import common


def port(text: str) -> int:
    """An argparse type: a TCP port, 0 for a free one."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) < 1 << 16):
        raise argparse.ArgumentTypeError(f"{text!r} is no port (0..65535)")
    return int(text)


def configure(parser: argparse.ArgumentParser) -> None:
    """Session, endpoints, ports."""
    parser.add_argument(
        "session", nargs="?", default="", metavar="SESSION", help="the session's address (default: the newest live one)"
    )
    common.add_rpc(parser)
    parser.add_argument("--ws", default="", metavar="URL", help="WebSocket endpoint (default: --rpc, one port higher)")
    parser.add_argument("--host", default="127.0.0.1", help="address that both listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=port, default=PAGE_PORT, metavar="N", help=f"of the page, 0 for a free one (default {PAGE_PORT})"
    )
    parser.add_argument(
        "--feed-port", type=port, default=FEED_PORT, metavar="N",
        help=f"of the frame feed, 0 for a free one (default {FEED_PORT})",
    )  # fmt: skip


async def execute(args: argparse.Namespace) -> None:
    """Serves until Ctrl-C or SIGTERM; prints both addresses first.

    Raises:
        ConfigError: no address, a port that is taken, or no WebSocket endpoint.
    """
    from ..config import websocket_url
    from ..viewer import Feed, PageServer

    session = str(common.address(args.session, "session")) if args.session else ""
    try:
        ws = args.ws or websocket_url(args.rpc)
    except ConfigError as error:
        raise ConfigError(error.what, found=error.found, hint="name it with --ws") from None
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        page = await stack.enter_async_context(
            PageServer(rpc=args.rpc, ws=ws, session=session, host=args.host, port=args.port)
        )
        feed = await stack.enter_async_context(Feed(ws, session=session, host=args.host, port=args.feed_port))
        common.say(f"live view   {page.url}")
        common.say(f"frame feed  {feed.url}")
        await stop.wait()
