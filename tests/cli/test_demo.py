"""`awm-crank demo` refuses wrong options before anything starts (tests/demo/test_run.py runs the demo)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cli.terminal import Command
from demo.test_summary import GOOD

from awm_crank.cli import main
from awm_crank.demo import run
from awm_crank.demo.summary import Summary
from awm_crank.engine import seeded
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.packaged import demo_cartridge


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--frames", "0"], "--frames: '0' is not a whole number from 1 to 4294967295"),
        (["--seed", "-1"], "--seed: '-1' is not a whole number from 0 to 9223372036854775807"),
        (["--json", "--output", "/nowhere/at/all.json"], "its folder does not exist"),
        (["--json", "/nowhere/at/all.json"], "its folder does not exist"),
        (["--output", "s.json"], "--output goes with --json. Try: awm-crank demo --json --output s.json"),
        (["--match", "/nowhere/at/all.json"], "its folder does not exist"),
        (["--cartridge", "/nowhere/at/all.awm"], "all.awm cannot be read"),
    ],
)
def test_misuse_is_told(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line names the option, and the exit status is 2."""
    assert main(["demo", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 1


def test_folder_to_keep_that_is_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is not empty is not written into."""
    (tmp_path / "crank.json").write_text("")
    assert main(["demo", "--frames", "5", "--keep", str(tmp_path), "--match", str(tmp_path / "m.json")]) == 1
    assert "is not empty. Try: name a new folder for --keep" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "status"),
    [({}, 0), ({"late": 60, "on_time": 0}, 0), ({"frames": 59}, 1), ({"faults": ["frame 3 twice"]}, 1)],
)
def test_exit_status_is_the_observers_word(
    changes: dict[str, Any], status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The status is 0 only if all frames were seen in order, however late; the JSON is written either way."""

    async def played(*_: object, **__: object) -> Summary:
        return msgspec.convert(GOOD | changes, Summary)

    monkeypatch.setattr(run, "run_demo", played)
    out = tmp_path / "summary.json"
    assert main(["demo", "--frames", "60", "--json", "--output", str(out)]) == status
    written = json.loads(out.read_text())
    keys = {"frames", "on_time", "late", "missed", "latency_ms", "session", "final_state_sha256", "match_file"}
    assert keys <= set(written)
    assert set(written["latency_ms"]) == {"p50", "p99"}
    assert written["passed"] is (status == 0)


def test_the_named_cartridge_is_played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`--cartridge FILE` puts that world on chain instead of the packaged one."""
    played: list[bytes] = []

    async def play(_options: object, _say: object, cartridge: Cartridge, **_: object) -> Summary:
        played.append(cartridge.sha256)
        return msgspec.convert(GOOD, Summary)

    monkeypatch.setattr(run, "run_demo", play)
    world = seeded.cartridge(seeded.SHAPES["tiny"], 5)
    (tmp_path / "world.awm").write_bytes(world.data)
    assert main(["demo", "--frames", "60", "--cartridge", str(tmp_path / "world.awm")]) == 0
    assert main(["demo", "--frames", "60"]) == 0
    assert played == [world.sha256, demo_cartridge().sha256]


def test_progress_on_a_terminal(tmp_path: Path) -> None:
    """With --frames, a terminal shows how many frames have landed. Ctrl-C ends the demo at once, without a summary."""
    with Command("demo", "--frames", "100000", "--match", "m.json", cwd=tmp_path) as command:
        command.wait_for("playing")
        status, took = command.interrupt()
        assert (status, command.printed()) == (130, "")
    assert took < 1.5
    assert not (tmp_path / "m.json").exists()
