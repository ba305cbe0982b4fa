"""`awm-crank run` refuses faulty settings and keys before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from awm_crank.cli import main


def test_no_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A configuration that does not exist ends with status 2 and a line that names the file."""
    assert main(["run", "--config", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in capsys.readouterr().err


def test_unknown_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown setting is refused by name."""
    path = tmp_path / "crank.toml"
    path.write_text("[crank]\nadopt = true\n")
    assert main(["run", "--config", str(path)]) == 2
    assert "adopt" in capsys.readouterr().err


def test_key_open_to_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key file that others can read is refused with the fix, and its content is not printed."""
    (tmp_path / "crank.json").write_text("[7, 7, 7]")
    (tmp_path / "crank.json").chmod(0o644)
    path = tmp_path / "crank.toml"
    path.write_text("")
    assert main(["run", "--config", str(path)]) == 2
    error = capsys.readouterr().err
    assert "chmod 600" in error
    assert "7, 7" not in error


def test_key_named_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--keypair` overrides the configuration."""
    path = tmp_path / "crank.toml"
    path.write_text('[crank]\nkeypair = "configured.json"\n')
    assert main(["run", "--config", str(path), "--keypair", str(tmp_path / "named.json")]) == 2
    assert "named.json" in capsys.readouterr().err
