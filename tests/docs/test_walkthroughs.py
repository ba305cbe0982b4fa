"""Each walkthrough's commands run exactly as printed, and do what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest
from localnet.kinds.validators import CACHE

from awm_crank.localnet.kinds.process import free_ports
from awm_crank.match import file
from docs import walkthrough

START = walkthrough.ROOT / "docs" / "start"


def ports() -> dict[str, str]:
    """Free ports, which replace the ports in the pages."""
    chain, crank = free_ports(2), free_ports(1)
    return {
        "127.0.0.1:8899": f"127.0.0.1:{chain}",
        "--port 8899": f"--port {chain}",
        "127.0.0.1:9464": f"127.0.0.1:{crank}",
    }


def match_of(folder: Path, name: str = "match.json") -> file.MatchFile:
    """The match file that a page's commands have written."""
    return file.parse((folder / "scratch" / name).read_bytes())


def test_first_match(tmp_path: Path) -> None:
    """The demo lands every frame in order, and its match verifies."""
    output = walkthrough.run(START / "first-match.md", tmp_path, ports(), 90)
    assert "300 of 300 frames: all frames landed, in order" in output
    assert match_of(tmp_path).meta.frames == 300


def test_first_bot(tmp_path: Path) -> None:
    """The page's bot plays as player 2 to the end of a match that its crank served."""
    walkthrough.run(START / "first-bot.md", tmp_path, ports(), 120)
    match = match_of(tmp_path)
    assert match.meta.frames == 300
    pressed = {record[12:20] for record in match.records}
    assert len(pressed) > 1, "the bot never changed its controller"


def test_own_world(tmp_path: Path) -> None:
    """A checkpoint becomes a cartridge that plays offline and on chain, is published, forked and unpublished."""
    walkthrough.run(START / "own-world.md", tmp_path, ports(), 240)
    assert match_of(tmp_path, "offline.json").meta.frames > 0
    assert match_of(tmp_path).meta.frames > 0


def test_operate(tmp_path: Path) -> None:
    """An operator gets from a key to a match that was played on MagicBlock's rollup and settled on the base chain."""
    changes = ports() | {
        "/etc/awm-crank": str(tmp_path / "etc"),
        "--kind rollup --port 7799": f"--kind rollup --port 0 --cache {CACHE}",
    }
    output = walkthrough.run(START / "operate.md", tmp_path, changes, 240)
    assert match_of(tmp_path).meta.frames == 300
    assert 'awm_ticks_total{outcome="on_time"}' in output


@pytest.mark.parametrize("page", ["read-a-match-file.md"])
def test_how_to(tmp_path: Path, page: str) -> None:
    """The commands of a how-to page run."""
    (tmp_path / "scratch").mkdir()
    assert "frame 240:" in walkthrough.run(walkthrough.ROOT / "docs/howto" / page, tmp_path, {}, 60)
