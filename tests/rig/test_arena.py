"""The arena has everything that a match needs: processes, a published cartridge and the crank's schedule."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
from pathlib import Path

import pytest
from demo.cartridges import enduring

from awm_crank import config
from awm_crank.errors import AwmError, CartridgeError
from awm_crank.rig.arena import open_arena
from awm_crank.wire.accounts import ModelManifest


def modes(folder: Path) -> set[int]:
    """The permissions of the key files in a folder."""
    return {stat.S_IMODE(file.stat().st_mode) for file in folder.glob("*.json")}


async def test_arena_has_all_that_a_match_needs(tmp_path: Path) -> None:
    """Localnet, cartridge and crank exist, keys are private, and the crank's configuration is right."""
    settings = config.Config(crank=config.CrankConfig(late_policy="wait"))
    async with open_arena(tmp_path, enduring("tiny"), crank=settings) as arena:
        manifest = await arena.chain.need(arena.model, "manifest")
        assert ModelManifest.decode(manifest.data).cartridge_hash == arena.cartridge.sha256
        assert modes(tmp_path) == {0o600}
        written = config.load(tmp_path / "crank.toml")
        assert (written.chain.base_http, written.rollup_ws()) == (arena.http, arena.ws)
        assert written.crank.late_policy == "wait"
        assert arena.crank_process.running
    assert not arena.crank_process.running
    assert [line for line in arena.crank_process.log.read_text().splitlines() if '"event":"stopped"' in line]


async def test_processes_stop_when_the_start_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in the middle of the start leaves no process behind."""

    async def refuse(*_: object, **__: object) -> None:
        raise CartridgeError("no")

    monkeypatch.setattr("awm_crank.rig.place.publish.publish", refuse)
    with pytest.raises(CartridgeError):
        async with open_arena(tmp_path, enduring("tiny")):
            pass
    pid = json.loads((tmp_path / "localnet.log").read_text().splitlines()[0])["pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_localnet_that_has_ended_is_reported(tmp_path: Path) -> None:
    """The error says which process has ended, and where its log is."""
    async with open_arena(tmp_path, enduring("tiny")) as arena:
        arena.require_running()
        os.kill(arena.net.pid, signal.SIGKILL)
        with pytest.raises(AwmError, match=r"localnet process ended.*status -9"):
            for _ in range(500):
                arena.require_running()
                await asyncio.sleep(0.01)
