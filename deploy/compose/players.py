"""Two scripted players for docker-compose.yml's arena (profile `demo`), who play match after match.

Publishes the demo's cartridge on the base chain. Then it creates each match there, delegates it to the rollup, joins
and plays it there, takes it back and closes it. Environment: BASE and ROLLUP (RPC endpoints), KEYS (folder with
crank.json, player1.json and player2.json), FRAMES (of a match), ALIVE (a file that is touched at each step of a match).
"""

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

from awm_crank.client import publish, rollup, session, setup
from awm_crank.client.chain import Chain
from awm_crank.client.keys import load_keypair
from awm_crank.client.player import PlayerConnection, ScriptedPlayer
from awm_crank.config import websocket_url
from awm_crank.engine.packaged import demo_cartridge
from awm_crank.match.players import agent
from awm_crank.wire.transaction import Signer

AGENTS = ("fighter", "fighter")
RING_RECORDS, CHECKPOINT_BYTES = 900, 40_000


async def main() -> None:
    """Plays until the process is stopped."""
    keys = Path(os.environ["KEYS"])
    players = [load_keypair(keys / f"player{number}.json") for number in (1, 2)]
    writer = load_keypair(keys / "crank.json").pubkey()
    there = os.environ["ROLLUP"]
    async with Chain(os.environ["BASE"]) as base, Chain(there, commitment="processed") as roll:
        world = await setup.find_or_create_world(base, players[0])
        model = (await publish.publish(base, players[0], world, demo_cartridge())).model
        for seed in count(1):
            frames = int(os.environ["FRAMES"])
            match = await session.create(
                base, players[0], world, model, writer=writer, max_frames=frames, seed=seed, challenge_s=0
            )
            await rollup.delegate(
                base, roll, players[0], match.session, ring_records=RING_RECORDS, checkpoint_bytes=CHECKPOINT_BYTES
            )
            await session.join(roll, players[1], world, match.session)
            say(f"match {seed}: {match.session}")
            async with PlayerConnection(there, websocket_url(there)) as connection:
                seats = [ScriptedPlayer(Signer(bytes(player)), n, agent(AGENTS[n])) for n, player in enumerate(players)]
                outcome = await connection.play(match.entity, world, seats, seed)
            await finished(roll, match)
            settled = await rollup.undelegate(base, roll, players[0], match.session)
            await session.close(base, players[0], match.session)
            say(f"match {seed}: {outcome.frame} frames, settled on the base chain in {settled.seconds:.1f} s")


async def finished(roll: Chain, match: session.SessionAccounts) -> None:
    """Waits for the crank's last checkpoint."""
    while True:
        view = await session.show(roll, match.session)
        if view.hidden is not None and view.hidden.checkpoint_frame == view.session.frame:
            return
        await asyncio.sleep(0.2)


def say(text: str) -> None:
    """Writes a line to the log, and shows the health check that the match goes on."""
    Path(os.environ["ALIVE"]).touch()
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
