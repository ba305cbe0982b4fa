"""A crank's own page and feed, shown in a real browser during a match. Trouble with either never reaches the crank."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from daemon.rig import CrankProcess, Place, finished, until
from viewer.browser import Browser

from awm_crank import config
from awm_crank.cli import main
from awm_crank.match.file import frame_object


def serving(place: Place, name: str = "crank", **view: Any) -> CrankProcess:
    """A crank that serves page and feed, on free ports by default."""
    settings = config.ViewConfig(**{"enabled": True, "page_port": 0, "feed_port": 0, **view})
    return place.crank(msgspec.structs.replace(place.settings(), view=settings), name)


async def shown(crank: CrankProcess, times: int = 1) -> dict[str, Any]:
    """Waits for the log line that has both addresses."""
    await until(lambda: len(crank.lines("view")) >= times, what="a view")
    return crank.lines("view")[-1]


def child(crank: CrankProcess) -> int:
    """The process id of the one child that a crank has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == crank.process.pid and fields[0] != "Z":
            found.append(int(path.parent.name))
    (pid,) = found
    return pid


def about(pid: int, name: str) -> str:
    """Reads a file of /proc."""
    return Path(f"/proc/{pid}/{name}").read_text().strip()


def listening(url: str) -> bool:
    """Whether a server accepts connections at this address."""
    host, _, port = url.rstrip("/").rpartition("//")[2].rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


async def test_match_in_a_browser(place: Place, tmp_path: Path) -> None:
    """The page shows a match live and as exported, the feed sends each frame, and both end with the crank."""
    crank = serving(place)
    view = await shown(crank)
    await crank.ready()
    match = await place.create(max_frames=300)
    async with aiohttp.ClientSession() as http, http.ws_connect(view["feed"]) as feed, Browser() as browser:
        # the session is named, because the page would choose one of several on a chain with other live sessions
        await browser.open(f"{view['page']}#session={match.session}")
        await browser.until("document.getElementById('banner').innerText.includes('Waiting for player 2')")
        await place.join(match)
        playing = asyncio.create_task(place.play(match))
        await browser.until("document.getElementById('frame').dataset.frame > 60")
        assert await browser.script("awm.watched") == str(match.session)
        assert (await browser.script("awm.pubsub.url")).rstrip("/") == place.net.ws.rstrip("/")
        async with asyncio.timeout(20):
            assert json.loads((await feed.receive()).data)["type"] == "match_start"
            first = json.loads((await feed.receive()).data)
        assert set(first) == set(frame_object(bytes(64), 32))
        await playing
        ended = await place.when(match, finished)
        await browser.until("awm.session.status === 3 && awm.session.frame === 300")
        async with asyncio.timeout(20):
            while first != frame_object(ended.session.players, ended.session.stage):
                first = json.loads((await feed.receive()).data)
        # the file that the match is exported to shows the same match
        path = tmp_path / "match.json"
        words = ["export", str(match.session), "-o", str(path), "--rpc", place.net.http]
        assert await asyncio.to_thread(main, words) == 0
        await browser.choose_file("#file", path)
        await browser.until("awm.mode === 'file' && !awm.playing")
        last = json.loads(path.read_bytes())["frames"][-1]["players"]
        assert await browser.script("[Number(p1.dataset.x), Number(p2.dataset.x)]") == [each["x"] for each in last]
        assert browser.console == []
    assert await crank.stop() == 0
    assert not listening(view["page"])
    assert not listening(view["feed"])


async def test_off_unless_enabled(place: Place) -> None:
    """A crank without the setting starts no child process."""
    crank = place.crank()
    await crank.ready()
    with pytest.raises(ValueError, match="not enough values"):
        child(crank)
    assert crank.lines("view") == []


async def test_trouble_stays_with_the_view(place: Place) -> None:
    """The view's process has the lowest priority; when it is stopped or killed, no frame is lost and it comes back."""
    crank = serving(place)
    first = await shown(crank)
    pid = child(crank)
    assert os.getpriority(os.PRIO_PROCESS, pid) == 19
    assert about(pid, "oom_score_adj") == "1000"
    await crank.ready()
    match = await place.create(max_frames=240)
    await place.join(match)
    playing = asyncio.create_task(place.play(match))
    await place.when(match, lambda view: view.session.frame >= 30)
    os.kill(pid, signal.SIGSTOP)
    await place.when(match, lambda view: view.session.frame >= 120)
    os.kill(pid, signal.SIGKILL)
    await playing
    await place.when(match, finished)
    second = await shown(crank, 2)
    assert second["page"] != first["page"]
    assert [line["status"] for line in crank.lines("view ended")] == [-signal.SIGKILL]
    assert listening(second["page"])
    assert child(crank) != pid
    assert await crank.stop() == 0


async def test_crank_that_is_killed_takes_it_along(place: Place) -> None:
    """After the crank is killed with SIGKILL, its page process ends, too."""
    crank = serving(place)
    view = await shown(crank)
    crank.kill()
    await until(lambda: not listening(view["page"]) and not listening(view["feed"]), what="the view's end")


async def test_taken_port_keeps_nobody_from_serving(place: Place) -> None:
    """When the port is taken, the crank still becomes ready and names the port; once it is free, the page is there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        crank = serving(place, page_port=port)
        await crank.ready()
        await until(lambda: bool(crank.lines("no view")))
        assert f"port {port}" in crank.lines("no view")[0]["problem"]
        assert "view.page_port" in crank.lines("no view")[0]["hint"]
    view = await shown(crank)
    assert view["page"] == f"http://127.0.0.1:{port}/"


async def test_endpoint_without_websocket_is_refused(place: Place) -> None:
    """A setting that cannot work ends the crank at its start, and the error names it."""
    crank = serving(place, rpc="https://seen.example")
    assert await crank.ended() == 2
    assert "view.ws" in crank.log.read_text()


async def test_token_is_not_shown(place: Place) -> None:
    """Browsers get the address of `view.rpc`; the crank's own address appears neither there nor in the process list."""
    settings = msgspec.structs.replace(
        place.settings(rollup_http=f"{place.net.http}/?token=s3cret", rollup_ws=f"{place.net.ws}/?token=s3cret"),
        view=config.ViewConfig(enabled=True, page_port=0, feed_port=0, rpc="http://seen:80"),
    )
    crank = place.crank(settings)
    view = await shown(crank)
    async with aiohttp.ClientSession() as http, http.get(view["page"] + "contract.json") as answer:
        told = await answer.text()
    assert json.loads(told)["defaults"] == {"rpc": "http://seen:80", "ws": "ws://seen:81", "session": ""}
    assert "s3cret" not in told
    assert "s3cret" not in about(child(crank), "cmdline")
