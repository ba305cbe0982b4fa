"""Page and feed as a process of their own."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.error
import urllib.request
from typing import Any

import pytest

from awm_crank.launch import own_command

TOLD = {
    "host": "127.0.0.1", "page_port": 0, "feed_port": 0, "rpc": "http://127.0.0.1:1", "ws": "ws://127.0.0.1:2",
    "feed_ws": "ws://127.0.0.1:3/secret",
}  # fmt: skip


def start(**changes: Any) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Starts the process with what to serve, and returns it with its answer."""
    process = subprocess.Popen(
        own_command("awm_crank.viewer.process"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps({**TOLD, **changes}) + "\n")
    process.stdin.flush()
    said: dict[str, str] = json.loads(process.stdout.readline())
    return process, said


def test_serves_until_its_starter_ends() -> None:
    """The process reports both addresses, gives browsers their own endpoints and not the feed's, and ends with its
    input.
    """
    process, said = start()
    with process:
        assert said["feed"].startswith("ws://127.0.0.1:")
        assert said["problem"] == ""
        with urllib.request.urlopen(said["page"] + "contract.json", timeout=10) as answer:
            told = answer.read()
        assert json.loads(told)["defaults"] == {"rpc": TOLD["rpc"], "ws": TOLD["ws"], "session": ""}
        assert b"secret" not in told
        assert process.stdin
        process.stdin.close()
        assert process.wait(timeout=10) == 0
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(said["page"], timeout=10)


@pytest.mark.parametrize("name", ["page_port", "feed_port"])
def test_taken_port_is_said(name: str) -> None:
    """The error about a port in use, of page or feed, has its number."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process, said = start(**{name: port})
        with process:
            assert process.wait(timeout=10) == 2
    assert f"port {port}" in said["problem"]
    assert said["page"] == said["feed"] == ""
