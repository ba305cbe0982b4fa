"""The commands end to end on the localnet: publish, a session's life, inspect, export and verify."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from client.localnet import Arena, small_cartridge
from client.minicrank import MiniCrank
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank import cli
from awm_crank.cli import play
from awm_crank.client import session
from awm_crank.client.keys import write_keypair
from awm_crank.wire import bolt, deposits

FRAMES = 9


class Shell:
    """Runs commands against the arena's localnet as one user."""

    def __init__(self, arena: Arena, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.arena, self.folder, self.capsys = arena, folder, capsys

    def run(self, *words: str, key: Keypair | None = None, rpc: bool = True) -> tuple[int, str, str]:
        """Runs a command. Returns exit status, stdout and stderr."""
        argv = [*words, *(["--rpc", self.arena.net.http] if rpc else [])]
        if key is not None:
            path = self.folder / f"{key.pubkey()}.json"
            if not path.exists():
                write_keypair(path, key)
            argv += ["--keypair", str(path)]
        status = cli.main(argv)
        out, err = self.capsys.readouterr()
        return status, out, err

    def json(self, *words: str, key: Keypair | None = None) -> Any:
        """A command's JSON result; the command must succeed."""
        status, out, err = self.run(*words, "--json", key=key)
        assert (status, "Error" in err) == (0, False), err
        return json.loads(out)


@pytest.fixture
def shell(arena: Arena, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    """A shell with an empty folder."""
    return Shell(arena, tmp_path, capsys)


def serve(
    arena: Arena, made: session.SessionAccounts, writer: Keypair, frames: int, checkpoints: tuple[int, ...]
) -> None:
    """Writes frames as the crank would."""

    async def work() -> None:
        async with arena.chain() as chain:
            crank = MiniCrank(chain, writer, arena.world, made, arena.engine)
            await crank.open()
            for frame in range(1, frames + 1):
                await crank.burst(1)
                if frame in checkpoints:
                    await crank.checkpoint()

    asyncio.run(work())


def played(shell: Shell, checkpoints: tuple[int, ...] = (4, 7)) -> tuple[session.SessionAccounts, Keypair, Keypair]:
    """A session with frames that commands made; returns its accounts and both players."""
    player1, player2, writer = (shell.arena.net.funded() for _ in range(3))
    made = shell.json(
        "session", "create", "--model", str(shell.arena.model), "--writer", str(writer.pubkey()), "--seed", "5",
        "--character", "2", "--challenge-s", "0", key=player1,
    )  # fmt: skip
    shell.json("session", "join", made["session"], "--character", "20", key=player2)
    accounts = session.SessionAccounts.of(Pubkey.from_string(made["entity"]))
    assert str(accounts.session) == made["session"]
    serve(shell.arena, accounts, writer, FRAMES, checkpoints)
    return accounts, player1, player2


def test_publish_and_unpublish(shell: Shell) -> None:
    """publish prints the model, a second publish sends nothing, and unpublish returns all of the rent."""
    made = small_cartridge(101)
    path = shell.folder / "m.awm"
    path.write_bytes(made.data)
    key = shell.arena.net.funded()
    first = shell.json("publish", str(path), key=key)
    assert (first["sha256"], first["bytes_sent"]) == (made.sha256.hex(), len(made.data))
    assert shell.json("publish", str(path), key=key)["bytes_sent"] == 0
    assert shell.json("unpublish", first["model"], key=key)["returned_lamports"] == first["rent_lamports"]
    status, _, err = shell.run("unpublish", first["model"], key=key)
    assert (status, err.startswith(f"Error: model manifest {first['model']} is not on ")) == (1, True)


def test_a_sessions_life(shell: Shell) -> None:
    """create, join, frames, show, verify, end, close: each command does its step and reports it."""
    made, player1, player2 = played(shell)
    address = str(made.session)
    shown = shell.json("session", "show", address)
    assert (shown["status"], shown["frame"], shown["checkpoint_frame"], shown["ring"]) == ("Active", 9, 7, [1, 9])
    status, out, _ = shell.run("session", "show", address)
    assert status == 0
    for name in ("SessionState", "HiddenState", "InputBuffer", "FrameLog", "Checkpoint"):
        assert f"{name} " in out
    assert "stage                   32, Final Destination" in out
    verdict = shell.json("verify", address)
    assert (verdict["agrees"], verdict["start"], verdict["last"]) == (True, 0, FRAMES)
    assert verdict["chain_hash"] == shown["chain_hash"]
    status, _, err = shell.run("session", "close", address, key=player1)
    assert (status, err) == (1, f"Error: session {address} is still active. Try: awm-crank session end {address}\n")
    shell.json("session", "end", address, key=player2)
    closed = shell.json("session", "close", address, key=player1)
    assert closed["returned_lamports"] + closed["writer_lamports"] == shown["lamports"]
    status, _, err = shell.run("session", "show", address)
    assert (status, f"session {address} is not on" in err) == (1, True)


def test_verify_from_a_checkpoint(shell: Shell) -> None:
    """When the ring has lost the beginning, verify names the oldest checkpoint that
    it starts from, and export refuses.
    """
    player1, player2, writer = (shell.arena.net.funded() for _ in range(3))
    made = shell.json(
        "session", "create", "--model", str(shell.arena.model), "--writer", str(writer.pubkey()), key=player1
    )
    shell.json("session", "join", made["session"], key=player2)
    accounts = session.SessionAccounts.of(Pubkey.from_string(made["entity"]))

    async def work() -> None:
        async with shell.arena.chain() as chain:
            crank = MiniCrank(chain, writer, shell.arena.world, accounts, shell.arena.engine)
            await crank.open()
            for _ in range(2):
                await crank.burst(100)
                await crank.checkpoint()
            await crank.burst(80)

    asyncio.run(work())
    status, out, _ = shell.run("verify", made["session"])
    assert (status, out.startswith("every byte agrees, from the checkpoint of frame 100 to frame 280; ")) == (0, True)
    status, _, err = shell.run("export", made["session"], "-o", str(shell.folder / "m.json"))
    assert status == 1
    assert err == (
        f"Error: session {made['session']}: the ring has lost frame 1; expected frame 1, found frames 25..280. "
        "Try: record a match from its start with `awm-crank export --follow`\n"
    )


def test_export_and_verify(shell: Shell) -> None:
    """An exported file verifies alone and against the chain. An altered byte is named, with exit status 1."""
    made, _, _ = played(shell, ())
    path, cartridge = shell.folder / "match.json", shell.folder / "m.awm"
    cartridge.write_bytes(shell.arena.cartridge.data)
    exported = shell.json("export", str(made.session), "-o", str(path))
    assert exported["frames"] == FRAMES
    status, out, err = shell.run("verify", str(path), "--cartridge", str(cartridge), rpc=False)
    assert (status, err) == (0, "")
    assert out == f"every byte agrees, from its start to frame 9; chain hash {exported['chain_hash']}\n"
    assert shell.json("verify", str(path))["chain_hash"] == exported["chain_hash"]
    document = json.loads(path.read_text())
    document["frames"][6]["players"][1]["percent"] += 1
    found = document["frames"][6]["players"][1]["percent"]
    path.write_text(json.dumps(document))
    status, out, err = shell.run("verify", str(path), "--cartridge", str(cartridge), rpc=False)
    assert (status, out) == (1, "")
    assert err == (
        f"Error: frame 6: frames[6].players[1].percent of match file differs; expected {found - 1}, found {found}\n"
    )


def test_verify_wants_the_cartridge(shell: Shell) -> None:
    """Without cartridge and chain, verify names the hash that it needs; it refuses another cartridge."""
    made, _, _ = played(shell, ())
    path, other = shell.folder / "match.json", shell.folder / "other.awm"
    other.write_bytes(small_cartridge(55).data)
    shell.json("export", str(made.session), "-o", str(path))
    status, _, err = shell.run("verify", str(path), rpc=False)
    wanted = shell.arena.cartridge.sha256.hex()
    assert (status, err) == (
        1,
        f"Error: the cartridge that the match was played with is missing; expected SHA-256 {wanted}. "
        "Try: name its file with --cartridge FILE, or its chain with --rpc URL\n",
    )
    status, _, err = shell.run("verify", str(path), "--cartridge", str(other), rpc=False)
    assert status == 1
    assert err.startswith("Error: this match was played with another cartridge; expected ")


def test_verify_file_against_the_chain(shell: Shell) -> None:
    """When an endpoint is named, verify refuses a file whose players or length differ from the chain's."""
    made, _, _ = played(shell, ())
    path = shell.folder / "match.json"
    shell.json("export", str(made.session), "-o", str(path))
    document = json.loads(path.read_text())
    document["meta"]["player1"] = document["meta"]["player2"]
    path.write_text(json.dumps(document))
    status, _, err = shell.run("verify", str(path))
    assert (status, err.startswith("Error: meta.player1 is not what the chain has; expected ")) == (1, True)


def test_inspect_everything(shell: Shell) -> None:
    """inspect knows every account of ours and of World, cartridges and match files, and refuses anything else."""
    made, player1, _ = played(shell)
    kinds = ("SessionState", "HiddenState", "InputBuffer", "FrameLog", "Checkpoint", "Checkpoint")
    targets = dict(zip(map(str, made.all()), kinds, strict=True))
    targets[str(shell.arena.model)] = "ModelManifest"
    (shard,) = re.findall(r"^shard keys +(\w+)$", shell.run("inspect", str(shell.arena.model))[1], re.MULTILINE)
    targets[shard] = "WeightShard"
    targets[str(shell.arena.world)] = "World"
    targets[str(made.entity)] = "World Entity"
    targets[str(bolt.registry_pda())] = "World Registry"
    for target, kind in targets.items():
        status, out, _ = shell.run("inspect", target)
        assert (status, out.splitlines()[0]) == (0, f"{kind} {target}")
        assert out.splitlines()[-1].startswith("balance")
        found = shell.json("inspect", target)
        assert (found["kind"], found["address"]) == (kind, target)
        assert found["lamports"] > 0
    status, _, err = shell.run("inspect", str(player1.pubkey()))
    assert (status, "is not one that awm-crank knows" in err) == (1, True)
    cartridge, match = shell.folder / "m.awm", shell.folder / "match.json"
    cartridge.write_bytes(shell.arena.cartridge.data)
    shell.json("export", str(made.session), "-o", str(match))
    assert f"sha256                  {shell.arena.cartridge.sha256.hex()}\n" in shell.run("inspect", str(cartridge))[1]
    assert f"session                 {made.session}\n" in shell.run("inspect", str(match))[1]
    assert shell.json("inspect", str(cartridge))["sha256"] == shell.arena.cartridge.sha256.hex()
    told = shell.json("inspect", str(match))
    assert (told["kind"], told["session"], told["winner"]) == ("Match", str(made.session), None)


def test_play(shell: Shell) -> None:
    """play sends its inputs and exits when the session has ended; a stranger's key is refused."""
    player1, player2, writer = (shell.arena.net.funded() for _ in range(3))
    made = shell.json(
        "session", "create", "--model", str(shell.arena.model), "--writer", str(writer.pubkey()), "--max-frames", "3",
        key=player1,
    )  # fmt: skip
    shell.json("session", "join", made["session"], key=player2)
    accounts = session.SessionAccounts.of(Pubkey.from_string(made["entity"]))
    status, _, err = shell.run("play", made["session"], "--ws", shell.arena.net.ws, key=writer)
    assert (status, err) == (
        1,
        f"Error: {writer.pubkey()} is not a player of session {made['session']}. "
        f"Try: awm-crank session join {made['session']}\n",
    )

    async def both() -> None:
        # this runs the command's own coroutine in the same loop as a crank
        args = argparse.Namespace(
            session=made["session"], agent="hold-forward", seed=1, rpc=shell.arena.net.http, ws=shell.arena.net.ws,
            world="", json=True, keypair=shell.folder / f"{player1.pubkey()}.json", offline=False, output=None,
            opponent=None, cartridge=None, buttons=None,
        )  # fmt: skip
        playing = asyncio.create_task(play.on_chain(args))
        async with shell.arena.chain() as chain:
            crank = MiniCrank(chain, writer, shell.arena.world, accounts, shell.arena.engine)
            await crank.open()
            for _ in range(3):
                for _ in range(200):
                    inputs = (await session.show(chain, accounts.session)).inputs
                    assert inputs is not None
                    if inputs.p1_ready:
                        break
                    await asyncio.sleep(0.01)
                await crank.frames(1)
        await asyncio.wait_for(playing, 10)

    asyncio.run(both())
    played = json.loads(shell.capsys.readouterr().out)
    assert (played["frame"], played["inputs_sent"], played["resent"]) == (3, 3, 0)


def test_session_list(shell: Shell) -> None:
    """`session list` shows the open sessions, newest first, and with --all the ended ones too."""
    made, player1, _ = played(shell)
    address = str(made.session)
    (row,) = [each for each in shell.json("session", "list") if each["session"] == address]
    assert (row["status"], row["frame"], row["winner"], row["stage"]) == ("Active", FRAMES, None, "Final Destination")
    assert row["duration_s"] == round(FRAMES / 60, 3)
    shell.json("session", "end", address, key=player1)
    assert address not in {each["session"] for each in shell.json("session", "list")}
    everything = shell.json("session", "list", "--all")
    assert address in {each["session"] for each in everything}
    times = [each["created_at"] for each in everything]
    assert times == sorted(times, reverse=True)
    status, out, _ = shell.run("session", "list", "--all")
    assert status == 0
    assert out.splitlines()[0].split()[:3] == ["session", "status", "frame"]
    assert re.search(rf"^{address} .* Final Destination +20[0-9-]+ [0-9:]+ UTC ", out, re.MULTILINE)


def test_model_list(shell: Shell) -> None:
    """`model list` shows every published model by name, or only those of one key."""
    (row,) = [each for each in shell.json("model", "list") if each["model"] == str(shell.arena.model)]
    cartridge = shell.arena.cartridge
    assert (row["name"], row["version"], row["ready"]) == (cartridge.name, cartridge.version, True)
    assert row["sha256"] == cartridge.sha256.hex()
    assert row in shell.json("model", "list", "--authority", row["authority"])
    assert shell.json("model", "list", "--authority", str(Keypair().pubkey())) == []
    status, out, _ = shell.run("model", "list")
    assert (status, row["model"] in out) == (0, True)
    assert shell.run("model", "list", "--authority", "x")[2].startswith("Error: authority 'x' is not an address")


def test_winner_and_duration(shell: Shell) -> None:
    """export prints how long the match was, and names no winner while it is still running."""
    made, _, _ = played(shell)
    path = shell.folder / "match.json"
    exported = shell.json("export", str(made.session), "-o", str(path))
    assert (exported["frames"], exported["duration_s"], exported["winner"]) == (FRAMES, round(FRAMES / 60, 3), None)
    assert re.search(r"^duration +0\.1 s$", shell.run("session", "show", str(made.session))[1], re.MULTILINE)


def test_invite(shell: Shell) -> None:
    """With --invite, only the named key may join."""
    player1, player2, stranger, writer = (shell.arena.net.funded() for _ in range(4))
    made = shell.json(
        "session", "create", "--model", str(shell.arena.model), "--writer", str(writer.pubkey()),
        "--invite", str(player2.pubkey()), key=player1,
    )  # fmt: skip
    assert shell.run("session", "join", made["session"], key=stranger)[0] == 1
    shell.json("session", "join", made["session"], key=player2)
    assert shell.json("session", "show", made["session"])["player2"] == str(player2.pubkey())


def test_deposit(shell: Shell) -> None:
    """`session deposit` puts lamports aside and adds to them. Another price, another key and an ended session fail."""
    player1, player2, writer = (shell.arena.net.funded() for _ in range(3))
    made = shell.json(
        "session", "create", "--model", str(shell.arena.model), "--writer", str(writer.pubkey()), key=player1
    )
    deposit = deposits.deposit_pda(Pubkey.from_string(made["entity"]))

    def put(lamports: int, price: int, key: Keypair = player1) -> tuple[int, str, str]:
        words = ("--lamports", str(lamports), "--frame-lamports", str(price))
        return shell.run("session", "deposit", made["session"], *words, key=key)

    def holds() -> int:
        return int(shell.arena.net.call("getBalance", str(deposit))["value"])

    assert put(1_000_000, 10_000)[0] == 0
    rent = holds() - 1_000_000
    assert rent > 0
    assert put(500_000, 10_000)[0] == 0
    assert holds() == rent + 1_500_000
    for status, _, err in (put(1, 9_999), put(1, 10_000, player2)):
        assert (status, err.startswith("Error: ")) == (1, True)
    shell.json("session", "end", made["session"], key=player1)
    assert put(1, 10_000)[0] == 1
    assert holds() == rent + 1_500_000
