"""Takes the README's picture of the live view: the demo's cartridge, two bots, a headless Chromium.

.venv/bin/python tools/view_picture.py docs/images/view.png --seed 11 --frame 450
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from viewer.browser import Browser

from awm_crank.client.player import PlayerConnection, ScriptedPlayer
from awm_crank.config import Config
from awm_crank.engine.packaged import demo_cartridge
from awm_crank.match.players import agent
from awm_crank.rig.arena import open_arena
from awm_crank.viewer import PageServer
from awm_crank.wire.transaction import Signer

WIDTH, HEIGHT = 1280, 720


async def take(out: Path, seed: int, frame: int, agents: list[str]) -> None:
    """Plays until `frame` is on the screen, and a picture of it is in `out`."""
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        arena = await stack.enter_async_context(open_arena(Path(folder), demo_cartridge(), print, crank=Config()))
        connection = await stack.enter_async_context(PlayerConnection(arena.http, arena.ws))
        page = await stack.enter_async_context(PageServer(rpc=arena.http, ws=arena.ws, port=0))
        browser = await stack.enter_async_context(Browser())
        await browser.resize(WIDTH, HEIGHT)
        match = await arena.create(seed, 0)
        seats = [
            ScriptedPlayer(Signer(bytes(key)), number, agent(name))
            for number, (key, name) in enumerate(zip(arena.players, agents, strict=True))
        ]
        await browser.open(page.url)
        playing = asyncio.create_task(connection.play(match.entity, arena.world, seats, seed))
        try:
            await arena.join(match)
            # a second session, which waits for a person
            await arena.create(seed + 1, 0)
            await browser.until(f"awm.session && awm.session.frame >= {frame}", timeout_s=30 + frame / 30)
            await browser.screenshot(out)
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--frame", type=int, default=450)
    parser.add_argument("--agents", nargs=2, default=["spacing", "random"], metavar="NAME")
    args = parser.parse_args()
    asyncio.run(take(args.out, args.seed, args.frame, args.agents))


if __name__ == "__main__":
    main()
