"""Funding keys and making World's registry over RPC."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from solders.keypair import Keypair

from awm_crank.errors import RpcError, SetupError
from awm_crank.localnet.genesis import shipped_files
from awm_crank.localnet.kinds import prepare
from awm_crank.localnet.rig import EmbeddedLocalnet
from awm_crank.wire import bolt, ids


@pytest.fixture(scope="module")
def net() -> Iterator[EmbeddedLocalnet]:
    """A localnet whose World has no registry."""
    world = dict(shipped_files())[ids.WORLD]
    with EmbeddedLocalnet("--bare", "--program", str(ids.WORLD), str(world)) as running:
        yield running


def test_registry(net: EmbeddedLocalnet) -> None:
    """World's own instruction makes the registry, and a second call makes nothing."""
    key = str(bolt.registry_pda())
    assert net.call("getAccountInfo", key)["value"] is None
    prepare.initialize_registry(net.http)
    made = net.call("getAccountInfo", key, {"encoding": "base64"})["value"]
    assert made["owner"] == str(ids.WORLD)
    prepare.initialize_registry(net.http)


def test_registry_that_is_refused_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that was accepted but never landed is made again."""
    call, sent = prepare.rpc.call, []

    def swallowing(http: str, method: str, *params: object) -> object:
        if method == "sendTransaction":
            sent.append(params)
            if len(sent) == 1:
                return "signature"
        return call(http, method, *params)

    monkeypatch.setattr(prepare, "_ONE_TRY_S", 0.1)
    monkeypatch.setattr(prepare.rpc, "call", swallowing)
    world = dict(shipped_files())[ids.WORLD]
    with EmbeddedLocalnet("--bare", "--program", str(ids.WORLD), str(world)) as running:
        prepare.initialize_registry(running.http)
        assert running.call("getAccountInfo", str(bolt.registry_pda()))["value"]
    assert len(sent) >= 2


def test_fund(net: EmbeddedLocalnet) -> None:
    """Each airdrop is awaited, even on a key that already has lamports."""
    key = Keypair().pubkey()
    prepare.fund_all(net.http, [(key, 10**9), (key, 2 * 10**9)])
    assert net.call("getBalance", str(key))["value"] == 3 * 10**9


def test_chain_without_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where World does not run, its refusal is raised once the patience for a starting chain is over."""
    monkeypatch.setattr(prepare, "LANDING_S", 0.3)
    with EmbeddedLocalnet("--bare") as bare, pytest.raises(RpcError, match=r"sendTransaction"):
        prepare.initialize_registry(bare.http)


def test_airdrop_that_never_lands(monkeypatch: pytest.MonkeyPatch) -> None:
    """An airdrop that never lands is given up, and the error names it."""
    monkeypatch.setattr(prepare, "LANDING_S", 0.1)
    monkeypatch.setattr(prepare.rpc, "call", lambda *_, **__: {"value": 5})
    key = Keypair().pubkey()
    with pytest.raises(SetupError, match=f"airdrop to {key} did not land"):
        prepare.fund("http://x", key, 1)
