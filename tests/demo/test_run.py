"""The demo as a stranger runs it: real processes, real files and exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from demo.cartridges import knockout

from awm_crank.demo.run import DemoOptions, run_demo
from awm_crank.engine.packaged import demo_cartridge
from awm_crank.engine.reference import ReferenceEngine
from awm_crank.errors import AwmError
from awm_crank.launch import own_command
from awm_crank.match import file
from awm_crank.match.verify import verify_file

FRAMES = 90
DEMO = own_command("awm_crank", "demo")


def demo(folder: Path, *arguments: str) -> dict[str, object]:
    """Runs the demo command to its end, and returns its JSON."""
    out = folder / "summary.json"
    command = [
        *DEMO,
        "--frames",
        str(FRAMES),
        "--json",
        "--output",
        str(out),
        "--match",
        str(folder / "match.json"),
        *arguments,
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    summary: dict[str, object] = json.loads(out.read_text())
    return summary


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The summary of a demo with seed 1."""
    return demo(tmp_path_factory.mktemp("first"))


def test_summary_counts_every_frame(first: dict[str, object]) -> None:
    """All frames landed, each on time or late, and every documented key is there."""
    assert first["frames"] == FRAMES
    assert int(str(first["on_time"])) + int(str(first["late"])) == FRAMES
    assert {"missed", "latency_ms", "session", "final_state_sha256", "match_file"} <= set(first)
    latency = first["latency_ms"]
    assert isinstance(latency, dict)
    assert 0 < latency["p50"] <= latency["p99"]


def test_match_file_verifies(first: dict[str, object]) -> None:
    """The match file holds every frame, and recomputing it gives every byte."""
    match = file.parse(Path(str(first["match_file"])).read_bytes())
    assert match.meta.session == first["session"]
    cartridge = demo_cartridge()
    verdict = verify_file(match, ReferenceEngine(cartridge), cartridge.sha256)
    assert verdict.difference is None
    assert verdict.last == match.meta.frames > 0


def test_offline_match_is_the_same(first: dict[str, object], tmp_path: Path) -> None:
    """`play --offline` with the demo's seed, agents, characters and length makes the same frames as on chain."""
    on_chain = file.parse(Path(str(first["match_file"])).read_bytes())
    characters = f"{on_chain.start_players[31]},{on_chain.start_players[63]}"
    command = own_command("awm_crank", "play", "--offline", "-o", str(tmp_path / "m.json"))
    command += ["--agent", "fighter", "--seed", str(on_chain.seed), "--characters", characters]
    subprocess.run([*command, "--max-frames", str(on_chain.meta.max_frames)], check=True, timeout=60)
    offline = file.parse((tmp_path / "m.json").read_bytes())
    assert offline.frames == on_chain.frames
    # only the chain hash differs, since it begins with the session's key
    assert [record[:88] for record in offline.records] == [record[:88] for record in on_chain.records]
    assert offline.meta.genesis != on_chain.meta.genesis


def test_same_seed_same_hash(first: dict[str, object], tmp_path: Path) -> None:
    """A second run with the same seed ends in the same state, with other keys."""
    again = demo(tmp_path)
    assert again["final_state_sha256"] == first["final_state_sha256"]
    players = [file.parse(Path(str(run["match_file"])).read_bytes()).meta.player1 for run in (first, again)]
    assert players[0] != players[1]


def test_other_seed_other_hash(first: dict[str, object], tmp_path: Path) -> None:
    """Another seed makes another match."""
    assert demo(tmp_path, "--seed", "2")["final_state_sha256"] != first["final_state_sha256"]


async def test_match_that_ends_by_ko_is_followed_by_another(tmp_path: Path) -> None:
    """Matches go on with the next seed until all frames are there; the summary has the last one's file and session."""
    options = DemoOptions(frames=10, seed=5, match_file=tmp_path / "match.json")
    summary = await run_demo(options, lambda _: None, knockout())
    assert summary.passed
    assert summary.frames == 10
    assert summary.matches > 1
    match = file.parse((tmp_path / "match.json").read_bytes())
    assert (match.meta.session, match.seed) == (summary.session, 5 + summary.matches - 1)
    assert 0 < match.meta.frames < 10


async def test_folder_to_keep_must_be_empty(tmp_path: Path) -> None:
    """The files of an earlier run, above all its keys, are not overwritten."""
    (tmp_path / "crank.json").write_text("precious")
    with pytest.raises(AwmError, match="is not empty"):
        await run_demo(DemoOptions(10, 1, tmp_path / "m.json", keep=tmp_path), lambda _: None, knockout())
    assert (tmp_path / "crank.json").read_text() == "precious"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_demo_leaves_nothing(tmp_path: Path, number: signal.Signals, status: int) -> None:
    """Ctrl-C or SIGTERM in the middle of a match stops the processes in order, and the exit status says why."""
    keep = tmp_path / "keep"
    command = [*DEMO, "--frames", "100000", "--keep", str(keep), "--match", str(tmp_path / "m.json")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while "schedule" not in (log.read_text() if (log := keep / "crank.log").exists() else ""):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        pids = [json.loads((keep / f"{name}.log").read_text().splitlines()[0])["pid"] for name in ("localnet", "crank")]
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert "Traceback" not in errors
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert '"event":"stopped"' in (keep / "crank.log").read_text()
