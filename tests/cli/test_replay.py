"""`awm-crank replay` writes blocks, match files and frames, and says in one line what it cannot read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from match.slp import Fighter, Frame, replay

from awm_crank.cli import main
from awm_crank.match import file

GAME = replay([Frame(n, {0: Fighter(x=n), 2: Fighter(x=-n)}) for n in range(90)])


@pytest.fixture
def slp(tmp_path: Path) -> Path:
    """A replay of a second and a half."""
    path = tmp_path / "game.slp"
    path.write_bytes(GAME)
    return path


def test_forms(slp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Blocks are 97 bytes a frame, the match file parses, and frames are a plain array."""
    out = slp.with_name("out")
    assert main(["replay", str(slp), "-o", str(out), "--start", "10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(out), "form": "blocks", "frames": 80, "stage": 32}
    assert len(out.read_bytes()) == 80 * 97
    assert main(["replay", str(slp), "-o", str(out), "--flags", "state_flags,hitstun", "--count", "3"]) == 0
    assert len(out.read_bytes()) == 3 * (97 + 2 * 6)
    assert main(["replay", str(slp), "-o", str(out), "--as", "match"]) == 0
    assert file.parse(out.read_bytes()).meta.frames == 89
    assert main(["replay", str(slp), "-o", str(out), "--as", "frames", "--count", "5"]) == 0
    assert [frame["players"][0]["x"] for frame in json.loads(out.read_text())] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "data", [b"", b"{}", GAME[:700], GAME[:-20], GAME[:200] + bytes(50) + GAME[250:], b"\xff" * 999]
)
def test_damaged_files(slp: Path, data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a file holds, the command ends with one line or with frames, and never with a traceback."""
    slp.write_bytes(data)
    status = main(["replay", str(slp), "-o", str(slp.with_name("out"))])
    err = capsys.readouterr().err
    assert (status, err.count("\n")) == (1, 1) if status else not err
    assert "Traceback" not in err


def test_flags_that_are_none(slp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error names an unknown flag and lists the known ones."""
    assert main(["replay", str(slp), "-o", "out", "--flags", "hitstun,stun"]) == 2
    assert "'stun' is not one of state_age_as_embed, state_flags" in capsys.readouterr().err
