"""Funds keys and makes World's registry over RPC, on validators that are not embedded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ...errors import RpcError, SetupError
from ...wire import bolt
from ...wire.transaction import Signer, sign_once
from .. import rpc
from .plan import LocalnetPlan, Running
from .process import Validator

LANDING_S = 30.0
_ONE_TRY_S = 3.0
_PROCESSED = {"commitment": "processed"}


def one_chain(plan: LocalnetPlan, port: int, start: Callable[[], Validator]) -> Running:
    """Starts a localnet of one validator; returns once its registry and funded keys exist.

    Args:
        plan: how to start the localnet. With `bare`, no registry is made.
        port: the validator's RPC port.
        start: starts the validator.

    Raises:
        RpcError, SetupError: the localnet does not start. No process of it is left running.
    """
    running = Running()
    running.at(port)
    try:
        validator = start()
        running.add(validator)
        validator.wait_healthy(running.http)
        if not plan.bare:
            initialize_registry(running.http)
        fund_all(running.http, plan.fund)
    except BaseException:
        running.stop()
        raise
    return running


def fund(http: str, key: Pubkey, lamports: int) -> None:
    """Airdrops to a key and waits until it is there. Raises RpcError, SetupError."""
    before = _lamports(http, key)
    rpc.call(http, "requestAirdrop", str(key), lamports)
    _until(lambda: _lamports(http, key) >= before + lamports, f"airdrop to {key}")


def initialize_registry(http: str) -> None:
    """Has World make its registry, unless it exists. Raises RpcError, SetupError."""
    registry = str(bolt.registry_pda())
    if _account(http, registry):
        return
    payer = Keypair()
    fund(http, payer.pubkey(), 1_000_000_000)
    instruction = bolt.initialize_registry(payer.pubkey())
    # The first tries can be too early, since a program can be called only some slots after its deployment. 0.1.7 may
    # also accept a transaction and then fail it, because its sysvars are missing for a moment.
    deadline = time.monotonic() + LANDING_S
    while not _account(http, registry):
        blockhash = bytes(Hash.from_string(rpc.call(http, "getLatestBlockhash", _PROCESSED)["value"]["blockhash"]))
        signed = sign_once([instruction], payer.pubkey(), [Signer(bytes(payer))], blockhash)
        try:
            options = {"encoding": "base64", "preflightCommitment": "processed"}
            rpc.call(http, "sendTransaction", signed.base64().decode(), options)
            _until(lambda: _account(http, registry), "World's registry", min(_ONE_TRY_S, LANDING_S))
        except (RpcError, SetupError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _lamports(http: str, key: Pubkey) -> int:
    return int(rpc.call(http, "getBalance", str(key), _PROCESSED)["value"])


def _account(http: str, key: str) -> Any:
    return rpc.call(http, "getAccountInfo", key, {**_PROCESSED, "encoding": "base64"})["value"]


def _until(condition: Any, what: str, patience_s: float | None = None) -> None:
    patience_s = LANDING_S if patience_s is None else patience_s
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise SetupError(f"{what} did not land in {patience_s:.0f} s", recoverable=True)
        time.sleep(0.02)


def fund_all(http: str, wanted: Sequence[tuple[Pubkey, int]]) -> None:
    """Airdrops to several keys. Raises RpcError, SetupError."""
    for key, lamports in wanted:
        fund(http, key, lamports)
