"""What commands print: text or JSON, whole files, and progress on a terminal only."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from cli.terminal import Command

from awm_crank.cli import output
from awm_crank.errors import ConfigError


def test_result_as_text_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A result is printed as aligned text with units, or as one JSON object with plain numbers."""
    values = {"bytes_sent": 1234567, "model": "abc", "rent_lamports": 1_500_000_000}
    output.result(argparse.Namespace(json=False), values)
    output.result(argparse.Namespace(json=True), values)
    assert capsys.readouterr().out == (
        "bytes sent      1,234,567\nmodel           abc\nrent            1.5 SOL\n"
        '{"bytes_sent":1234567,"model":"abc","rent_lamports":1500000000}\n'
    )


def test_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """A list is printed as a table with a heading, or as a JSON array with plain values."""
    found = [{"name": "a\x1b", "version": 1}, {"name": "longer", "version": 1200}]
    output.rows(argparse.Namespace(json=False), found, "none")
    assert capsys.readouterr().out == "name    version\na\\x1b   1\nlonger  1,200\n"
    output.rows(argparse.Namespace(json=True), found, "none")
    assert json.loads(capsys.readouterr().out) == found
    output.rows(argparse.Namespace(json=False), [], "none")
    output.rows(argparse.Namespace(json=True), [], "none")
    assert capsys.readouterr().out == "none\n[]\n"


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A file is replaced at once; when that fails, the old file stays and no other file is left."""
    path = tmp_path / "m.json"
    output.write(path, b"one")
    output.write(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ConfigError, match=r"nowhere/m\.json cannot be written: No such file"):
        output.write(tmp_path / "nowhere" / "m.json", b"three")


def test_no_progress_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """When standard error is not a terminal, no progress is written."""
    with output.Progress("bytes") as progress:
        progress("writing", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_progress_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal a command shows its progress, and standard output holds only the result."""
    words = ("play", "--offline", "-o", "m.json", "--max-frames", "400", "--json", "--engine", "reference")
    with Command(*words, cwd=tmp_path) as command:
        command.wait_for("400/400")
        assert json.loads(command.printed())["frames"] == 400
    assert "playing" in command.seen
