"""`awm-crank key new`."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from awm_crank.cli import main
from awm_crank.client.keys import load_keypair


def test_new_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the owner can read the file, which holds the key that was printed; nothing secret is printed."""
    path = tmp_path / "key.json"
    assert main(["key", "new", str(path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == {"file": str(path), "public_key": str(load_keypair(path).pubkey())}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second run is refused, and the first key stays."""
    path = tmp_path / "key.json"
    assert main(["key", "new", str(path)]) == 0
    before = path.read_bytes()
    capsys.readouterr()
    assert main(["key", "new", str(path)]) == 2
    assert capsys.readouterr() == (
        "",
        f"Error: key file {path} cannot be written: File exists. Try: name another file\n",
    )
    assert path.read_bytes() == before


def test_no_step(capsys: pytest.CaptureFixture[str]) -> None:
    """`key` without a step prints its help."""
    assert main(["key"]) == 2
    assert capsys.readouterr().err == "Error: no step given. Try: awm-crank key --help\n"
