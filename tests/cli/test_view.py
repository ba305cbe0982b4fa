"""`awm-crank view` serves page and feed until it is stopped."""

from __future__ import annotations

import re
import signal
import subprocess
import urllib.error
import urllib.request

import pytest

from awm_crank.cli import main
from awm_crank.launch import own_command


def test_serves_until_sigterm() -> None:
    """It prints both addresses, answers under its own host names only, and exits with status 0 after SIGTERM."""
    serve = ["view", "--rpc", "http://127.0.0.1:4242", "--host", "127.0.0.7", "--port", "0", "--name", "arena.example"]
    command = own_command("awm_crank", *serve)
    with subprocess.Popen([*command, "--feed-port", "0"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            page = re.fullmatch(r"live view +(http://127\.0\.0\.7:\d+/)\n", process.stdout.readline())
            feed = re.fullmatch(r"frame feed +ws://127\.0\.0\.7:\d+/\n", process.stdout.readline())
            assert page and feed
            with urllib.request.urlopen(page.group(1) + "contract.json", timeout=10) as answer:
                assert b'"ws":"ws://127.0.0.1:4243"' in answer.read()
            proxied = urllib.request.Request(page.group(1), headers={"Host": "arena.example"})
            with urllib.request.urlopen(proxied, timeout=10) as answer:
                assert answer.status == 200
            stranger = urllib.request.Request(page.group(1), headers={"Host": "evil.example"})
            with pytest.raises(urllib.error.HTTPError, match=r"403|421"):
                urllib.request.urlopen(stranger, timeout=10)
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nonsense"], "session 'nonsense' is not an address"),
        (["--port", "70000"], "'70000' is not a whole number from 0 to 65535"),
        (["--rpc", "http://example.test"], "name it with --ws"),
    ],
)
def test_misuse_is_told(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong options give one line and exit status 2."""
    assert main(["view", *arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 1
