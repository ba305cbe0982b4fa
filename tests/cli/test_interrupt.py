"""Ctrl-C ends every command within a second, with status 130, and no result is printed after it."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli.terminal import Command
from client.localnet import Arena, small_cartridge
from solders.keypair import Keypair

from awm_crank import cli
from awm_crank.cli import interrupt, output
from awm_crank.client.keys import write_keypair
from awm_crank.engine.layout import Shape
from awm_crank.engine.offline import seeded_checkpoint

# a second, and the time that a loaded test machine takes to start a signal handler
LIMIT_S = 1.5


def check(command: Command) -> None:
    """Checks the promise on a command that is working."""
    status, took = command.interrupt()
    assert status == 130, command.seen[-2000:]
    assert took < LIMIT_S
    assert "Traceback" not in command.seen
    assert command.printed() == ""


def test_play_offline(tmp_path: Path) -> None:
    """A match that is being computed stops, and no file is left."""
    words = ("play", "--offline", "-o", "m.json", "--max-frames", "4000000", "--engine", "reference")
    with Command(*words, cwd=tmp_path) as command:
        command.wait_for("playing")
        check(command)
    assert list(tmp_path.iterdir()) == []


def test_verify(tmp_path: Path) -> None:
    """A verification stops, and does not say that every byte agrees."""
    words = ["play", "--offline", "-o", str(tmp_path / "m.json"), "--agent", "noop", "--max-frames", "6000"]
    assert cli.main(words) == 0
    with Command("verify", "m.json", "--engine", "reference", cwd=tmp_path) as command:
        command.wait_for("verifying")
        check(command)


def test_quantize(tmp_path: Path) -> None:
    """A calibration stops, and no cartridge is left."""
    (tmp_path / "world.pt").write_bytes(seeded_checkpoint.checkpoint(Shape(64, 64, 4, 16, 1), 1))
    words = ("quantize", "world.pt", "-o", "world.awm", "--calibration-frames", "60000")
    with Command(*words, cwd=tmp_path) as command:
        command.wait_for("calibrating")
        check(command)
    assert [path.name for path in tmp_path.iterdir()] == ["world.pt"]


def test_fidelity(tmp_path: Path) -> None:
    """A comparison stops, and prints no table."""
    with Command("fidelity", "--frames", "1000000", cwd=tmp_path) as command:
        command.wait_for("frames to compare on")
        check(command)


def test_publish(arena: Arena, tmp_path: Path) -> None:
    """An upload stops between two transactions, and a second run continues it."""
    payer = arena.net.funded()
    write_keypair(tmp_path / "key.json", payer)
    (tmp_path / "m.awm").write_bytes(small_cartridge(77).data)
    words = ("publish", "m.awm", "--rpc", arena.net.http, "--keypair", "key.json")
    with Command(*words, cwd=tmp_path) as command:
        command.wait_for("bytes")
        status, took = command.interrupt()
    assert (status, took < LIMIT_S) in {(130, True), (0, True)}
    done = subprocess.run(
        [sys.executable, "-m", "awm_crank", *words, "--json"], capture_output=True, cwd=tmp_path, check=True
    )
    assert json.loads(done.stdout)["sha256"] == small_cartridge(77).sha256.hex()


def test_waiting_for_a_match(arena: Arena, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """play and export --follow stop waiting for a session's end at once, and leave no match file."""
    write_keypair(tmp_path / "key.json", arena.net.funded())
    rpc = ("--rpc", arena.net.http)
    create = ["session", "create", "--model", str(arena.model), "--writer", str(Keypair().pubkey()), *rpc]
    assert cli.main([*create, "--keypair", str(tmp_path / "key.json"), "--json"]) == 0
    session = json.loads(capsys.readouterr().out)["session"]
    waits: dict[tuple[str, ...], str] = {
        ("play", session, *rpc, "--ws", arena.net.ws, "--keypair", "key.json"): f"playing session {session}",
        ("export", session, "-o", "m.json", "--follow", *rpc): f"recording session {session}",
    }
    for words, shown in waits.items():
        with Command(*words, cwd=tmp_path) as command:
            command.wait_for(shown)
            check(command)
    assert [path.name for path in tmp_path.iterdir()] == ["key.json"]


def test_services(arena: Arena, tmp_path: Path) -> None:
    """Commands that would run for ever (view, localnet, run) end at once too."""
    key = Keypair()
    write_keypair(tmp_path / "crank.json", key)
    (tmp_path / "crank.toml").write_text(f'[chain]\nbase_http = "{arena.net.http}"\n')
    services = {
        ("view", "--rpc", arena.net.http, "--port", "0", "--feed-port", "0"): "frame feed",
        ("localnet", "--port", "0"): "ws://",
        ("run", "--config", "crank.toml"): "ready",
    }
    for words, ready in services.items():
        with Command(*words, cwd=tmp_path, output=True) as command:
            command.wait_for(ready)
            status, took = command.interrupt()
            assert (words[0], status, "Traceback" in command.seen) == (words[0], 130, False)
            assert "stopped" in command.seen or words[0] != "run"
            assert took < LIMIT_S


STUBBORN = {
    "swallows it in plain code": """
        def execute(args):
            try:
                note('ready'); time.sleep(60)
            except BaseException:
                pass
            say('success')
    """,
    "swallows it in a coroutine": """
        async def execute(args):
            try:
                note('ready'); await asyncio.sleep(60)
            except BaseException:
                pass
            say('success')
    """,
    "computes in a coroutine": """
        async def execute(args):
            note('ready')
            while True:
                pass
    """,
    "waits for a thread": """
        async def execute(args):
            note('ready')
            await asyncio.to_thread(time.sleep, 60)
    """,
    "makes another error of it": """
        async def execute(args):
            try:
                note('ready'); await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise AwmError('broken') from None
    """,
}


@pytest.mark.parametrize("name", STUBBORN)
def test_stubborn_commands(name: str, tmp_path: Path) -> None:
    """Whatever a command does when it is interrupted, it ends with 130 and prints nothing more."""
    body = "\n".join(line[8:] for line in STUBBORN[name].splitlines())
    source = (
        "import asyncio, time\nfrom awm_crank.cli.output import note, say\nfrom awm_crank.errors import AwmError\n"
        f"def configure(parser): pass\n{body}"
    )
    script = (
        "import sys, types\nfrom awm_crank import cli\nmodule = types.ModuleType('awm_crank.cli.demo')\n"
        f"exec({source!r}, module.__dict__)\nsys.modules['awm_crank.cli.demo'] = module\nsys.exit(cli.main(['demo']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        process.send_signal(2)
        out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, out, err) == (130, "", "")


def test_outside_the_main_thread() -> None:
    """A command that runs in another thread works as usual, since it has no signal to handle."""

    async def work() -> int:
        return await asyncio.to_thread(cli.main, ["--version"])

    assert asyncio.run(work()) == 0


def test_nothing_is_pressed_in_peace() -> None:
    """Without Ctrl-C a result is printed."""
    interrupt.check()
    output.result(argparse.Namespace(json=False), {"answer": 42})


def test_while_modules_are_imported() -> None:
    """Ctrl-C before the command's modules are there ends with 130 too, and shows no traceback."""
    code = (
        "import os, signal, sys\n"
        "class Pressed:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'awm_crank.cli':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Pressed())\n"
        "from awm_crank.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
