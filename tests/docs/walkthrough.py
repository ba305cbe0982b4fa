"""Runs a page of the documentation as a reader would: saves its files, and types its commands in order.

In a page, a fenced block is

- ```sh: commands, run one after the other in one shell;
- ```sh title="Terminal 1": a command that keeps running; it runs in the background, and the next block waits for its
  first line;
- a block of another language with a title: a file of that name;
- anything else (```console, ```text): for reading, not run.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]*)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_WAIT_S = 120
"""How long a command that keeps running may take to print its first line."""


class Block(msgspec.Struct, frozen=True):
    """A fenced block of a page."""

    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page that are not indented, in order."""
    return [Block(*each) for each in _BLOCK.findall(page.read_text())]


def script(page: Path, folder: Path, changes: dict[str, str]) -> str:
    """The page's commands as one bash script that runs after its files are saved below `folder`.

    Args:
        page: the page.
        folder: where the commands run.
        changes: text of the page → what replaces it (ports, system folders).
    """
    lines = ["set -euo pipefail"]
    for block in blocks(page):
        text = block.text
        for before, after in changes.items():
            text = text.replace(before, after)
        if block.language == "sh" and block.title:
            log = f"scratch/{block.title.replace(' ', '-')}.log"
            # its output goes where the page says, or else into the log; its first line shows that it is ready
            shown = re.search(r"> (\S+)\n$", text)
            ready = shown[1] if shown else log
            lines.append(f"mkdir -p scratch; ( {text.rstrip()} ) >{log} 2>&1 &")
            lines.append(f"timeout {_WAIT_S} sh -c 'until [ -s {ready} ]; do sleep 0.1; done' || cat {log}")
        elif block.language == "sh":
            lines += [f"echo {shlex.quote('$ ' + line)}" for line in text.splitlines()[:1]] + [text]
        elif block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(text)
    return "\n".join(lines) + "\n"


def run(page: Path, folder: Path, changes: dict[str, str], timeout_s: float) -> str:
    """Runs a page's commands in `folder`, which looks like a checkout. Returns what they printed.

    Everything that they started ends with them. An AssertionError shows the output of a page that fails.
    """
    for entry in ROOT.iterdir():
        if entry.name not in ("scratch", "build", ".git"):
            (folder / entry.name).symlink_to(entry)
    text = script(page, folder, changes)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with (folder / "output.txt").open("w+") as output:
        process = subprocess.Popen(
            ["bash", "-c", text], cwd=folder, env=os.environ | {"PATH": path, "PYTHONSAFEPATH": "1"},
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end(process)
        output.seek(0)
        printed = output.read()
    assert status == 0, f"{page.name} ended with {status} (None: not in {timeout_s} s):\n{printed}"
    return printed


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the shell and everything that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait(10)
