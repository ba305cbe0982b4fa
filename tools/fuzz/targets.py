"""The list of decoders to fuzz, each with valid sample inputs and the errors that it may raise."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import seeds as files
from msgspec import structs
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank.config import parse as parse_config
from awm_crank.daemon import journal
from awm_crank.endpoint import Endpoint
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.offline import files as checkpoint_files
from awm_crank.engine.policy import PolicyCartridge
from awm_crank.errors import AwmError
from awm_crank.localnet.bank import Bank
from awm_crank.localnet.http1 import HttpError, RequestParser
from awm_crank.localnet.jsonrpc import respond
from awm_crank.localnet.methods import Methods
from awm_crank.localnet.pubsub import Topics
from awm_crank.match import file as match_file
from awm_crank.match.policy import Policy
from awm_crank.net.http import Pool, _Connection
from awm_crank.net.pubsub import PubSub
from awm_crank.wire import accounts, ids, jsonrpc

ROOT = files.ROOT
KEY = str(ids.SESSION_STATE)


class Target(NamedTuple):
    """One decoder. `read` returns, or raises one of `may_raise`; anything else is a finding."""

    name: str
    read: Callable[[bytes], object]
    seeds: list[bytes]
    modules: tuple[str, ...]
    """Files whose lines the coverage counts, relative to the package."""
    may_raise: tuple[type[BaseException], ...] = (AwmError,)
    repair: Callable[[bytes], bytes] | None = None
    """Makes a changed input's checksum right again, so that what lies behind the check is reached."""
    share: float = 1.0
    """The part of the asked number of inputs that it gets: less than 1 where each of them takes long."""


def targets() -> list[Target]:
    """All of them."""
    return [
        Target("rpc answers", _rpc, _answers(), ("wire/jsonrpc.py",)),
        Target("pubsub messages", _pubsub(), _messages(), ("wire/notifications.py", "net/pubsub.py")),
        Target("http answers", _http, _http_seeds(), ("net/http.py",), (AwmError, OSError)),
        Target("accounts", _accounts, _account_seeds(), ("wire/accounts.py", "wire/layouts.py")),
        Target("frame records", files.read_record, files.records(), ("wire/codec.py",)),
        Target("cartridge", Cartridge.parse, [(ROOT / "tests/golden/seeded.awm").read_bytes()],
               ("engine/cartridge.py", "engine/bounds.py"), repair=files.hashed),
        Target("match file", match_file.parse, files.match_files(), ("match/file.py",)),
        Target("journal", journal.decode, files.journals(), ("daemon/journal.py",), repair=files.sealed),
        Target("policy file", Policy.read, files.policies(), ("match/arrays.py", "match/policy.py")),
        Target("policy cartridge", PolicyCartridge.parse, files.policy_cartridges(), ("engine/policy.py",),
               repair=files.digested),
        Target("checkpoint (.pt)", checkpoint_files.read, files.checkpoints(), ("engine/offline/files.py",)),
        Target("replay (.slp)", files.read_replay, files.replays(), ("cli/replay.py", "match/replay.py"), share=0.1),
        Target("localnet methods", _localnet(), _requests(), ("localnet/schema.py", "localnet/serde.py",
               "localnet/params.py", "localnet/views.py", "localnet/jsonrpc.py")),
        Target("localnet http", _localnet_http, _http_requests(), ("localnet/http1.py",), (HttpError,)),
        Target("configuration", lambda data: parse_config(data.decode("utf-8", "replace")), _configs(),
               ("config/load.py", "config/schema.py")),
        Target("endpoint", lambda data: Endpoint.parse(data.decode("utf-8", "replace")),
               [b"https://user:pass@rpc.example:8899/v2/key?api-key=abcdef", b"http://[::1]:80"], ("endpoint.py",)),
    ]  # fmt: skip


def _text(value: Any) -> bytes:
    return json.dumps(value).encode()


# -- what endpoints send ----------------------------------------------------------------------------------------------


def _account(data: bytes = bytes(range(64))) -> dict[str, Any]:
    text = base64.b64encode(data).decode()
    return {"data": [text, "base64"], "executable": False, "lamports": 7, "owner": KEY, "rentEpoch": 0, "space": 64}


def _answers() -> list[bytes]:
    def result(value: Any) -> bytes:
        return _text({"jsonrpc": "2.0", "id": 1, "result": value})

    slot = {"slot": 9}
    refusal = {
        "code": -32002,
        "message": "failed",
        "data": {"err": {"InstructionError": [1, {"Custom": 6030}]}, "logs": ["a"]},
    }
    return [
        result({"context": slot, "value": _account()}),
        result({"context": slot, "value": [_account(), None]}),
        result({"context": slot, "value": [{"pubkey": KEY, "account": _account()}]}),
        result({"context": slot, "value": {"blockhash": KEY, "lastValidBlockHeight": 5}}),
        result({"context": slot, "value": 7}),
        result(5),
        result("signature"),
        _text({"jsonrpc": "2.0", "id": 1, "error": refusal}),
        _text([{"jsonrpc": "2.0", "id": 1, "result": "a"}, {"jsonrpc": "2.0", "id": 2, "error": refusal}]),
    ]  # fmt: skip


_REQUESTS: tuple[jsonrpc.Request[Any], ...] = (
    jsonrpc.get_account_info(ids.WORLD), jsonrpc.get_multiple_accounts([ids.WORLD] * 2),
    jsonrpc.get_program_accounts(ids.WORLD), jsonrpc.get_latest_blockhash(), jsonrpc.get_balance(ids.WORLD),
    jsonrpc.get_slot(), jsonrpc.Request("sendTransaction", [], str),
)  # fmt: skip


def _rpc(data: bytes) -> None:
    if data.lstrip()[:1] == b"[":
        for reply in jsonrpc.decode_batch(data):
            jsonrpc.result(reply, str)
    refused: AwmError | None = None
    for request in _REQUESTS:
        try:
            request.read(data, 1)
            refused = None
            break
        except AwmError as error:
            refused = error
    if refused is not None:
        raise refused


def _messages() -> list[bytes]:
    def note(method: str, subscription: int, result: Any) -> bytes:
        return _text({"jsonrpc": "2.0", "method": method, "params": {"subscription": subscription, "result": result}})

    slot = {"slot": 9}
    return [
        note("accountNotification", 21, {"context": slot, "value": _account()}),
        note("programNotification", 22, {"context": slot, "value": {"pubkey": KEY, "account": _account()}}),
        note("slotNotification", 20, {"parent": 1, "root": 0, "slot": 2}),
        note("signatureNotification", 23, {"context": slot, "value": {"err": None}}),
        note("logsNotification", 24, {"context": slot, "value": {"logs": ["a"]}}),
        _text({"jsonrpc": "2.0", "id": 2, "result": 25}),
        _text({"jsonrpc": "2.0", "id": 3, "error": {"code": -32005, "message": "busy"}}),
    ]


def _pubsub() -> Callable[[bytes], None]:
    client = PubSub("ws://127.0.0.1:9", lambda _: None)
    client.account(KEY)
    client.program(KEY)
    client.subscribe("signature", ["s"])
    client.subscribe("logs", [])
    client._book.connected(0.0)
    for request in range(1, 6):
        client.feed(b'{"id":%d,"result":%d}' % (request, 19 + request))
    return client.feed


def _http_seeds() -> list[bytes]:
    return [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nbody",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ]


class _NoTransport:
    def write(self, data: bytes) -> None:
        pass

    def abort(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False


class _Waiter:
    """A future without a loop."""

    def __init__(self) -> None:
        self.outcome: Any = None

    def done(self) -> bool:
        return self.outcome is not None

    def set_result(self, value: Any) -> None:
        self.outcome = value

    def set_exception(self, error: BaseException) -> None:
        self.outcome = error


def _http(data: bytes) -> None:
    pool = Pool(Endpoint.parse("http://127.0.0.1:9"), 1)
    connection = _Connection(pool)
    connection._transport = _NoTransport()  # type: ignore[assignment]
    waiter = connection._waiter = _Waiter()  # type: ignore[assignment]
    for at in range(0, len(data), 97):
        connection.data_received(data[at : at + 97])
    connection.connection_lost(None)
    assert pool.held == 0, "bytes of an answer that is over are still counted"
    assert waiter.done()
    if isinstance(waiter.outcome, BaseException):
        raise waiter.outcome


# -- what is on chain, and files --------------------------------------------------------------------------------------

_KINDS = [
    kind
    for kind in vars(accounts).values()
    if isinstance(kind, type) and hasattr(kind, "LAYOUT") and hasattr(kind, "decode")
]


def _account_seeds() -> list[bytes]:
    found = []
    for kind in _KINDS:
        layout = kind.LAYOUT
        found.append(layout.discriminator + bytes(max(0, layout.size - len(layout.discriminator))))
    # a checkpoint of a world with 6 bytes a player of extra feedback
    blank = accounts.Checkpoint.decode(found[_KINDS.index(accounts.Checkpoint)])
    return [*found, structs.replace(blank, finalized=True, data_size=32, state=bytes(32 + 12)).encode()]


def _accounts(data: bytes) -> None:
    refused: AwmError | None = None
    for kind in _KINDS:
        if data[:8] == kind.LAYOUT.discriminator:
            try:
                kind.decode(data)
            except AwmError as error:
                refused = error
    if refused is not None:
        raise refused


def _configs() -> list[bytes]:
    return [
        b'[chain]\nbase_http = "http://127.0.0.1:8899"\nrollup_ws = "ws://h:1"\n[crank]\nkeypair = "k.json"\n',
        b'[view]\nenabled = true\nnames = ["a"]\n[mqtt]\nurl = "mqtt://broker:1883"\n[log]\nlevel = "debug"\n',
    ]


# -- what clients send to the localnet --------------------------------------------------------------------------------


def _localnet() -> Callable[[bytes], None]:
    bank = Bank(slot_ms=10.0, now=1_700_000_000.0, genesis=b"\7" * 32, history=64)
    methods = Methods(bank, Topics(bank), identity=Keypair.from_seed(bytes(32)), faucet=Keypair.from_seed(b"\1" * 32))
    bank.advance(2)

    def read(data: bytes) -> None:
        answer = respond(data, methods.table)
        if answer is None:
            return
        found = json.loads(answer)
        for each in found if isinstance(found, list) else [found]:
            error = each.get("error")
            assert error is None or error["code"] != -32603, f"internal error: {error}"

    return read


def _requests() -> list[bytes]:
    key, config = str(Pubkey.default()), {"encoding": "base64", "commitment": "processed"}
    filters = [{"dataSize": 5}, {"memcmp": {"offset": 8, "bytes": "YWJj", "encoding": "base64"}}]
    calls: list[tuple[str, list[Any]]] = [
        ("getAccountInfo", [key, {**config, "dataSlice": {"offset": 0, "length": 8}}]),
        ("getMultipleAccounts", [[key, key], config]),
        ("getProgramAccounts", [key, {**config, "filters": filters, "withContext": True}]),
        ("getBalance", [key]), ("getSlot", [config]), ("getBlock", [1, {"encoding": "json"}]), ("getBlocks", [0, 2]),
        ("getLatestBlockhash", [config]), ("isBlockhashValid", [key]), ("getEpochInfo", []),
        ("getSignatureStatuses", [["1" * 64]]), ("getSignaturesForAddress", [key, {"limit": 5}]),
        ("getTransaction", ["1" * 64, {"encoding": "json"}]), ("sendTransaction", ["AQAB", {"encoding": "base64"}]),
        ("simulateTransaction", ["AQAB", {"encoding": "base64", "sigVerify": False}]), ("requestAirdrop", [key, 5]),
        ("getFeeForMessage", ["AQAB"]), ("getMinimumBalanceForRentExemption", [100]), ("getBlocksWithLimit", [0, 5]),
    ]  # fmt: skip
    single = [_text({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) for method, params in calls]
    return [*single, b"[" + b",".join(single[:3]) + b"]"]


def _http_requests() -> list[bytes]:
    return [
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n",
    ]


def _localnet_http(data: bytes) -> None:
    parser = RequestParser()
    for at in range(0, len(data), 61):
        parser.feed(data[at : at + 61])
        while parser.next() is not None:
            pass
