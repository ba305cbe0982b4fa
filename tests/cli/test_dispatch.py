"""The dispatcher: lazy commands, one-line errors and exit statuses."""

from __future__ import annotations

import argparse
import subprocess
import sys
import types

import pytest

from awm_crank import cli
from awm_crank.errors import AwmError, KeyFileError


def install(monkeypatch: pytest.MonkeyPatch, execute: object) -> None:
    """Installs a command `demo` that runs `execute`."""
    module = types.ModuleType("awm_crank.cli.demo")

    def configure(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--frames", type=int, default=1)

    module.configure = configure  # type: ignore[attr-defined]
    module.execute = execute  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "awm_crank.cli.demo", module)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "Error: no command given. Try: awm-crank --help\n"),
        (
            ["demo", "--frames", "many"],
            "Error: argument --frames: invalid int value: 'many'. Try: awm-crank demo --help\n",
        ),
        (["demo", "--fast"], "Error: unrecognized arguments: --fast. Try: awm-crank demo --help\n"),
    ],
)
def test_misuse(
    argv: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong command line gives one line on stderr that ends with the next step, and status 2."""
    install(monkeypatch, lambda _: 0)
    assert cli.main(argv) == 2
    assert capsys.readouterr() == ("", message)


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown command is refused with a list of the known ones."""
    assert cli.main(["publsh"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("Error: argument COMMAND: invalid choice: 'publsh' (choose from ")
    assert "publish" in err
    assert err.endswith("Try: awm-crank --help\n")


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (AwmError("a", expected=1, found=2, hint="b"), 1, "Error: a; expected 1, found 2. Try: b\n"),
        (KeyFileError("k.json cannot be read"), 2, "Error: k.json cannot be read\n"),
        (FileNotFoundError(2, "No such file or directory", "x.awm"), 1, "Error: x.awm: No such file or directory\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_are_lines(
    error: BaseException,
    status: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An error that a command raises becomes one line and the error's own exit status."""

    def execute(_: argparse.Namespace) -> int:
        raise error

    install(monkeypatch, execute)
    assert cli.main(["demo"]) == status
    assert capsys.readouterr().err == line


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that is not a typed error is a bug, so its traceback is shown."""

    def execute(_: argparse.Namespace) -> int:
        raise ZeroDivisionError

    install(monkeypatch, execute)
    with pytest.raises(ZeroDivisionError):
        cli.main(["demo"])


def test_async_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command may be a coroutine. It gets the parsed arguments, and its value is the exit status."""

    async def execute(args: argparse.Namespace) -> int:
        return int(args.frames) + 1

    install(monkeypatch, execute)
    assert cli.main(["demo", "--frames", "6"]) == 7


def test_help_imports_no_chain_library() -> None:
    """`awm-crank --help` names every command without importing solana, solders or numpy."""
    code = (
        "import sys\nfrom awm_crank.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'solana', 'solders', 'numpy', 'aiohttp'} & set(sys.modules)\n"
    )
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(command in text for command in cli.COMMANDS)
