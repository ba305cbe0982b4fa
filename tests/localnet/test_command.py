"""The localnet's command line: its options, its errors, and the line that it prints when it is ready."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from solders.keypair import Keypair

from awm_crank.errors import AwmError, ConfigError, KeyFileError
from awm_crank.localnet import command
from awm_crank.localnet.server import LocalnetOptions

KEY = Keypair().pubkey()


def options(*words: str) -> LocalnetOptions:
    """The options of a command line."""
    parser = argparse.ArgumentParser()
    command.configure(parser)
    return command.options_of(parser.parse_args(words))


def test_defaults() -> None:
    """The defaults are loopback, port 8899, slots of 10 ms, and all programs."""
    assert options() == LocalnetOptions()


def test_all(tmp_path: Path) -> None:
    """Every option is used; a folder stands for all dumps in it, whose file names are their addresses."""
    program, dump = tmp_path / f"{KEY}.so", tmp_path / "a.json"
    program.write_bytes(b"")
    dump.write_text("{}")
    found = options(
        "--host", "::1", "--port", "0", "--slot-ms", "400", "--history", "7", "--bare", "--until-eof",
        "--program", str(KEY), str(program), "--account", str(tmp_path), "--fund", f"{KEY}=2.5", "--fund", str(KEY),
    )  # fmt: skip
    assert found == LocalnetOptions(
        host="::1",
        port=0,
        slot_ms=400,
        history=7,
        bare=True,
        programs=[(KEY, program), (KEY, program)],
        accounts=[dump],
        fund=[(KEY, 2_500_000_000), (KEY, 1000 * 10**9)],
        until_eof=True,
    )


@pytest.mark.parametrize(
    "words",
    [
        ["--port", "65535"],
        ["--port", "-1"],
        ["--slot-ms", "0"],
        ["--history", "0"],
        ["--program", "x", __file__],
        ["--program", str(KEY), "/no/such.so"],
        ["--account", "/no/such.json"],
        ["--fund", "x"],
        ["--fund", f"{KEY}=many"],
        ["--fund", f"{KEY}=-1"],
        ["--fund", f"{KEY}=inf"],
    ],
)
def test_refusals(words: list[str]) -> None:
    """A wrong option raises a ConfigError that names it."""
    with pytest.raises(ConfigError) as caught:
        options(*words)
    assert caught.value.exit_code == 2
    assert words[0] in str(caught.value) or words[-1] in str(caught.value)


def test_key_file_is_made_once(tmp_path: Path) -> None:
    """A missing key file is made, readable by its owner only, and the next start funds the same key."""
    path = tmp_path / "id.json"
    ((key, lamports),) = options("--keypair", str(path)).fund
    assert lamports == 1000 * 10**9
    assert path.stat().st_mode & 0o777 == 0o600
    assert options("--keypair", str(path)).fund == [(key, lamports)]
    assert Keypair.from_json(path.read_text()).pubkey() == key


@pytest.mark.parametrize("text", ["", "[1,2]", "{}", "[" + "300," * 63 + "300]"])
def test_broken_key_file(tmp_path: Path, text: str) -> None:
    """The error about a broken key file names the file but does not show its contents."""
    path = tmp_path / "id.json"
    path.write_text(text)
    with pytest.raises(KeyFileError) as caught:
        options("--keypair", str(path))
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, AwmError)


def test_ready_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The line that reports open ports is JSON with both addresses and the process id."""

    class Ready:
        http, ws = "http://a:1", "ws://a:2"

    command._announce(Ready())  # type: ignore[arg-type]
    line = json.loads(capsys.readouterr().out)
    assert (line["http"], line["ws"]) == ("http://a:1", "ws://a:2")
    assert line["pid"] > 0
