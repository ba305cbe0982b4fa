"""The page in a real Chromium: its document and its pixels, on matches that really run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from solders.pubkey import Pubkey
from viewer.browser import Browser
from viewer.cartridges import steered
from viewer.proxy import Proxy

from awm_crank.client.player import PlayerConnection, ScriptedPlayer
from awm_crank.client.session import SessionAccounts
from awm_crank.config import Config
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.packaged import demo_cartridge
from awm_crank.engine.reference import ReferenceEngine
from awm_crank.match import file, players
from awm_crank.rig.arena import DEFAULT_CRANK, Arena, open_arena
from awm_crank.viewer import PageServer
from awm_crank.wire.accounts import ACTIVE, FrameRecord, SessionState
from awm_crank.wire.start import start_players
from awm_crank.wire.transaction import Signer

FRAMES = 90
CHARTS = ("interval", "latency", "missed")
_DRAWN = """
(() => {{
  const canvas = document.getElementById("chart-{name}");
  const {{ data }} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  // the guide across the first two is there without a value as well, but is neither green nor bright
  const least = canvas.id === "chart-missed" ? 0 : 150;
  return data.filter((value, at) => at % 4 === 1 && value > least).length;
}})()
"""

# the number of pixels close to a fighter's colour, and their middle from 0 (left) to 1 (right)
_PAINTED = """
(() => {
  const canvas = document.getElementById("stage");
  const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const found = [[255, 107, 107], [77, 212, 255]].map(([r, g, b]) => {
    let [count, sum] = [0, 0];
    for (let at = 0; at < data.length; at += 4) {
      if (Math.abs(data[at] - r) + Math.abs(data[at + 1] - g) + Math.abs(data[at + 2] - b) < 30) {
        count++;
        sum += (at / 4) % width;
      }
    }
    return { count, x: sum / count / width };
  });
  return found;
})()
"""


@dataclass
class Scene:
    """A chain with a crank, the page in a browser, and the running matches."""

    arena: Arena
    connection: PlayerConnection
    browser: Browser
    http: Proxy
    ws: Proxy

    def seat(self, number: int, agent: players.Agent) -> ScriptedPlayer:
        """A script that plays with one of the arena's two keys."""
        return ScriptedPlayer(Signer(bytes(self.arena.players[number])), number, agent)


@asynccontextmanager
async def scene(folder: Path, cartridge: Cartridge, crank: Config = DEFAULT_CRANK) -> AsyncIterator[Scene]:
    """Starts everything that a person needs to open the page."""
    async with (
        open_arena(folder, cartridge, crank=crank) as arena, PlayerConnection(arena.http, arena.ws) as connection,
        Proxy(arena.http) as http, Proxy(arena.ws) as ws, PageServer(rpc=http.url, ws=ws.url, port=0) as page,
        Browser() as browser,
    ):  # fmt: skip
        await browser.open(page.url)
        yield Scene(arena, connection, browser, http, ws)


async def session_of(arena: Arena, match: SessionAccounts) -> SessionState:
    """The session's current state."""
    (found,) = await arena.chain.accounts([match.session])
    assert found is not None
    return SessionState.decode(found.data)


async def test_match_is_shown_as_it_runs(tmp_path: Path) -> None:
    """The demo's match is shown at 55 frames a second or more: both fighters move in the document and on the canvas."""
    async with scene(tmp_path, demo_cartridge()) as here:
        browser = here.browser
        await browser.until("document.getElementById('banner').innerText.includes('No sessions')")
        match = await here.arena.create(3, 0)
        await browser.until("document.getElementById('banner').innerText.includes('Waiting for player 2')")
        seats = [here.seat(0, players.spacing), here.seat(1, players.random)]
        playing = asyncio.create_task(here.connection.play(match.entity, here.arena.world, seats, 3))
        try:
            await here.arena.join(match)
            await browser.until("awm.session.frame > 30")
            assert await browser.script("document.getElementById('status').dataset.state") == "live"
            rates: list[float] = []
            places: set[Any] = set()
            painted: list[Any] = []
            # the best of several spans, since another process may have used the processor during one of them
            while len(rates) < 8 and max(rates, default=0.0) < 55:
                frame, at = await browser.script("[Number(document.getElementById('frame').dataset.frame), Date.now()]")
                for _ in range(4):
                    await asyncio.sleep(0.5)
                    places.add(await browser.script("[p1.dataset.x, p2.dataset.x].join()"))
                    painted.append(await browser.script(_PAINTED))
                later, then = await browser.script(
                    "[Number(document.getElementById('frame').dataset.frame), Date.now()]"
                )
                rates.append((later - frame) * 1000 / (then - at))
            assert max(rates) >= 55, rates
            for number in (0, 1):
                assert len({place.split(",")[number] for place in places}) > 1
                seen = [each[number] for each in painted if each[number]["count"] > 20]
                assert seen
                assert max(each["x"] for each in seen) - min(each["x"] for each in seen) > 0.002
            text = await browser.script("document.body.innerText")
            assert "Final Destination" in text
            assert "1 live of 1" in text
            assert await browser.script("awm.timing.latencies.length > 60")
            shown = [await browser.script(f"document.getElementById('{name}').innerText") for name in CHARTS]
            assert shown[0].endswith(" a second")
            assert " ms, p99 " in shown[1]
            assert shown[2].isdigit()
            drawn = {name: await browser.script(_DRAWN.format(name=name)) for name in CHARTS}
            assert min(drawn["interval"], drawn["latency"]) > 50
            # one bar of a few pixels for each second, however many ticks were missed in it
            assert drawn["missed"] >= 4 * (await browser.script("awm.timing.missedBySecond.length") - 1) > 0
            assert browser.console == []
        finally:
            playing.cancel()


async def test_person_plays_against_a_bot(tmp_path: Path) -> None:
    """The page's own key joins, and a held key moves its fighter the right way, by keyboard and by touch."""
    async with scene(tmp_path, steered(), Config()) as here:
        browser = here.browser
        match = await here.arena.create(1, 0)
        playing = asyncio.create_task(
            here.connection.play(match.entity, here.arena.world, [here.seat(0, players.noop)], 1)
        )
        try:
            await browser.until("document.querySelector('button.join:not([hidden])')")
            await browser.click("button.join:not([hidden])")
            await browser.until("awm.seat && awm.session.frame > 10")
            state = await session_of(here.arena, match)
            assert state.status == ACTIVE
            assert str(state.player2) == await browser.script("awm.key.text")
            assert await browser.script("document.getElementById('p2').innerText.includes('(you)')")

            for code, direction in (("KeyD", 1), ("KeyA", -1)):
                before = float(await browser.script("p2.dataset.x"))
                await browser.key(code, down=True)
                await browser.until(f"p2.dataset.stick === '{80 * direction}'")
                await browser.until(f"(Number(p2.dataset.x) - {before}) * {direction} > 10")
                await browser.key(code, down=False)
                await browser.until("p2.dataset.stick === '0'")
                # the frame log agrees: that player's stick moved, and the other's did not
                await browser.until(
                    "(() => { for (let n = awm.history.last; n > 0; n--) { const f = awm.history.get(n);"
                    f" if (f?.sources && f.inputs[1].stick_x === {80 * direction}) return f.inputs[0].stick_x === 0; }}"
                    " })()"
                )
            assert float(await browser.script("p1.dataset.x")) == -30

            # the key survives a reload, and so does the seat
            await browser.script("window.before = true")
            await browser.command("Page.reload")
            await browser.until("!window.before && awm.seat && awm.seat.sent > 10")
            assert str(state.player2) == await browser.script("awm.key.text")

            await browser.resize(390, 844, touch=True)
            await browser.until("!document.getElementById('touch').hidden")
            at = await browser.script(
                "(() => { const e = document.querySelector('#touch [data-action=right]');"
                " e.scrollIntoView({block: 'center'});"
                " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
            )
            before = float(await browser.script("p2.dataset.x"))
            await browser.command("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": at[0], "y": at[1]}])
            await browser.until(f"Number(p2.dataset.x) - {before} > 10")
            await browser.command("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
            await browser.until("p2.dataset.stick === '0'")

            await browser.click("#leave")
            await browser.until("awm.session.status === 3")
            await asyncio.wait_for(playing, 20)
            assert browser.console == []
        finally:
            playing.cancel()


async def test_lost_connection_is_shown_and_recovers(tmp_path: Path) -> None:
    """The page reports a cut or silent connection; once it is back the match goes on.

    The frames in between come from the frame log.
    """
    async with scene(tmp_path, steered(), Config()) as here:
        browser = here.browser
        match = await here.arena.create(2, 0)
        seats = [here.seat(0, players.hold_forward), here.seat(1, players.hold_forward)]
        playing = asyncio.create_task(here.connection.play(match.entity, here.arena.world, seats, 2))
        try:
            await here.arena.join(match)
            await browser.until("awm.session?.frame > 20")
            for lose in ("cut", "freeze"):
                if lose == "cut":
                    await here.http.cut()
                    await here.ws.cut()
                else:
                    here.ws.freeze()
                await browser.until("document.getElementById('status').dataset.state === 'lost'")
                assert "Connection lost" in await browser.script("document.getElementById('banner').innerText")
                frame = await browser.script("awm.session.frame")
                await asyncio.sleep(0.5)
                assert await browser.script("awm.session.frame") == frame
                await here.http.restore()
                await here.ws.restore()
                await browser.until("document.getElementById('status').dataset.state === 'live'")
                await browser.until(f"awm.session.frame > {frame} + 60")
                assert await browser.script("document.getElementById('banner').hidden")
                await browser.until(
                    f"(() => {{ for (let n = 0; n <= {frame} + 30; n++) if (!awm.history.get(n)) return false;"
                    " return true; })()"
                )
            # another endpoint, entered by hand: the chain itself instead of the relay
            await browser.click("#settings-toggle")
            await browser.script(f"document.getElementById('rpc').value = '{here.arena.http}'")
            await browser.click("#settings button")
            await browser.until(f"awm.pubsub.url.startsWith('{here.arena.ws}') && awm.session?.frame > 60")
            assert await browser.script("document.getElementById('status').dataset.state") == "live"
        finally:
            playing.cancel()


@cache
def crossing() -> file.MatchFile:
    """A match in which both fighters walk towards each other, past each other, and on."""
    start = start_players(1, 2)
    engine = ReferenceEngine(steered())
    block = start + bytes(32) + bytes([32])
    state = engine.start_state(block)
    inputs = players.controller(80) + players.controller(-80)
    records = []
    for frame in range(1, FRAMES + 1):
        block = engine.heads(engine.backbone(state, block), block, inputs)
        records.append(
            FrameRecord(frame, inputs[:8], inputs[8:], 0, 1, 32, 0, block[:32], block[32:64], bytes(8)).encode()
        )
    keys = [Pubkey.from_bytes(bytes([n] * 32)) for n in range(1, 6)]
    return file.build(
        session=keys[0], entity=keys[1], player1=keys[2], player2=keys[3], model=keys[4], cartridge_sha256=bytes(32),
        seed=1, stage=32, max_frames=0, start_players=start, records=records, chain_hash=bytes(32),
    )  # fmt: skip


@pytest.fixture(scope="module")
def match_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The crossing, in a file."""
    path = tmp_path_factory.mktemp("match") / "crossing.json"
    path.write_bytes(crossing().encode())
    return path


async def scrub(browser: Browser, frame: int) -> list[dict[str, float]]:
    """Moves the scrubber, and returns what is painted once that frame is shown."""
    await browser.script(
        f"(() => {{ const e = document.getElementById('position'); e.value = {frame};"
        " e.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    await browser.until(f"document.getElementById('frame').dataset.frame === '{frame}'")
    # lets the camera stop
    await asyncio.sleep(0.6)
    painted: list[dict[str, float]] = await browser.script(_PAINTED)
    return painted


async def test_match_file_opens_and_scrubs(match_file: Path, tmp_path: Path) -> None:
    """A file plays without any chain, every frame can be selected, and the canvas shows each fighter in its place."""
    match = crossing()
    async with PageServer(rpc="http://127.0.0.1:9", ws="ws://127.0.0.1:9", port=0) as page, Browser() as browser:
        await browser.open(page.url)
        await browser.until("document.getElementById('banner').innerText.includes('No answer from ws://127.0.0.1:9')")
        await browser.choose_file("#file", match_file)
        await browser.until(f"document.getElementById('frame').dataset.frame === '{FRAMES}'")
        assert await browser.script("document.getElementById('status').innerText") == "crossing.json"
        assert await browser.script("document.getElementById('banner').hidden")
        for frame in (0, 17, FRAMES):
            left, right = await scrub(browser, frame)
            shown = await browser.script("[Number(p1.dataset.x), Number(p2.dataset.x)]")
            assert shown == [player["x"] for player in match.frames[frame]["players"]]
            assert min(left["count"], right["count"]) > 20
            # by the end they have passed each other
            assert (left["x"] < right["x"]) == (frame < FRAMES)
        assert await browser.script("document.querySelector('#p1 .input').dataset.source") == "fresh"
        assert await browser.script("document.querySelector('#p2 .input').dataset.source") == "held"

        broken = tmp_path / "broken.json"
        await asyncio.to_thread(broken.write_text, '{"meta": {"format": "awm-match/9"}}')
        await browser.choose_file("#file", broken)
        await browser.until("document.getElementById('banner').innerText.includes('expected awm-match/1')")


async def test_playback_keeps_time(match_file: Path) -> None:
    """A file plays at 60 frames a second, and at half speed at 30."""
    async with PageServer(rpc="http://127.0.0.1:9", ws="ws://127.0.0.1:9", port=0) as page, Browser() as browser:
        await browser.open(page.url)
        await browser.until("window.awm?.contract")
        await browser.choose_file("#file", match_file)
        await browser.until("awm.mode === 'file' && !awm.playing")
        for speed in (1, 0.5):
            await browser.script(
                f"(() => {{ const e = document.getElementById('speed'); e.value = '{speed}';"
                " e.dispatchEvent(new Event('change')); })()"
            )
            started = time.monotonic()
            await browser.click("#play")
            await browser.until("awm.playing")
            await browser.until("!awm.playing")
            # on a busy machine frames may be seen late, but the match does not run faster
            assert 0.85 < (time.monotonic() - started) * 60 * speed / FRAMES < 1.6


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
async def test_page_fits_every_width(match_file: Path, width: int) -> None:
    """Nothing is wider than the window, and every button is big enough for a finger."""
    async with PageServer(rpc="http://127.0.0.1:9", ws="ws://127.0.0.1:9", port=0) as page, Browser() as browser:
        await browser.resize(width, 800, touch=width < 800)
        await browser.open(page.url)
        await browser.until("window.awm?.contract")
        await browser.choose_file("#file", match_file)
        await browser.until("awm.mode === 'file'")
        # the controls that only players see count as well
        overflow, small = await browser.script(
            "(() => { document.getElementById('touch').hidden = false;"
            " const all = [...document.querySelectorAll('button, .button, select')];"
            " const boxes = all.map((e) => [e.id || e.dataset.action, e.getBoundingClientRect()]);"
            " const small = boxes.filter(([, r]) => r.width && (r.height < 36 || r.width < 36));"
            " return [document.scrollingElement.scrollWidth, small.map(([name]) => name)]; })()"
        )
        assert overflow <= width
        assert small == []
