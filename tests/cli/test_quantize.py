"""`awm-crank quantize`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from awm_crank.cli import main
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.layout import Shape
from awm_crank.engine.offline import seeded_checkpoint

SHAPE = Shape(64, 64, 4, 16, 1)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small checkpoint on disk."""
    path = tmp_path / "world.pt"
    path.write_bytes(seeded_checkpoint.checkpoint(SHAPE, 1))
    return path


def test_writes_a_cartridge(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file parses and carries its own name, and the printed hash is the file's."""
    out = tmp_path / "world.awm"
    assert main(["quantize", str(source), "-o", str(out), "--calibration-frames", "4", "--json"]) == 0
    cartridge = Cartridge.parse(out.read_bytes())
    printed = json.loads(capsys.readouterr().out)
    assert (cartridge.name, cartridge.shape) == ("world", replace(SHAPE, row_gains=True))
    assert printed["sha256"] == cartridge.sha256.hex()
    assert printed["bytes"] == out.stat().st_size


@pytest.mark.parametrize("flag", ["never_seen", "press_events"])
def test_unsupported_flag_is_refused_by_its_name(
    flag: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint whose configuration sets an unsupported flag is refused with that flag's name, and nothing is
    written.
    """
    document = torch.load(source, weights_only=True)
    document["encoding_config"][flag] = True
    torch.save(document, source)
    out = tmp_path / "o.awm"
    assert main(["quantize", str(source), "-o", str(out)]) == 1
    assert flag in capsys.readouterr().err
    assert not out.exists()


def test_unreadable_and_foreign_files_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file, a file that is no checkpoint, and an output that cannot be written end with a typed error."""
    out = str(tmp_path / "o.awm")
    assert main(["quantize", str(tmp_path / "none.pt"), "-o", out]) == 2
    noise = tmp_path / "noise.pt"
    noise.write_bytes(b"not a checkpoint")
    assert main(["quantize", str(noise), "-o", out]) == 1
    assert "checkpoint file cannot be read" in capsys.readouterr().err
    assert not Path(out).exists()


def test_output_that_cannot_be_written(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder given as output is refused by name."""
    assert main(["quantize", str(source), "-o", str(tmp_path), "--calibration-frames", "1"]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert main(["quantize", str(source), "-o", str(tmp_path / "x"), "--calibration-frames", "0"]) == 2


def test_what_cannot_be_written_is_refused_before_the_calibration(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that does not exist, a folder as the file, and a name that is too long are refused at once."""
    monkeypatch.setattr("awm_crank.engine.offline.quantize.quantize", lambda *_a, **_k: pytest.fail("calibrated"))
    for output, more, reason in (
        (tmp_path / "none" / "o.awm", [], "no folder that exists"),
        (tmp_path, [], "it is a folder"),
        (tmp_path / "o.awm", ["--name", "ü" * 17], "--name is too long"),
    ):
        assert main(["quantize", str(source), "-o", str(output), *more]) == 2
        assert reason in capsys.readouterr().err


def test_stick_range_is_in_the_cartridge(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--stick-range is written into the cartridge, and its integers read the sticks by it."""
    out = tmp_path / "o.awm"
    command = ["quantize", str(source), "-o", str(out), "--stick-range", "80", "--calibration-frames", "20", "--json"]
    assert main(command) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["stick_range"] == Cartridge.parse(out.read_bytes()).stick_range == 80
    assert printed["context_len"] == 10 and 0 <= printed["same_action_as_windows"] <= 1


def test_report_over_a_folder(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--report prints each checkpoint's line, writes nothing, and ends with 1 where one is refused."""
    assert main(["quantize", str(tmp_path), "--report", "--calibration-frames", "20"]) == 0
    assert "world.pt: quantized" in capsys.readouterr().out
    torch.save({"model_state_dict": {"analog_head.weight": torch.zeros(5, 4)}}, tmp_path / "policy.pt")
    assert main(["quantize", str(tmp_path), "--report", "--calibration-frames", "20"]) == 0
    assert "policy.pt is a policy" in "".join(capsys.readouterr())
    (tmp_path / "policy.pt").unlink()
    document = torch.load(source, weights_only=True)
    document["encoding_config"]["lookahead"] = 1
    torch.save(document, tmp_path / "ahead.pt")
    assert main(["quantize", str(tmp_path), "--report", "--calibration-frames", "20", "--json"]) == 1
    ahead, world = json.loads(capsys.readouterr().out)
    assert "live match" in ahead["refused"] and world["agreement"]["frames"] == 600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ahead.pt", "world.pt"]
    assert main(["quantize", str(source), "--report"]) == 2
    assert "no folder" in capsys.readouterr().err
