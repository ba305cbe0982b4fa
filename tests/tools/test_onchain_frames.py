"""tools/onchain_frames.py compares the engine program with the native engine, frame by frame."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

TOOL = str(Path(__file__).resolve().parents[2] / "tools" / "onchain_frames.py")


def test_prints_what_a_frame_costs(capsys: pytest.CaptureFixture[str]) -> None:
    """A few frames of the tiny world are equal, and the units are those of one transaction."""
    assert runpy.run_path(TOOL)["main"](["--shape", "tiny", "--frames", "3"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("tiny: 3 frames equal to the native engine's\n")
    assert "transactions a frame: 1\n" in printed


def test_names_the_frame_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block that is not the native engine's ends the run with the frame's number."""
    tool = runpy.run_path(TOOL)
    monkeypatch.setattr(tool["NativeEngine"], "heads", lambda *_: bytes(97))
    with pytest.raises(SystemExit, match="the block of frame 1 differs"):
        tool["main"](["--shape", "tiny", "--frames", "3"])
