"""The arena: everything that a match needs, from processes and a published cartridge to the crank's schedule."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from demo.cartridges import enduring

from awm_crank import config
from awm_crank.demo.arena import Arena
from awm_crank.engine.packaged import demo_cartridge
from awm_crank.errors import CartridgeError
from awm_crank.wire.accounts import ModelManifest


def test_packaged_cartridge_is_the_pinned_one() -> None:
    """The cartridge in the package is the one whose hash the code names, at the shape that the issue asks for."""
    shape = demo_cartridge().shape
    assert shape.num_layers >= 2
    assert shape.d_model >= 128
    assert shape.d_state == 16


def modes(folder: Path) -> set[int]:
    """Permissions of the key files in a folder."""
    return {stat.S_IMODE(file.stat().st_mode) for file in folder.glob("*.json")}


async def test_arena_has_all_that_a_match_needs(tmp_path: Path) -> None:
    """Localnet, cartridge and crank are there; keys are private; what the crank is told is right."""
    settings = config.Config(crank=config.Crank(late_policy="wait"))
    async with Arena(tmp_path, enduring("tiny"), crank=settings) as arena:
        manifest = await arena.chain.need(arena.model, "manifest")
        assert ModelManifest.decode(manifest.data).cartridge_hash == arena.cartridge.sha256
        assert modes(tmp_path) == {0o600}
        written = config.load(tmp_path / "crank.toml")
        assert (written.chain.base_http, written.rollup_ws()) == (arena.http, arena.ws)
        assert written.crank.late_policy == "wait"
        assert arena.crank.running
    assert not arena.crank.running
    assert [line for line in arena.crank.log.read_text().splitlines() if '"event":"stopped"' in line]


async def test_processes_stop_when_the_start_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error half-way through the start leaves no process behind."""

    async def refuse(*_: object, **__: object) -> None:
        raise CartridgeError("no")

    monkeypatch.setattr("awm_crank.demo.arena.publish.publish", refuse)
    arena = Arena(tmp_path, enduring("tiny"))
    with pytest.raises(CartridgeError):
        async with arena:
            pass
    localnet = arena.children._children[0]
    assert not localnet.running
