"""`awm-crank run`: what it refuses before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from awm_crank.cli import main


def test_no_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A configuration that is not there ends with status 2 and names the file."""
    assert main(["run", "--config", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in capsys.readouterr().err


def test_unknown_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A setting that does not exist is refused by name."""
    path = tmp_path / "crank.toml"
    path.write_text("[crank]\nadopt = true\n")
    assert main(["run", "--config", str(path)]) == 2
    assert "adopt" in capsys.readouterr().err


def test_key_open_to_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key file that others can read is refused with what to do, and without what is in it."""
    (tmp_path / "crank.json").write_text("[7, 7, 7]")
    (tmp_path / "crank.json").chmod(0o644)
    path = tmp_path / "crank.toml"
    path.write_text("")
    assert main(["run", "--config", str(path)]) == 2
    error = capsys.readouterr().err
    assert "chmod 600" in error
    assert "7, 7" not in error


def test_key_named_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--keypair` goes before the configuration's."""
    path = tmp_path / "crank.toml"
    path.write_text('[crank]\nkeypair = "configured.json"\n')
    assert main(["run", "--config", str(path), "--keypair", str(tmp_path / "named.json")]) == 2
    assert "named.json" in capsys.readouterr().err
