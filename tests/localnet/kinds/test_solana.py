"""solana-test-validator is found, started, set up with accounts and programs, and stopped."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from localnet.kinds.validators import SOLANA
from localnet.test_rig import gone
from solders.keypair import Keypair

from awm_crank.errors import SetupError
from awm_crank.localnet.kinds import solana
from awm_crank.localnet.kinds.plan import LocalnetPlan
from awm_crank.localnet.rig import LocalnetProcess
from awm_crank.wire import bolt, ids


def account_file(path: Path) -> str:
    """A dump whose rent epoch went through a float; returns its address."""
    key = str(Keypair().pubkey())
    account = {
        "lamports": 5_000_000, "data": [base64.b64encode(b"hello").decode(), "base64"], "owner": str(ids.WORLD),
        "executable": False, "rentEpoch": 18446744073709552000, "space": 5,
    }  # fmt: skip
    path.write_text(json.dumps({"pubkey": key, "account": account}))
    return key


def test_life(tmp_path: Path) -> None:
    """Programs, registry, an additional account and a funded key exist, and the end stops the validator."""
    key = account_file(tmp_path / "a.json")
    words = ("--validator", str(SOLANA), "--slot-ms", "50", "--account", str(tmp_path / "a.json"))
    with LocalnetProcess("solana", *words) as net:
        options = {"encoding": "base64", "commitment": "processed"}
        for program in ids.PROGRAMS.values():
            assert net.call("getAccountInfo", str(program), options)["value"]["executable"], program
        assert net.call("getAccountInfo", str(bolt.registry_pda()), options)["value"]["owner"] == str(ids.WORLD)
        assert net.call("getAccountInfo", key, options)["value"]["data"][0] == base64.b64encode(b"hello").decode()
        balance = net.call("getBalance", str(net.faucet.pubkey()), {"commitment": "processed"})
        assert balance["value"] == 1000 * 10**9
        (pid,) = net.validators
    assert gone(pid)


def test_arguments(tmp_path: Path) -> None:
    """Slots are whole ticks, at least four; a ledger is reset unless it is resumed; only loopback listens."""

    def words(**settings: object) -> list[str]:
        return solana.arguments(LocalnetPlan(folder=tmp_path, cache=tmp_path, bare=True, **settings), 5000)  # type: ignore[arg-type]

    assert "--ticks-per-slot" not in words()
    for slot_ms, ticks in ((400, "64"), (50, "8"), (10, "4")):
        found = words(slot_ms=slot_ms)
        assert found[found.index("--ticks-per-slot") + 1] == ticks
    assert "--reset" in words()
    assert "--reset" not in words(resume=True)
    found = words()
    assert found[found.index("--bind-address") + 1] == "127.0.0.1"


def test_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the tool on PATH or a file that can be run, the error names both ways to provide it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match=r"solana-test-validator is no program that can be run.*PATH.*--validator"):
        solana.find(None)
    with pytest.raises(SetupError, match=r"/no/such"):
        solana.find(Path("/no/such"))
    tool = tmp_path / "solana-test-validator"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    assert solana.find(None) == tool
    assert solana.find(SOLANA) == SOLANA
