"""The client's cold path: what endpoints can do wrong, and which error results."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from client.localnet import Arena
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank.client import rollup
from awm_crank.client.chain import Chain
from awm_crank.errors import AccountError, AwmError, ProgramError, RpcError
from awm_crank.localnet.base58 import encode
from awm_crank.wire import bolt
from awm_crank.wire.transaction import compute_unit_limit


class Endpoint:
    """An endpoint that answers each method with the test's answer."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, Any]] = []
        self.url = ""

    async def post(self, request: web.Request) -> web.Response:
        call = await request.json()
        self.asked.append((call["method"], call.get("params")))
        answer = self.answers.get(call["method"], {"result": None})
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, web.Response):
            return answer
        return web.json_response({"jsonrpc": "2.0", "id": call["id"], **answer})


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """An endpoint on a port that the system chooses."""
    made = Endpoint()
    app = web.Application()
    app.router.add_post("/", made.post)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    made.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
    yield made
    await runner.cleanup()


@pytest.mark.parametrize("code", [-32002, -32005, -32016, -32000, -32429])
@pytest.mark.parametrize("data", [None, {"err": {"odd": ["form"]}}, "text"])
async def test_codes_that_make_parsers_panic(endpoint: Endpoint, code: int, data: Any) -> None:
    """Every error code, with or without data, becomes an RpcError with both, and never a panic."""
    endpoint.answers["getBalance"] = {"error": {"code": code, "message": "no", "data": data}}
    async with Chain(endpoint.url, patience_s=0) as chain:
        with pytest.raises(RpcError) as caught:
            await chain.balance(Keypair().pubkey())
    assert (caught.value.what, caught.value.code, caught.value.data) == ("getBalance: no", code, data)


@pytest.mark.parametrize("body", ["", "<html>", "[]", '{"jsonrpc":"2.0","id":1}'])
async def test_no_json_rpc(endpoint: Endpoint, body: str) -> None:
    """An answer that is not JSON-RPC is reported as that."""
    endpoint.answers["getBalance"] = web.Response(text=body)
    async with Chain(endpoint.url, patience_s=0) as chain:
        with pytest.raises(RpcError, match="gave no JSON-RPC answer to getBalance"):
            await chain.balance(Keypair().pubkey())


async def test_unreachable() -> None:
    """An unreachable endpoint is named, and the error says that a retry may help."""
    async with Chain("http://127.0.0.1:9", patience_s=0) as chain:
        with pytest.raises(RpcError, match=r"cannot reach http://127\.0\.0\.1:9") as caught:
            await chain.balance(Keypair().pubkey())
    assert caught.value.recoverable


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
async def test_http_status(endpoint: Endpoint, status: int) -> None:
    """An HTTP error is an RpcError with its status, and only statuses that may pass are retried."""
    endpoint.answers["getBalance"] = [web.Response(status=status), {"result": {"value": 7}}]
    key = Keypair().pubkey()
    async with Chain(endpoint.url) as chain:
        if status >= 429:
            assert await chain.balance(key) == 7
        else:
            with pytest.raises(RpcError, match=f"answered HTTP {status}") as caught:
                await chain.balance(key)
            assert (caught.value.code, caught.value.recoverable) == (status, False)


async def test_retry_after(endpoint: Endpoint) -> None:
    """The client waits for Retry-After, unless that exceeds its patience."""
    began = time.monotonic()
    answers = [web.Response(status=429, headers={"Retry-After": wait}) for wait in ("1", "30")]
    endpoint.answers["getBalance"] = [*answers, {"result": {"value": 7}}]
    async with Chain(endpoint.url, patience_s=20) as chain:
        with pytest.raises(RpcError, match="answered HTTP 429"):
            await chain.balance(Keypair().pubkey())
    assert 1 <= time.monotonic() - began < 10
    assert len(endpoint.asked) == 2


def sending(endpoint: Endpoint, *statuses: Any) -> None:
    """Makes the endpoint accept transactions and return these statuses, one for each request."""
    blockhash = {"blockhash": str(Keypair().pubkey()), "lastValidBlockHeight": 100}
    endpoint.answers |= {
        "getLatestBlockhash": {"result": {"context": {"slot": 1}, "value": blockhash}},
        "sendTransaction": {"result": "signature"},
        "getSignatureStatuses": [{"result": {"value": [status]}} for status in statuses],
        "getBlockHeight": {"result": 101},
    }


async def test_waits_for_the_commitment(endpoint: Endpoint) -> None:
    """A transaction counts once it has reached the client's commitment, and not earlier."""
    sending(
        endpoint, None, {"err": None, "confirmationStatus": "processed"},
        {"err": None, "confirmationStatus": "confirmed"},
    )  # fmt: skip
    async with Chain(endpoint.url) as chain:
        assert len(await chain.send([compute_unit_limit(1000)], Keypair())) > 80
    assert [method for method, _ in endpoint.asked].count("getSignatureStatuses") == 3


async def test_expired(endpoint: Endpoint) -> None:
    """A transaction whose blockhash expires before it lands is signed again, three times; then it fails."""
    sending(endpoint, None)
    async with Chain(endpoint.url, patience_s=0) as chain:
        with pytest.raises(RpcError, match="did not land before its blockhash expired") as caught:
            await chain.send([compute_unit_limit(1000)], Keypair())
    assert caught.value.recoverable
    methods = [method for method, _ in endpoint.asked]
    assert methods.count("getLatestBlockhash") == 3
    # the status is read once more after each expiry, before the transaction is signed again
    assert "getSignatureStatuses" in methods[len(methods) - methods[::-1].index("getBlockHeight") :]


async def test_failed_after_landing(endpoint: Endpoint) -> None:
    """A transaction that landed and failed raises ProgramError with the code."""
    sending(endpoint, {"err": {"InstructionError": [0, {"Custom": 6024}]}, "confirmationStatus": "processed"})
    async with Chain(endpoint.url) as chain:
        with pytest.raises(ProgramError, match="NotActive") as caught:
            await chain.send([compute_unit_limit(1000)], Keypair())
    assert caught.value.code == 6024


async def test_sysvar_that_is_away(endpoint: Endpoint) -> None:
    """A passing refusal is retried with a fresh blockhash and raised if it stays;
    any other refusal is raised at once.
    """
    away = {"err": {"InstructionError": [1, "UnsupportedSysvar"]}, "confirmationStatus": "processed"}
    landed = {"err": None, "confirmationStatus": "confirmed"}
    sending(endpoint, away, away, landed)
    async with Chain(endpoint.url, patience_s=0.2) as chain:
        assert len(await chain.send([compute_unit_limit(1000)], Keypair())) > 80
        assert [method for method, _ in endpoint.asked].count("getLatestBlockhash") == 3
        for status, tries in ((away, 3), ({**away, "err": {"InstructionError": [1, "Custom"]}}, 1)):
            sending(endpoint, status)
            endpoint.asked.clear()
            with pytest.raises(ProgramError, match="instruction 1 refused"):
                await chain.send([compute_unit_limit(1000)], Keypair())
            sent = [method for method, _ in endpoint.asked].count("sendTransaction")
            assert sent >= 3 if tries == 3 else sent == 1


async def test_world_of_another_interface(endpoint: Endpoint) -> None:
    """When a refusal's logs ask for an account of BOLT's development branch, the error names that interface."""
    logs = ["Program log: AnchorError caused by account: cpi_auth. Error Code: AccountNotEnoughKeys."]
    data = {"err": {"InstructionError": [0, {"Custom": 3005}]}, "logs": logs}
    sending(endpoint)
    endpoint.answers["sendTransaction"] = {"error": {"code": -32002, "message": "no", "data": data}}
    async with Chain(endpoint.url) as chain:
        with pytest.raises(ProgramError, match=r"development branch.*expected BOLT 0\.2\.4"):
            await chain.send([compute_unit_limit(1000)], Keypair())


async def test_many_accounts_and_missing_ones(arena: Arena) -> None:
    """More than 100 accounts are read in parts and returned in the order asked for, None where none exists."""
    keys = [Keypair().pubkey() for _ in range(150)]
    keys[120] = arena.model
    async with arena.chain() as chain:
        found = await chain.accounts(keys)
        assert [n for n, account in enumerate(found) if account is not None] == [120]
        with pytest.raises(AccountError, match=f"thing {keys[0]} is not on {arena.net.http}"):
            await chain.need(keys[0], "thing")


async def test_no_lamports(arena: Arena) -> None:
    """The error says that the payer has no lamports."""
    async with arena.chain() as chain:
        with pytest.raises(RpcError, match=r"the payer has no lamports for the fee\. Try: fund it"):
            payer = Keypair()
            await chain.send([bolt.initialize_new_world(payer.pubkey(), 0)], payer)


async def test_program_accounts(arena: Arena) -> None:
    """A program's accounts are found by filter, and only the requested slice of their data is returned."""
    async with arena.chain() as chain:
        account = await chain.need(arena.model, "model")
        filters = [{"memcmp": {"offset": 0, "bytes": encode(account.data[:8])}}]
        found = await chain.program_accounts(account.owner, filters, cut=(8, 32))
    assert [(each.key, each.data) for each in found] == [(arena.model, account.data[8:40])]


_TEXT = base64.b64encode(bytes(8)).decode()
_ACCOUNT = {"data": [_TEXT, "base64"], "owner": "1" * 32, "lamports": 1}
_HASH = {"blockhash": "1" * 32, "lastValidBlockHeight": 5}
_LANDED = {"err": None, "confirmationStatus": "processed"}
SHAPES: dict[str, tuple[Any, Callable[[Chain], Awaitable[object]]]] = {
    "getMultipleAccounts": ({"value": [_ACCOUNT]}, lambda chain: chain.account(Pubkey.default())),
    "getProgramAccounts": (
        [{"pubkey": "1" * 32, "account": _ACCOUNT}], lambda chain: chain.program_accounts(Pubkey.default(), cut=(0, 1)),
    ),
    "getBalance": ({"value": 5}, lambda chain: chain.balance(Pubkey.default())),
    "getMinimumBalanceForRentExemption": (5, lambda chain: chain.rent(5)),
    "getLatestBlockhash": ({"value": _HASH}, lambda chain: chain.blockhash()),
    "simulateTransaction": ({"value": {"err": None, "logs": ["a"]}}, lambda chain: chain.simulate([], Keypair())),
    "getSignatureStatuses": ({"value": [_LANDED]}, lambda chain: chain.statuses(["s"])),
    "getTransaction": ({"meta": {"logMessages": ["a"]}}, lambda chain: chain._logs("s")),
    "getIdentity": ({"identity": "1" * 32}, rollup.identity),
}  # fmt: skip
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    1.5,
    2**64,
    10**400,
    "",
    "x",
    "\ud800",
    [],
    {},
    [None],
    [[]],
    {"a": 1},
    "A" * 9999,
)


def mutations(value: Any) -> list[Any]:
    """Every value that differs from this one in one place, or misses a member there."""
    found = list(VALUES)
    for key, old in list(value.items() if isinstance(value, dict) else enumerate(value)) if value else ():
        for new in [*VALUES, *(mutations(old) if isinstance(old, dict | list) else [])]:
            found += [{**value, key: new} if isinstance(value, dict) else [*value[:key], new, *value[key + 1 :]]]
        if isinstance(value, dict):
            found.append({name: each for name, each in value.items() if name != key})
    return found


@pytest.mark.parametrize("method", SHAPES)
async def test_every_mutation(endpoint: Endpoint, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever an endpoint gives as a result, a client's call returns or raises an AwmError."""
    right, ask = SHAPES[method]
    results: dict[str, Any] = {"getLatestBlockhash": {"value": _HASH}}

    async def call(_: Chain, asked: str, *_params: Any) -> Any:
        return results[asked]

    monkeypatch.setattr(Chain, "call", call)
    refused = 0
    async with Chain(endpoint.url, patience_s=0) as chain:
        results[method] = right
        await ask(chain)
        for changed in mutations(right if isinstance(right, dict | list) else [right]):
            results[method] = changed
            try:
                await ask(chain)
            except AwmError as error:
                refused += 1
                assert len(str(error)) < 2000
    assert refused > 5 or method == "getTransaction"
