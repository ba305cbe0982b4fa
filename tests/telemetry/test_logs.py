"""Log lines."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import io
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon.rig import Place

from awm_crank import config
from awm_crank.localnet.rig import EmbeddedLocalnet
from awm_crank.telemetry import logs


def lines(level: str) -> list[dict[str, object]]:
    """The lines that remain at a level after one line of each of four levels."""
    out = io.StringIO()
    logs.configure(level, out)
    log = logs.get().bind(session="abc")
    log.debug("one", frame=1)
    log.info("two", problem=ValueError("x"))
    log.warning("three")
    log.error("four")
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_levels(level: str, count: int) -> None:
    """Lines below the level are not written."""
    assert len(lines(level)) == count


def test_fields() -> None:
    """A line is JSON with time, level, event, and bound and given values; odd values become text."""
    one, two, *_ = lines("debug")
    assert list(one)[:3] == ["at", "level", "event"]
    assert (one["level"], one["event"], one["session"], one["frame"]) == ("debug", "one", "abc", 1)
    assert two["problem"] == "x"


def test_lines_of_libraries() -> None:
    """What a library logs with the standard library becomes a line like any other, except its debug messages."""
    out = io.StringIO()
    logs.configure("info", out)
    logging.getLogger("asyncio").error("task %s failed", 7)
    logging.getLogger("aiohttp").info("chatter")
    (line,) = [json.loads(each) for each in out.getvalue().splitlines()]
    assert (line["level"], line["event"], line["logger"]) == ("error", "task 7 failed", "asyncio")


def test_on_a_terminal() -> None:
    """On a terminal the log is text for people, and nothing from outside can move the cursor."""
    reader, terminal = os.openpty()
    script = "from awm_crank.telemetry import logs; logs.configure('info'); logs.get().info('hello', name='a\\x1b[2Jb')"
    subprocess.run([sys.executable, "-c", script], stdout=terminal, check=True)
    text = os.read(reader, 4096).decode()
    assert "hello" in text
    assert "\x1b[2J" not in text
    assert not text.startswith("{")
    os.close(terminal)
    os.close(reader)


def test_without_standard_output() -> None:
    """A process that starts with its standard output closed logs nothing, and writes to no other descriptor."""
    script = (
        "import os; ends = os.pipe(); from awm_crank.telemetry import logs; logs.configure('info')\n"
        "logs.get().error('lost'); os.set_blocking(ends[0], False)\n"
        "try: data = os.read(ends[0], 100)\n"
        "except BlockingIOError: data = b''\n"
        "raise SystemExit(len(data))"
    )
    assert subprocess.run(["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, script], check=False).returncode == 0


@pytest.fixture(scope="module")
def net() -> Iterator[EmbeddedLocalnet]:
    """One localnet for all."""
    with EmbeddedLocalnet() as running:
        yield running


def start(stdout: int, *files: Path) -> subprocess.Popen[bytes]:
    """Starts a crank that logs to a descriptor; `files` are its configuration and its ready file."""
    command = [sys.executable, "-m", "awm_crank", "run", "--config", str(files[0]), "--ready-file", str(files[1])]
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("sink", ["closed", "stopped", "full"])
async def test_a_sink_that_fails(net: EmbeddedLocalnet, tmp_path: Path, sink: str) -> None:
    """Whatever happens to standard output, frames continue at their rate, and SIGTERM ends the crank cleanly."""
    place = await Place.make(net, tmp_path)
    match = await place.create()
    await place.join(match)
    reader, handle = os.pipe()
    if sink == "full":
        os.close(handle)
        handle = os.open("/dev/full", os.O_WRONLY)
    else:
        fcntl.fcntl(handle, fcntl.F_SETPIPE_SZ, 4096)
    settings, ready = tmp_path / "crank.toml", tmp_path / "ready"
    settings.write_text(config.dump(place.settings()))
    crank = start(handle, settings, ready)
    os.close(handle)
    os.set_blocking(reader, False)
    playing = asyncio.create_task(place.play(match))
    try:
        # read until frames arrive, so that the sink fails in the middle of the service
        while (await place.show(match)).session.frame < 20:
            with contextlib.suppress(BlockingIOError):
                os.read(reader, 65_536)
            await asyncio.sleep(0.01)
        if sink == "closed":
            os.close(reader)
        # at level debug the pipe of one page is full at once, so each line of these frames finds the sink broken
        frame = (await place.show(match)).session.frame
        began = time.monotonic()
        await place.when(match, lambda view: view.session.frame >= frame + 180)
        assert time.monotonic() - began < 12
        crank.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(crank.wait, 15) == 0
        hidden = (await place.show(match)).hidden
        assert hidden is not None and hidden.checkpoint_frame >= frame + 180
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        crank.kill()
        crank.wait()
        await place.close()
        if sink != "closed":
            os.close(reader)
