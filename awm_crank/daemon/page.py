"""Runs the live page and the frame feed in a separate process, so that spectators cost no tick.

That process shares no loop, interpreter or memory with the crank. It has the lowest priority, and the kernel ends it
first when memory runs out. The daemon reads one line from it, and then only learns that it has ended. Nothing that
happens to it ends the service: it is started again, in a thread, after pauses that grow.
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
    """Page and feed of one daemon.

    Args:
        settings: the whole configuration.

    Raises:
        ConfigError: no WebSocket endpoint follows from `view.rpc`.
    """

    def __init__(self, settings: config.Config) -> None:
        rpc, ws = settings.view_endpoints()
        view = settings.view
        # over standard input, because an endpoint's token on the command line would show in the list of processes
        self._request = msgspec.json.encode({
            "host": view.host, "page_port": view.page_port, "feed_port": view.feed_port, "rpc": rpc, "ws": ws,
            "feed_ws": settings.rollup_ws(), "feed_rpc": settings.rollup_http(), "names": list(view.names),
        })  # fmt: skip
        self._log = logs.get()

    async def run(self) -> None:
        """Keeps it running until cancelled. Raises nothing else."""
        pause = PAUSE_FIRST_S
        while True:
            began = time.monotonic()
            try:
                await self._once()
            except Exception as error:
                self._log.error("view failed", exc_info=error)
            # a port that is taken may well be an older crank's, which is about to go
            pause = PAUSE_FIRST_S if time.monotonic() - began > _PAUSE_MAX_S else min(2 * pause, _PAUSE_MAX_S)
            await asyncio.sleep(pause)

    async def _once(self) -> None:
        """From its start to its end. Cancelled, it ends it."""
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
            # a session of its own: the daemon decides what Ctrl-C ends
            start_new_session=True, env=own_environment(),
        )  # fmt: skip
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, LOWEST_PRIORITY)
        with contextlib.suppress(OSError):
            Path(f"/proc/{process.pid}/oom_score_adj").write_text("1000")
        assert process.stdin is not None
        # its end is the daemon's end, however that comes about
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(self._request + b"\n")
            process.stdin.flush()
        return process


def _end(process: subprocess.Popen[bytes]) -> int:
    """Ends it where it has not ended; it has nothing to put in order. Returns its status."""
    process.kill()
    with contextlib.suppress(BrokenPipeError):
        if process.stdin is not None:
            process.stdin.close()
    return process.wait()
