"""The systemd unit is valid and hardened, and its command can run."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deploy.machine import ROOT

from awm_crank.cli import main

UNIT = ROOT / "deploy" / "awm-crank.service"


class _Repeating(configparser.RawConfigParser):
    """Parses systemd's files, in which a key may be repeated."""

    def __init__(self) -> None:
        super().__init__(strict=False, interpolation=None, comment_prefixes=("#",), delimiters=("=",))

    def optionxform(self, optionstr: str) -> str:
        """Keys keep their case."""
        return optionstr


@pytest.fixture
def service() -> dict[str, str]:
    """The unit's [Service]."""
    parser = _Repeating()
    parser.read(UNIT)
    return dict(parser["Service"])


def test_verify(tmp_path: Path, service: dict[str, str]) -> None:
    """systemd-analyze verify reports nothing, apart from the program's path."""
    program = service["ExecStart"].split()[0]
    here = tmp_path / UNIT.name
    here.write_text(UNIT.read_text().replace(program, str(Path(sys.executable).parent / "awm-crank")))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(here)], capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert (done.returncode, said) == (0, [])


def test_exposure() -> None:
    """systemd-analyze security rates the exposure at 2.0 or less."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(UNIT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"Overall exposure level for awm-crank\.service: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= 2.0
    assert done.returncode == 0


def test_service(service: dict[str, str]) -> None:
    """The unit sets notify, watchdog, restarts, open files, the key as a credential, and time for the last
    checkpoints.
    """
    assert service["Type"] == "notify"
    assert service["Restart"] == "always"
    assert int(service["LimitNOFILE"]) >= 65536
    assert 2 <= int(service["WatchdogSec"].rstrip("s")) <= 30
    # awm_crank/daemon waits 30 s for checkpoints before it gives up
    assert int(service["TimeoutStopSec"].rstrip("s")) > 30
    name, _, source = service["LoadCredential"].partition(":")
    assert source == "/etc/awm-crank/crank.json"
    assert f"${{CREDENTIALS_DIRECTORY}}/{name}" in service["ExecStart"]


def test_scheduling(service: dict[str, str]) -> None:
    """The loop's thread may be real-time, at the lowest such priority, and nothing inherits it.

    No other thread can give it to itself. A nice value applies where real-time scheduling is removed.
    """
    assert service["CPUSchedulingPolicy"] == "rr"
    assert service["CPUSchedulingPriority"] == "1"
    assert service["CPUSchedulingResetOnFork"] == "yes"
    assert service["RestrictRealtime"] == "yes"
    assert int(service["Nice"]) < 0


DROP_INS = {
    "scheduling": "[Service]\nCPUSchedulingPolicy=other\n",
    "addresses": (UNIT.parent / "awm-crank.service.d" / "addresses.conf").read_text(),
}


@pytest.mark.parametrize("name", DROP_INS)
def test_drop_ins(tmp_path: Path, name: str) -> None:
    """systemd accepts the drop-ins that the operator's pages name."""
    page, text = {
        "scheduling": ("start/operate.md", "CPUSchedulingPolicy=other"),
        "addresses": ("howto/harden.md", "awm-crank.service.d/addresses.conf"),
    }[name]
    assert text in (ROOT / "docs" / page).read_text()
    here = tmp_path / UNIT.name
    program = str(Path(sys.executable).parent / "awm-crank")
    here.write_text(UNIT.read_text().replace("/opt/awm-crank/bin/awm-crank", program))
    (tmp_path / f"{UNIT.name}.d").mkdir()
    (tmp_path / f"{UNIT.name}.d" / "override.conf").write_text(DROP_INS[name])
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(here)], capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if UNIT.name in line or "override.conf" in line]
    assert (done.returncode, said) == (0, [])


def test_addresses_are_denied_first() -> None:
    """The drop-in denies everything, and allows this machine and what the operator lists."""
    lines = [line for line in DROP_INS["addresses"].splitlines() if line.startswith("IPAddress")]
    assert lines[:2] == ["IPAddressDeny=any", "IPAddressAllow=localhost"]
    assert all(line.startswith("IPAddressAllow=") for line in lines[1:])


def test_the_view_can_be_put_last() -> None:
    """awm_crank/daemon/page.py may lower its process's priority and make it the first to be killed for lack of
    memory.
    """
    lines = [line.strip() for line in UNIT.read_text().splitlines()]
    denied = lines.index("SystemCallFilter=~@privileged @resources")
    assert lines.index("SystemCallFilter=setpriority") > denied
    assert "OOMPolicy=continue" in lines


def test_command_is_understood(service: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command line accepts ExecStart's words; with the example configuration only the key is missing."""
    program, *words = service["ExecStart"].split()
    assert Path(program).name == "awm-crank"
    assert shutil.which("awm-crank", path=str(Path(sys.executable).parent))
    places = {
        "/etc/awm-crank/awm-crank.toml": str(ROOT / "deploy" / "awm-crank.example.toml"),
        "${CREDENTIALS_DIRECTORY}/crank.json": str(tmp_path / "crank.json"),
    }
    assert main([places.get(word, word) for word in words]) == 2
    assert "key file" in capsys.readouterr().err
