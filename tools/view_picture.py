"""Takes the README's picture of the live view: the demo's world, two agents, a headless Chromium, and a hit.

It plays until `--frame`, then moves the scrubber to the hardest hit between two fighters who are both on the stage.

.venv/bin/python tools/view_picture.py docs/images/view.png --seed 11 --frame 600
"""

from __future__ import annotations

import argparse
import asyncio
import base64
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
SHOWN = {"x": 0, "y": 0, "width": 945, "height": 690, "scale": 1}
"""The part of the page with the match; what is right of it depends on how busy the machine is."""
HARDEST_HIT = """(() => {
  let best = {gain: 0, frame: 0};
  for (let n = 2; n <= awm.history.last; n++) {
    const before = awm.history.get(n - 1)?.players, after = awm.history.get(n)?.players;
    if (!before || !after || after.some((fighter) => Math.abs(fighter.x) > 70 || fighter.y > 40)) continue;
    const gain = Math.max(after[0].percent - before[0].percent, after[1].percent - before[1].percent);
    if (gain > best.gain) best = {gain, frame: n};
  }
  return best.frame;
})()"""
"""JavaScript: the frame in which a fighter's percent rose most, 0 if nobody was hit."""
AFTER_HIT = 3
"""Frames after the hit at which its rays are largest."""


async def take(out: Path, seed: int, frame: int, agents: list[str]) -> None:
    """Plays until `frame` is on the screen, and writes a picture of the hardest hit so far to `out`."""
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
            hit = await browser.script(HARDEST_HIT)
            if not hit:
                raise SystemExit("Error: nobody was hit. Try: another --seed, or a later --frame")
            await browser.script(f"void Object.assign(awm, {{mode: 'scrub', position: {hit + AFTER_HIT}}})")
            await browser.until(f"document.getElementById('frame').dataset.frame === '{hit + AFTER_HIT}'")
            await asyncio.sleep(0.6)  # the camera comes to rest
            taken = await browser.command("Page.captureScreenshot", format="png", clip=SHOWN)
            out.write_bytes(base64.b64decode(taken["data"]))  # noqa: ASYNC240 (nothing else waits)
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--frame", type=int, default=600)
    parser.add_argument("--agents", nargs=2, default=["fighter", "fighter"], metavar="NAME")
    args = parser.parse_args()
    asyncio.run(take(args.out, args.seed, args.frame, args.agents))


if __name__ == "__main__":
    main()
