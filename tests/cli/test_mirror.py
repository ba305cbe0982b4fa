"""`awm-crank publish --mirrored`, `mirror` as a process, and `verify` of a match of a mirrored world."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli.test_commands import Shell
from client.localnet import SHAPE, Arena

from awm_crank.engine.seeded import cartridge


@pytest.fixture
def shell(arena: Arena, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    """A shell with an empty folder."""
    return Shell(arena, tmp_path, capsys)


def serve(folder: Path, *words: str) -> tuple[subprocess.Popen[str], str]:
    """A mirror's process and its URL."""
    command = [sys.executable, "-m", "awm_crank", "mirror", str(folder), "--port", "0", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"\d+ pieces at (http://\S+)\n", line)
    assert found, line
    return process, found[1]


def test_publish_serve_repair_and_load(shell: Shell) -> None:
    """Pieces of one publish are spread, served by processes, repaired into an empty folder, and loaded by doctor."""
    made = cartridge(SHAPE, 901)
    file, pieces = shell.folder / "m.awm", shell.folder / "pieces"
    file.write_bytes(made.data)
    done = shell.json("publish", str(file), "--mirrored", str(pieces), "--pieces", "2+1", key=shell.arena.net.funded())
    names = done["pieces"].split(", ")
    assert (sorted(path.name for path in pieces.iterdir()), done["rent_lamports"] < 30_000_000) == (sorted(names), True)
    assert all(name.startswith(done["root"]) for name in names)
    (pieces / names[1]).write_bytes(b"damaged")
    first, url = serve(pieces)
    try:
        empty = shell.folder / "empty"
        empty.mkdir()
        words = ("--model", done["model"], "--rpc", shell.arena.net.http, "--from", url, "--piece", "1")
        second, other = serve(empty, *words)
        try:
            assert [path.name for path in empty.iterdir()] == [names[1]]
            assert shell.run("mirror", str(pieces), "--repair-only", "--from", other)[0] == 0
        finally:
            second.send_signal(signal.SIGTERM)
            assert second.wait(20) == 0
    finally:
        first.send_signal(signal.SIGTERM)
        assert first.wait(20) == 0
    assert (pieces / names[1]).stat().st_size == (pieces / names[0]).stat().st_size


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--fork", "x", "--mirrored", "f"), "--mirrored does not go with --fork"),
        (("m.awm", "--pieces", "2+3"), "--pieces goes with --mirrored FOLDER"),
        (("m.awm", "--mirrored", "f", "--pieces", "5"), "'5' is not of the form K+N, such as 2+3"),
        (("m.awm", "--mirrored", "f", "--pieces", "60+9"), "'60+9' is more than 64 pieces"),
    ],
)
def test_refused(shell: Shell, words: tuple[str, ...], message: str) -> None:
    """Options that do not go together are refused in words."""
    status, _, err = shell.run("publish", *words)
    assert status == 2
    assert message in err
