"""`awm-crank publish --mirrored`, `mirror` as a process, and `verify` of a session of a mirrored world."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cli.test_commands import Shell
from client.localnet import Arena, small_cartridge

from awm_crank.client import publish
from awm_crank.engine import ReferenceEngine
from awm_crank.net.mirror_folder import MirrorServer, look, write_pieces


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
    """Pieces of one publish are served by a process, and repaired into an empty folder and from there again."""
    made = small_cartridge(901)
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


async def test_verify_a_session_of_a_mirrored_world(arena: Arena, tmp_path: Path) -> None:
    """`verify` loads the world from mirrors, names the dead one, and keeps the world in the cache for the next time."""
    made = small_cartridge(902)
    sheet, _ = write_pieces(tmp_path / "pieces", made.data, 2, 1)
    async with arena.chain() as chain:
        done = await publish.publish(chain, arena.net.funded(), arena.world, made, sheet=sheet)
        mirrored = replace(arena, cartridge=made, engine=ReferenceEngine(made), model=done.model)
        session = (await mirrored.played(chain, 20))[0].session
    async with MirrorServer(tmp_path / "pieces", "127.0.0.1", 0) as server:
        server.names = look(tmp_path / "pieces").good
        words = ("--mirror", "http://127.0.0.1:9", "--mirror", server.url, "--cache", str(tmp_path / "cache"))
        status, out, err = await verify(arena, str(session), *words)
        assert (status, "every byte agrees" in out) == (0, True), err
        assert "mirror http://127.0.0.1:9 (failed)" in err
    assert (await verify(arena, str(session), "--cache", str(tmp_path / "cache")))[0] == 0
    status, _, err = await verify(arena, str(session))
    assert (status, "mirrored" in err, "--mirror URL" in err) == (1, True, True)


async def verify(arena: Arena, *words: str) -> tuple[int | None, str, str]:
    """Status, output and errors of `verify` in a process of its own."""
    command = (sys.executable, "-m", "awm_crank", "verify", *words, "--rpc", arena.net.http, "--engine", "reference")
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


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
