"""Page and feed as a process beside somebody else's, a crank's: started, told what to serve, ended with its starter.

Standard input: one line, JSON (`Told`); its end is the starter's end. Standard output: one line, JSON, with both
addresses or the `problem`.

    python -m awm_crank.viewer.beside
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from ..errors import ConfigError
from .feed import Feed
from .server import PageServer


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to serve. `rpc` and `ws` are named to browsers, `feed_ws` is where the feed itself listens."""

    host: str
    page_port: int
    feed_port: int
    rpc: str
    ws: str
    feed_ws: str


class Said(msgspec.Struct, frozen=True):
    """What came of it: both addresses, or why there are none."""

    page: str = ""
    feed: str = ""
    problem: str = ""


async def serve(told: Told) -> None:
    """Serves until standard input ends.

    Raises:
        ConfigError: a port cannot be had.
    """
    over = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(over), sys.stdin)
    async with (
        PageServer(rpc=told.rpc, ws=told.ws, host=told.host, port=told.page_port) as page,
        Feed(told.feed_ws, host=told.host, port=told.feed_port) as feed,
    ):
        _say(Said(page.url, feed.url))
        await over.read()


def main() -> None:
    """The process: status 0 after its starter's end, 2 where a port cannot be had."""
    told = msgspec.json.decode(sys.stdin.buffer.readline(), type=Told)
    try:
        asyncio.run(serve(told))
    except ConfigError as error:
        _say(Said(problem=f"{error.what}: {error.found}"))
        sys.exit(2)


def _say(said: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
