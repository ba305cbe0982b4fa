"""Runs the live page and the frame feed in a separate process, so that spectators do not delay the ticks.

That process shares no loop, interpreter or memory with the crank. It has the lowest priority, and the kernel kills it
first when memory runs out. The daemon reads one line from it, and after that only waits for its end. If it ends or
fails, the service goes on: the daemon starts it again, in a thread, after pauses that grow.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from pathlib import Path

import msgspec

from .. import config
from ..launch import own_command, own_environment
from ..telemetry import logs

LOWEST_PRIORITY = 19
PAUSE_FIRST_S = 1.0
_PAUSE_MAX_S = 60.0
_MODULE = "awm_crank.viewer.process"


class PageProcess:
    """The process that runs the page and the feed of one daemon.

    Args:
        settings: the whole configuration.

    Raises:
        ConfigError: no WebSocket endpoint follows from `view.rpc`.
    """

    def __init__(self, settings: config.Config) -> None:
        rpc, ws = settings.view_endpoints()
        view = settings.view
        # over standard input, because the list of processes shows command lines, and an endpoint's URL can hold a token
        self._request = msgspec.json.encode({
            "host": view.host, "page_port": view.page_port, "feed_port": view.feed_port, "rpc": rpc, "ws": ws,
            "feed_ws": settings.rollup_ws(), "feed_rpc": settings.rollup_http(), "names": list(view.names),
        })  # fmt: skip
        self._log = logs.get()

    async def run(self) -> None:
        """Keeps the process running until it is cancelled. Raises nothing else."""
        pause = PAUSE_FIRST_S
        while True:
            began = time.monotonic()
            try:
                await self._once()
            except Exception as error:
                self._log.error("view failed", exc_info=error)
            # the port may be taken by an older crank that is about to end
            pause = PAUSE_FIRST_S if time.monotonic() - began > _PAUSE_MAX_S else min(2 * pause, _PAUSE_MAX_S)
            await asyncio.sleep(pause)

    async def _once(self) -> None:
        """Starts the process and waits for its end. If it is cancelled, it ends the process."""
        process = await asyncio.to_thread(self._start)
        heard = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(heard), process.stdout
        )
        problem = ""
        try:
            if line := await heard.readline():
                answer = msgspec.json.decode(line)
                problem = answer["problem"]
                if not problem:
                    self._log.info("view", page=answer["page"], feed=answer["feed"])
            await heard.read()
        finally:
            transport.close()
            status = await asyncio.to_thread(_end, process)
        if problem:
            self._log.warning("no view", problem=problem, hint="set view.page_port and view.feed_port")
        else:
            self._log.warning("view ended", status=status)

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            own_command(_MODULE), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            # a session of its own, so that Ctrl-C reaches only the daemon, which then ends this process
            start_new_session=True, env=own_environment(),
        )  # fmt: skip
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, LOWEST_PRIORITY)
        with contextlib.suppress(OSError):
            Path(f"/proc/{process.pid}/oom_score_adj").write_text("1000")
        assert process.stdin is not None
        # the process ends when the daemon ends, whatever the cause
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(self._request + b"\n")
            process.stdin.flush()
        return process


def _end(process: subprocess.Popen[bytes]) -> int:
    """Kills the process if it still runs; it has nothing to save. Returns its exit status."""
    process.kill()
    with contextlib.suppress(BrokenPipeError):
        if process.stdin is not None:
            process.stdin.close()
    return process.wait()
