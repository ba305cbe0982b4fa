"""`python -m awm_crank.bench.live_players FILE`: both players of many sessions, in a process of their own.

FILE is JSON: `http`, `ws`, `world`, and `matches`, each with `entity`, `seed` and two `keys` (arrays as in key files).
Plays until SIGTERM.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from pathlib import Path

import msgspec
from solders.pubkey import Pubkey

from awm_crank.client.player import PlayerConnection, ScriptedPlayer
from awm_crank.match.players import agent
from awm_crank.net import loop
from awm_crank.wire.transaction import Signer


class Seats(msgspec.Struct):
    """One session, and the keys of its two players."""

    entity: str
    seed: int
    keys: tuple[list[int], list[int]]


class PlayersFile(msgspec.Struct):
    """The contents of FILE: where to play, and which matches."""

    http: str
    ws: str
    world: str
    matches: list[Seats]


async def play(wanted: PlayersFile) -> None:
    """Plays all matches at once until SIGTERM."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    act = agent("random")
    async with PlayerConnection(wanted.http, wanted.ws) as connection:
        world = Pubkey.from_string(wanted.world)
        tasks = []
        for match in wanted.matches:
            seats = [ScriptedPlayer(Signer(bytes(key)), number, act) for number, key in enumerate(match.keys)]
            playing = connection.play(Pubkey.from_string(match.entity), world, seats, match.seed)
            tasks.append(asyncio.create_task(playing))
        gc.collect()
        gc.freeze()
        await over.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    """Runs the command on the same kind of event loop as the crank."""
    wanted = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=PlayersFile)
    loop.run(play(wanted))


if __name__ == "__main__":
    main()
