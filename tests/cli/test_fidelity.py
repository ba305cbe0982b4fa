"""`awm-crank fidelity`."""

import json
from pathlib import Path

import pytest

from awm_crank.cli import main
from awm_crank.engine.layout import Shape
from awm_crank.engine.offline import checkpoint, seeded_checkpoint
from awm_crank.engine.offline.quantize import quantize

SHAPE = Shape(64, 64, 4, 16, 1)
FEW = ["--frames", "60", "--starts", "6"]


def files(folder: Path, seed: int) -> list[str]:
    """A cartridge of seed 1, and a checkpoint."""
    cartridge, source = folder / "world.awm", folder / "world.pt"
    quantized = checkpoint.read(seeded_checkpoint.checkpoint(SHAPE, 1))
    cartridge.write_bytes(quantize(quantized, name="world", frames=20).data)
    source.write_bytes(seeded_checkpoint.checkpoint(SHAPE, seed))
    return ["--cartridge", str(cartridge), "--checkpoint", str(source)]


def test_a_wrong_checkpoint_is_status_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table shows which rows fail, the file has the same rows, and the exit status is 1."""
    out = tmp_path / "table.json"
    assert main(["fidelity", *files(tmp_path, 2), *FEW, "--json", "--output", str(out)]) == 1
    text, table = capsys.readouterr().out, json.loads(out.read_bytes())
    bad = [row for row in table["rows"] if not row["passed"]]
    assert text.count("FAIL") == len(bad) + 1
    assert f"{len(bad)} of {len(table['rows'])} rows FAIL" in text


def test_without_a_checkpoint_the_cartridge_s_own_weights_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a checkpoint, the cartridge is compared with its own weights; the heading says so, and all rows pass."""
    assert main(["fidelity", *files(tmp_path, 1)[:2], *FEW]) == 0
    assert "the cartridge's dequantized weights" in capsys.readouterr().out


@pytest.mark.parametrize("bad", [["--frames", "1"], ["--starts", "0"], ["--recorded", "/nowhere"]])
def test_misuse_is_named(bad: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers that compare nothing, and files that do not exist, are refused before any work."""
    assert main(["fidelity", *bad]) != 0
    assert bad[0] in capsys.readouterr().err or "/nowhere" in bad
