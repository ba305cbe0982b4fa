"""Runs page and feed in a separate process, which a crank starts.

It reads one line of JSON (`Order`) from standard input. It ends when standard input ends, that is, when the crank ends.
It writes one line of JSON (`Addresses`) to standard output: both addresses, or the problem.

    python -m awm_crank.viewer.process
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from ..errors import ConfigError
from .feed import Feed
from .server import PageServer


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to serve. The page asks `rpc` and `ws`, the feed `feed_rpc` and `feed_ws`; `names` as in `PageServer`."""

    host: str
    page_port: int
    feed_port: int
    rpc: str
    ws: str
    feed_ws: str
    feed_rpc: str = ""
    names: list[str] = []


class Addresses(msgspec.Struct, frozen=True):
    """Both addresses, or why there are none."""

    page: str = ""
    feed: str = ""
    problem: str = ""


async def serve(order: Order) -> None:
    """Serves until standard input ends.

    Raises:
        ConfigError: a port is taken.
    """
    starter = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(starter), sys.stdin)
    async with (
        PageServer(rpc=order.rpc, ws=order.ws, host=order.host, port=order.page_port, names=order.names) as page,
        Feed(
            order.feed_ws, rpc=order.feed_rpc or None, host=order.host, port=order.feed_port, names=order.names
        ) as feed,
    ):
        _write(Addresses(page.url, feed.url))
        await starter.read()


def main() -> None:
    """The process: status 0 after its starter has ended, 2 when a port is taken."""
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    try:
        asyncio.run(serve(order))
    except ConfigError as error:
        _write(Addresses(problem=f"{error.what}: {error.found}"))
        sys.exit(2)


def _write(outcome: Addresses) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
