"""localnet/start: one script for every kind of chain."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from awm_crank.localnet.kinds.serve import STARTERS

START = Path(__file__).resolve().parents[2] / "localnet" / "start"
KINDS = ["embedded", *STARTERS]


def test_embedded_starts() -> None:
    """The script starts the chain, which prints its addresses, and ends with it."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with subprocess.Popen(
        [START, "embedded", "--port", "0"], stdout=subprocess.PIPE, text=True, env=os.environ | {"PATH": path}
    ) as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["http"].startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_kind_and_options_are_handed_on(kind: str, tmp_path: Path) -> None:
    """Every kind of `awm-crank localnet` can be started, and its options are passed on unchanged."""
    (tmp_path / "localnet").mkdir()
    shutil.copy(START, tmp_path / "localnet" / "start")
    program = tmp_path / ".venv" / "bin" / "awm-crank"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    said = subprocess.run(
        [tmp_path / "localnet" / "start", kind, "--folder", "a folder"], capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines() == ["localnet", "--kind", kind, "--folder", "a folder"]


@pytest.mark.parametrize("wrong", [[], ["devnet"], ["embedded magicblock"]])
def test_wrong_kind_is_refused(wrong: list[str]) -> None:
    """An unknown kind ends with status 2 and a list of the known kinds."""
    said = subprocess.run([START, *wrong], capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert [kind for kind in KINDS if kind not in said.stderr] == []


def test_page_has_every_kind() -> None:
    """localnet/README.md and docs/localnets.md have a row for each kind."""
    for page in (START.parent / "README.md", START.parents[1] / "docs" / "localnets.md"):
        assert [kind for kind in KINDS if f"\n| `{kind}` |" not in page.read_text()] == []
