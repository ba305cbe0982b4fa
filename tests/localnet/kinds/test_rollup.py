"""One command starts a rollup on a base chain, lets it clone, and stops both."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path

import pytest
from localnet.kinds.validators import CACHE, SOLANA
from localnet.test_rig import gone
from solders.keypair import Keypair

from awm_crank.cli import main
from awm_crank.errors import ConfigError
from awm_crank.localnet import rpc
from awm_crank.localnet.kinds import rollup
from awm_crank.localnet.kinds.plan import LocalnetPlan
from awm_crank.localnet.rig import EmbeddedLocalnet, LocalnetProcess
from awm_crank.wire import bolt, ids

OPTIONS = {"encoding": "base64", "commitment": "processed"}


def test_configuration(tmp_path: Path) -> None:
    """The configuration is valid TOML with both addresses of the base chain, the rollup's ports, and its scratch
    folder.
    """
    plan = LocalnetPlan(folder=tmp_path, cache=tmp_path)
    settings = tomllib.loads(rollup.configuration(plan, "http://b:1", "ws://b:2", 5000, 5005))
    assert settings["lifecycle"] == "ephemeral"
    assert settings["remotes"] == ["http://b:1", "ws://b:2"]
    assert settings["aperture"]["listen"] == "127.0.0.1:5000"
    assert settings["storage"] == str(tmp_path / "storage")
    assert settings["ledger"] == {"block-time": "10ms", "reset": True}
    assert settings["accountsdb"] == {"snapshot-frequency": 30_000}
    slower = LocalnetPlan(folder=tmp_path, cache=tmp_path, slot_ms=50.0)
    settings = tomllib.loads(rollup.configuration(slower, "http://b:1", "ws://b:2", 5000, 5005))
    assert settings["accountsdb"] == {"snapshot-frequency": 6_000}


@pytest.mark.parametrize(
    ("http", "ws", "host"),
    [("http://127.0.0.1:1", "ws://127.0.0.1:2", "localhost"), ("http://base:1", "ws://base:2", "base")],
)
def test_its_own_screen(http: str, ws: str, host: str) -> None:
    """Only the base chain is exempt from the proxy, which does not exist and so stops the rollup's own requests."""
    to_http, to_ws, environment = rollup.without_own_requests(http, ws)
    assert (to_http, to_ws) == (f"http://{host}:1", f"ws://{host}:2")
    assert environment["NO_PROXY"] == environment["no_proxy"] == host
    assert environment["HTTP_PROXY"] == environment["http_proxy"] == "http://127.0.0.1:9"


@pytest.mark.parametrize("base", ["embedded", "solana"])
def test_life(base: str, tmp_path: Path) -> None:
    """The rollup clones programs and accounts of its base chain, also those that delegation needs.

    When the localnet ends, both chains stop.
    """
    words = ["--cache", str(CACHE), "--base", base, "--folder", str(tmp_path)]
    if base == "solana":
        words += ["--base-validator", str(SOLANA)]
    with LocalnetProcess("rollup", *words) as net:
        assert net.http != net.base_http
        assert net.call("getVersion")["magicblock-core"] == "0.8.3"
        for key in (ids.WORLD, ids.RUN_INFERENCE, bolt.registry_pda()):
            there = rpc.call(net.base_http, "getAccountInfo", str(key), OPTIONS)["value"]
            deadline = time.monotonic() + 10
            while (here := net.call("getAccountInfo", str(key), OPTIONS)["value"]) is None:
                assert time.monotonic() < deadline, key
            assert here["executable"] == there["executable"]
            if not here["executable"]:
                assert here["data"] == there["data"]
        assert rpc.call(net.base_http, "getAccountInfo", str(ids.DELEGATION), OPTIONS)["value"]["executable"]
        pids = net.validators
        assert (tmp_path / "rollup.log").exists()
    assert all(gone(pid) for pid in pids)


def test_base_of_another_process(tmp_path: Path) -> None:
    """A base chain that runs already, at another address, is cloned from, used for funding, and left running."""
    pair = Keypair()
    with EmbeddedLocalnet("--for-rollup", "--cache", str(CACHE)) as base:
        words = [
            "--cache", str(CACHE), "--base", base.http, "--host", "127.0.0.9", "--fund", f"{pair.pubkey()}=3",
            "--folder", str(tmp_path),
        ]  # fmt: skip
        with LocalnetProcess("rollup", *words) as net:
            assert net.http.startswith("http://127.0.0.9:")
            assert (net.base_http, net.base_ws) == (base.http, base.ws)
            deadline = time.monotonic() + 10
            while net.call("getAccountInfo", str(ids.WORLD), OPTIONS)["value"] is None:
                assert time.monotonic() < deadline
        assert base.call("getBalance", str(pair.pubkey()))["value"] == 3_000_000_000
        assert base.call("getAccountInfo", str(ids.DELEGATION), OPTIONS)["value"]["executable"]


@pytest.mark.parametrize("base", ["solna", "http://no-port", "ws://a:1"])
def test_no_base(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An address that is not a base chain is refused."""
    assert main(["localnet", "--kind", "rollup", "--base", base]) == 2
    assert "--base" in capsys.readouterr().err


def test_what_it_cannot(tmp_path: Path) -> None:
    """It cannot resume its storage, because its base chain is new at each start."""
    with pytest.raises(ConfigError, match=r"--resume does not go with --kind rollup"):
        rollup.start(LocalnetPlan(folder=tmp_path, cache=CACHE, resume=True))
