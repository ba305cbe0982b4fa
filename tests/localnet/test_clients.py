"""@magicblock-labs/bolt-sdk and @solana/web3.js, unchanged, play a whole session from Node.js."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank.localnet.rig import EmbeddedLocalnet
from awm_crank.wire import ids

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def modules() -> Path:
    """The folder of the Node.js clients, which are installed from the lock where they are missing."""
    if not (NODE / "node_modules" / ".package-lock.json").exists():
        npm = shutil.which("npm")
        assert npm, "npm is needed; scripts/test installs it"
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=NODE, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
    return NODE


def test_bolt_sdk_session(modules: Path, net: EmbeddedLocalnet, tmp_path: Path) -> None:
    """A session with world, entity, four components, CREATE, JOIN, an input and END works with JSON args."""
    wallet = tmp_path / "wallet.json"
    wallet.write_text(Keypair().to_json())
    model = Pubkey.from_bytes(b"\x2a" * 32)
    keys = [*ids.SESSION_COMPONENTS, ids.SESSION_LIFECYCLE, ids.SUBMIT_INPUT, model]
    done = subprocess.run(
        ["node", "session.cjs", net.http, net.ws, *map(str, keys)],
        cwd=modules,
        env={**os.environ, "ANCHOR_WALLET": str(wallet)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    # status 1 WaitingPlayers, 2 Active, 3 Ended; the input between them leaves SessionState as it was
    assert told["statuses"] == [1, 2, 3]
    assert told["told"] == [1, 2, 3]
    assert told["input"] == bytes([80, 256 - 80, 1, 255, 200, 0, 1, 4]).hex()
    assert told["ready"] == 1
    # JOIN of an ended session: NotWaiting (6021), in the form in which web3.js shows a preflight failure
    assert told["refusal"]["name"] == "SendTransactionError"
    assert "custom program error: 0x1785" in told["refusal"]["message"]
    assert told["refusal"]["logs"] > 0


def test_web3(modules: Path, net: EmbeddedLocalnet) -> None:
    """web3.js understands every answer: jsonParsed accounts, nonces, the cluster and token methods, and notifications
    of slotsUpdates.
    """
    done = subprocess.run(
        ["node", "web3.cjs", net.http, net.ws], cwd=modules, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}
    assert "Method not found" not in done.stderr


def test_lock_names_no_host() -> None:
    """The lock has a hash for each package and no registry's address."""
    lock = json.loads((NODE / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages
    assert all("integrity" in entry for entry in packages.values())
    assert not any("resolved" in entry for entry in packages.values())
