"""`awm-crank publish --fork`, and what inspect shows of a fork. test_commands.py covers plain publishing."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.test_commands import Shell
from client.localnet import Arena, small_cartridge
from client.test_fork import SHARD, changed

from awm_crank.client import publish


@pytest.fixture
def shell(arena: Arena, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell with an empty folder, where cartridges fill several shards."""
    monkeypatch.setattr(publish, "SHARD_SIZE", SHARD)
    return Shell(arena, tmp_path, capsys)


def test_fork_and_lineage(shell: Shell) -> None:
    """A fork by file and a fork by shard give the same model; inspect names the parent and the shared shards."""
    made, first, second = small_cartridge(301), shell.arena.net.funded(), shell.arena.net.funded()
    other = changed(made)
    original, file = shell.folder / "m.awm", shell.folder / "other.awm"
    original.write_bytes(made.data)
    file.write_bytes(other.data)
    parent = shell.json("publish", str(original), key=first)
    forked = shell.json("publish", str(file), "--fork", parent["model"], key=second)
    shards = parent["shards"].split(", ")
    shared = ", ".join(str(index) for index in range(1, len(shards) - 1))
    assert (forked["parent"], forked["shared_shards"]) == (parent["model"], shared)
    assert forked["sha256"] == other.sha256.hex()
    last = shell.folder / "last.bin"
    last.write_bytes(other.data[(len(shards) - 1) * SHARD :])
    words = ("--fork", parent["model"], "--shard", f"{len(shards) - 1}={last}")
    again = shell.json("publish", *words, key=second)
    assert (again["model"], again["bytes_sent"]) == (forked["model"], 0)
    status, out, _ = shell.run("inspect", forked["model"])
    assert status == 0
    assert f"parent                  {parent['model']}\n" in out
    line = f"{parent['model']}, {made.name} version {made.version} by {first.pubkey()}; shares shards {shared}"
    assert f"forked from             {line}\n" in out
    assert "forked from" not in shell.run("inspect", parent["model"])[1]
    status, _, err = shell.run("unpublish", parent["model"], key=first)
    assert (status, forked["model"] in err, "--force" in err) == (1, True, True)
    assert shell.json("unpublish", forked["model"], key=second)["returned_lamports"] == forked["rent_lamports"]
    status, out, _ = shell.run("inspect", parent["model"])
    assert (status, "ready                   True" in out) == (0, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no cartridge named. Try: awm-crank publish CARTRIDGE, or publish --fork MODEL"),
        (("m.awm", "--shard", "0=a"), "--shard goes with --fork and without a cartridge. Try: "),
        (("--fork", "x"), "model 'x' is not an address; expected 32 bytes in base58"),
        (("--fork", "x", "--shard", "0"), "argument --shard: '0' is not of the form I=FILE, such as 1=shard1.bin"),
    ],
)
def test_misuse(words: tuple[str, ...], message: str, shell: Shell) -> None:
    """Options that do not go together are refused in one line, with status 2."""
    status, out, err = shell.run("publish", *words)
    assert (status, out) == (2, "")
    assert err.startswith(f"Error: {message}")
