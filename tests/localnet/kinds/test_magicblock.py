"""MagicBlock's validator as a separate chain: one command starts it, sets it up, logs it and stops it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tomllib
from pathlib import Path

import pytest
from localnet.kinds.validators import CACHE
from localnet.test_rig import gone
from solders.keypair import Keypair

from awm_crank.errors import AwmError, ConfigError
from awm_crank.launch import own_command
from awm_crank.localnet.kinds import magicblock
from awm_crank.localnet.kinds.plan import LocalnetPlan
from awm_crank.localnet.rig import LocalnetProcess
from awm_crank.wire import bolt, ids


def test_configuration(tmp_path: Path) -> None:
    """The configuration is valid TOML with the ports, the slot, the scratch folder and all programs."""
    text = magicblock.configuration(LocalnetPlan(folder=tmp_path, cache=tmp_path, slot_ms=50), 5000, 5005)
    settings = tomllib.loads(text)
    assert settings["rpc"]["port"] == 5000
    assert settings["validator"]["millis_per_slot"] == 50
    assert settings["ledger"] == {"reset": True, "path": str(tmp_path / "ledger")}
    assert {row["id"] for row in settings["program"]} == {str(key) for key in ids.PROGRAMS.values()}


def test_life(tmp_path: Path) -> None:
    """Programs, registry and a funded key exist, ledger and log are in the folder, and the end stops everything."""
    folder, key_file = tmp_path / "net", tmp_path / "id.json"
    words = ("--cache", str(CACHE), "--folder", str(folder), "--keypair", str(key_file))
    with LocalnetProcess("magicblock", *words) as net, LocalnetProcess("magicblock", "--cache", str(CACHE)) as other:
        assert net.http != other.http
        assert (net.base_http, net.base_ws) == (net.http, net.ws)
        for program in ids.PROGRAMS.values():
            account = net.call("getAccountInfo", str(program), {"encoding": "base64"})["value"]
            assert account["executable"], program
        registry = net.call("getAccountInfo", str(bolt.registry_pda()), {"encoding": "base64"})["value"]
        assert registry["owner"] == str(ids.WORLD)
        key = Keypair.from_json(key_file.read_text()).pubkey()
        assert net.call("getBalance", str(key))["value"] == 1000 * 10**9
        assert net.call("getBalance", str(net.faucet.pubkey()))["value"] == 1000 * 10**9
        pids = [*net.validators, *other.validators]
        assert len(set(pids)) == 2
        assert (folder / "magicblock.log").exists()
        assert (folder / "ledger").is_dir()
    assert all(gone(pid) for pid in pids)


def test_killed_command_leaves_nothing() -> None:
    """SIGKILL of the command ends the validator too."""
    with LocalnetProcess("magicblock", "--cache", str(CACHE), "--bare") as net:
        os.kill(net.pid, signal.SIGKILL)
        assert gone(net.validators[0])


def test_validator_that_ends() -> None:
    """A validator that dies ends the command with an error that names it."""
    command = own_command("awm_crank", "localnet", "--kind", "magicblock", "--bare", "--port", "0")
    with subprocess.Popen(
        [*command, "--cache", str(CACHE)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        os.kill(ready["validators"][0], signal.SIGKILL)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "MagicBlock's validator 0.1.7 ended by itself (it ended with status -9)" in errors


def test_what_it_cannot(tmp_path: Path) -> None:
    """Options to load accounts, or for a base chain, are refused."""
    with pytest.raises(ConfigError, match=r"--account does not go with --kind magicblock"):
        magicblock.start(LocalnetPlan(folder=tmp_path, cache=CACHE, accounts=[tmp_path]))
    with pytest.raises(ConfigError, match=r"--base"):
        magicblock.start(LocalnetPlan(folder=tmp_path, cache=CACHE, base="solana"))


def test_failed_start(tmp_path: Path) -> None:
    """The error of a failed start contains what the validator printed last."""
    broken = tmp_path / "broken"
    broken.write_bytes(b"no ELF file")
    broken.chmod(0o755)
    with pytest.raises(AwmError, match=r"MagicBlock's validator 0.1.7 (did not answer|cannot be started)"):
        LocalnetProcess("magicblock", "--cache", str(CACHE), "--validator", str(broken)).start()
