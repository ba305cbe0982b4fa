"""How the page shows a hit, a lost stock and the end, in words and in pixels."""

from __future__ import annotations

from pathlib import Path

import pytest
from solders.pubkey import Pubkey
from viewer.browser import Browser
from viewer.test_page import scrub

from awm_crank.match import file
from awm_crank.viewer import PageServer
from awm_crank.wire.accounts import FrameRecord, PlayerState
from awm_crank.wire.start import start_players

HIT, LOST, OVER, FRAMES = 40, 120, 300, 320
JAB, HURT, WAIT = 44, 75, 14
SPARK, WHITE = (255, 224, 138), (255, 255, 255)


def records() -> list[bytes]:
    """Player 1 jabs at frame `HIT` for 12 %, and player 2 loses a stock at `LOST` and the last one at `OVER`."""
    made = []
    for frame in range(1, FRAMES + 1):
        jabs = HIT - 3 <= frame < HIT + 10
        one = PlayerState(
            x=-8 * 256, stocks=4, facing=1, on_ground=1, action_state=JAB if jabs else WAIT, state_age=frame % 60,
            shield_strength=60 * 256,
        )  # fmt: skip
        gone = frame >= LOST
        two = PlayerState(
            x=8 * 256, percent=12 if HIT <= frame < LOST else 0, stocks=0 if frame >= OVER else 3 if gone else 4,
            on_ground=1, action_state=HURT if HIT <= frame < HIT + 20 else WAIT, state_age=frame % 60,
            shield_strength=60 * 256, character=20,
        )  # fmt: skip
        made.append(FrameRecord(frame, bytes(8), bytes(8), 0, 0, 32, 0, one.encode(), two.encode(), bytes(8)).encode())
    return made


@pytest.fixture(scope="module")
def match_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That match, in a file."""
    keys = [Pubkey.from_bytes(bytes([n] * 32)) for n in range(1, 6)]
    match = file.build(
        session=keys[0], entity=keys[1], player1=keys[2], player2=keys[3], model=keys[4], cartridge_sha256=bytes(32),
        seed=1, stage=32, max_frames=0, start_players=start_players(0, 20), records=records(), chain_hash=bytes(32),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("match") / "effects.json"
    path.write_bytes(match.encode())
    return path


async def painted(browser: Browser, colour: tuple[int, int, int], *, top: float = 1.0) -> int:
    """The number of pixels in the stage's upper part that are close to a colour."""
    count: int = await browser.script(
        '(() => { const c = document.getElementById("stage");'
        f" const {{ data }} = c.getContext('2d').getImageData(0, 0, c.width, Math.round(c.height * {top}));"
        f" const [r, g, b] = {list(colour)}; let n = 0;"
        " for (let at = 0; at < data.length; at += 4)"
        " n += Math.abs(data[at] - r) + Math.abs(data[at + 1] - g) + Math.abs(data[at + 2] - b) < 24;"
        " return n; })()"
    )
    return count


async def test_hit_and_ko(match_file: Path) -> None:
    """Each event shows in its own frames and in no others.

    A hit shows sparks and percent, a lost stock the stock and its word, and the end its word.
    """
    async with PageServer(rpc="http://127.0.0.1:9", ws="ws://127.0.0.1:9", port=0) as page, Browser() as browser:
        await browser.open(page.url)
        await browser.until("window.awm?.contract")
        await browser.choose_file("#file", match_file)
        await browser.until("awm.mode === 'file'")

        async def cards(frame: int) -> list[str]:
            await scrub(browser, frame)
            return [" ".join((await browser.script(f"p{n}.innerText")).split()) for n in (1, 2)]

        one, two = await cards(HIT - 1)
        assert "jab" in one
        assert (two.startswith("0 %"), "●●●●" in two, "wait" in two) == (True, True, True)
        assert await painted(browser, SPARK) == 0
        _, two = await cards(HIT)
        assert (two.startswith("12 %"), "hurt" in two) == (True, True)
        assert await painted(browser, SPARK) > 50
        await cards(HIT + 20)
        assert await painted(browser, SPARK) == 0

        await cards(LOST - 1)
        quiet = await painted(browser, WHITE, top=0.4)
        _, two = await cards(LOST + 4)
        assert (two.startswith("0 %"), "●●●○" in two) == (True, True)
        assert await painted(browser, WHITE, top=0.4) > quiet + 500
        await cards(LOST + 60)
        assert await painted(browser, WHITE, top=0.4) < quiet + 50

        await cards(OVER - 1)
        assert await painted(browser, WHITE, top=0.4) < quiet + 50
        _, two = await cards(FRAMES)
        assert "○○○○" in two
        assert await painted(browser, WHITE, top=0.4) > quiet + 500
