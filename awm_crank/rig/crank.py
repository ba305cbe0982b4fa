"""`awm-crank run` in a process of its own, as an operator starts it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from awm_crank import config
from awm_crank.launch import own_command
from awm_crank.rig.processes import Child

_START_S = 60.0
_POLL_S = 0.02


class CrankProcess(Child):
    """A crank, running from the start.

    Args:
        folder: where NAME.toml, NAME.log, NAME.ready and NAME.stats.json go.
        settings: its configuration.
        name: distinguishes several cranks of one folder.
    """

    def __init__(self, folder: Path, settings: config.Config, name: str = "crank") -> None:
        path = folder / f"{name}.toml"
        path.write_text(config.dump(settings))
        self.stats_path = folder / f"{name}.stats.json"
        self._ready_file = folder / f"{name}.ready"
        self._ready_file.unlink(missing_ok=True)
        options = ["--config", str(path), "--ready-file", str(self._ready_file), "--stats", str(self.stats_path)]
        super().__init__(name, own_command("awm_crank", "run", *options), folder / f"{name}.log")

    async def ready(self, timeout_s: float = _START_S) -> None:
        """Waits until it serves. Raises AwmError if it ends, or the time is over."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not self._ready_file.exists():
            self.require_running()
            self.require_time(deadline, f"was not ready within {timeout_s:g} s")
            await asyncio.sleep(_POLL_S)

    async def ended(self, timeout_s: float = 20.0, *, what: str = "its end") -> int:
        """Waits until it ends by itself; returns the exit status. Raises AwmError if the time is over."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self.running:
            self.require_time(deadline, f"waited {timeout_s:g} s for {what}")
            await asyncio.sleep(_POLL_S)
        return self.process.returncode

    def cpu_seconds(self) -> float:
        """Processor time that it has used so far (Linux)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
