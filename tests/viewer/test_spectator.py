"""Other people's pages open our frames and follow our feed: in Chromium, a small page with the same rules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from client.localnet import Arena
from client.localnet import arena as start
from match.fakes import play
from viewer.browser import Browser

from awm_crank.cli import main
from awm_crank.client import session
from awm_crank.viewer.feed import Feed

FOLDER = Path(__file__).parent / "spectator"


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    """A localnet with a world and a small published model."""
    with start() as made:
        yield made


@asynccontextmanager
async def site() -> AsyncIterator[str]:
    """The page's URL; a page from a file could not read the feed."""
    app = web.Application()
    app.router.add_static("/", FOLDER)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/index.html"
    await runner.cleanup()


async def test_exported_frames_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`export --frames` of a match file gives a file that the page opens; the match file itself it refuses."""
    match, frames = tmp_path / "match.json", tmp_path / "frames.json"
    match.write_bytes(play(5).file.encode())
    assert await asyncio.to_thread(main, ["export", str(match), "--frames", "-o", str(frames)]) == 0
    assert json.loads(frames.read_text()) == json.loads(match.read_text())["frames"]
    assert "frames" in capsys.readouterr().out
    async with site() as page, Browser() as browser:
        await browser.open(page)
        await browser.until("phases.length === 1")
        await browser.choose_file("#file", frames)
        await browser.until("document.getElementById('opened').textContent === '6 frames'")
        await browser.choose_file("#file", match)
        await browser.until("document.getElementById('opened').textContent.includes('no array of frames')")


async def test_arena_goes_live(arena: Arena) -> None:
    """The page goes live with the match's start, gets every frame once, and shows the result at its end. A page that
    opens afterwards is told the same match.
    """
    async with (
        site() as page, arena.chain() as chain, Feed(arena.net.ws, rpc=arena.net.http, port=0) as feed,
        Browser() as browser,
    ):  # fmt: skip
        await browser.open(f"{page}?live={feed.url}")
        made, crank, player1, *_ = await arena.played(chain, 5)
        await browser.until("phases.at(-1) === 'live' && matches[0].frames.length === 6")
        await crank.frames(2)
        await session.end(chain, player1, arena.world, made.session)
        await browser.until("phases.at(-1) === 'over'")
        found = json.loads(await browser.script("JSON.stringify({problems, phases, matches})"))
        assert found["problems"] == []
        assert found["phases"] == ["waiting", "live", "over"]
        (match,) = found["matches"]
        assert len(match["frames"]) == 8
        assert match["end"]["total_frames"] == 7
        assert (match["end"]["reason"], match["end"]["winner"]) == ("ended", None)
        await browser.open(f"{page}?live={feed.url}")
        await browser.until("phases.join() === 'waiting,live,over' && matches[0].frames.length === 1")
        assert await browser.script("problems.length") == 0
