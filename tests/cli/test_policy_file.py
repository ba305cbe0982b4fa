"""quantize makes a policy cartridge of a policy's checkpoint, and play takes either."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from awm_crank import cli
from awm_crank.match import file

SHIPPED = Path(__file__).resolve().parents[2] / "tools" / "policy" / "spacing.npz"


def test_quantize_and_play(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped policy becomes a smaller file that agrees with it, and plays."""
    out, match = tmp_path / "spacing.awm", tmp_path / "match.json"
    assert cli.main(["quantize", str(SHIPPED), "-o", str(out), "--calibration-frames", "80", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["kind"], made["context_len"], made["bytes"]) == ("policy", 2, out.stat().st_size)
    assert made["buttons_agree"] > 0.98
    assert made["sticks_apart"] < 3
    words = ["--opponent", "noop", "--max-frames", "30", "-o", str(match)]
    assert cli.main(["play", "--offline", "--agent", f"policy:{out}", *words]) == 0
    assert file.parse(match.read_bytes()).meta.frames == 30
    out.write_bytes(out.read_bytes()[:-1])
    assert cli.main(["play", "--offline", "--agent", f"policy:{out}", *words]) == 1
    assert "Error: policy cartridge: file length" in capsys.readouterr().err


def test_frames_of_another_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Frames for the calibration have to be blocks of the policy's encoding."""
    frames = tmp_path / "frames"
    frames.write_bytes(bytes(96))
    status = cli.main(["quantize", str(SHIPPED), "-o", str(tmp_path / "p.awm"), "--frames", str(frames)])
    assert status == 2
    assert "--frames; expected blocks of 97 bytes for this policy, found 96 bytes" in capsys.readouterr().err
