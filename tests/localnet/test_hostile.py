"""Whatever a request holds, every method returns a result or a client's error, never an internal error."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localnet.kit import SOL, Listener, Node
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank.localnet import base58, tokens
from awm_crank.localnet.jsonrpc import MAX_ANSWER_BYTES, respond

NODE = Node(history=50)
TARGET = Keypair().pubkey()
SIGNATURE = NODE.send(NODE.pay(TARGET))["result"]
RAW = bytes(NODE.pay(TARGET, 2 * SOL))
INTERNAL = -32603
LISTENER = Listener()
SUBSCRIBE = NODE.topics.methods(LISTENER)
METHODS = {**NODE.methods.table, **SUBSCRIBE}
NAMES = (
    "encoding", "commitment", "minContextSlot", "dataSlice", "offset", "length", "filters", "memcmp", "dataSize",
    "bytes",
    "withContext", "limit", "before", "until", "transactionDetails", "rewards", "maxSupportedTransactionVersion",
    "skipPreflight", "sigVerify", "replaceRecentBlockhash", "innerInstructions", "accounts", "addresses", "mint",
    "programId", "identity", "epoch", "filter", "mentions", "enableReceivedNotification", "range", "firstSlot",
)  # fmt: skip

words = st.sampled_from([
    str(TARGET), str(NODE.payer.pubkey()), str(tokens.TOKEN), str(Pubkey.default()), SIGNATURE, "1" * 88, "",
    "base58", "base64", "base64+zstd", "jsonParsed", "json", "binary", "processed", "finalized", "all", "full", "none",
    "signatures", base64.b64encode(RAW).decode(), base58.encode(RAW).decode(),
])  # fmt: skip
numbers = st.sampled_from([0, 1, 2, 3, -1, 64, 1000, 5000, 2**31, 2**53, 2**63, 2**64 - 1, 2**64, 10**30, 0.5, 1e300])
atoms = st.none() | st.booleans() | numbers | words | st.text(max_size=8) | st.integers()
values: st.SearchStrategy[Any] = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=8,
)


def ask(method: str, params: object) -> Any:
    """The answer to a request, from the endpoint that has the method."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    answer = respond(body, METHODS)
    NODE.topics.settle()
    NODE.topics.flush()
    LISTENER.sent.clear()
    assert answer is not None
    return json.loads(answer)


@pytest.mark.parametrize("method", sorted(METHODS))
@given(params=st.lists(values, max_size=4) | values)
def test_any_params(method: str, params: object) -> None:
    """Any params give a result, or an error that says what is wrong with the request."""
    answer = ask(method, params)
    assert ("result" in answer) != ("error" in answer)
    if "error" in answer:
        assert answer["error"]["code"] != INTERNAL, answer
        assert answer["error"]["message"]
    NODE.topics.close(LISTENER)


@given(
    st.sampled_from(["sendTransaction", "simulateTransaction", "getFeeForMessage"]),
    st.lists(st.tuples(st.integers(0, len(RAW) - 1), st.integers(0, 255)), max_size=5),
    st.integers(0, len(RAW)),
    st.booleans(),
)
def test_damaged_transactions(method: str, changes: list[tuple[int, int]], size: int, whole: bool) -> None:
    """A transaction with changed or missing bytes is run, refused or reported as wrong."""
    raw = bytearray(RAW[65:] if method == "getFeeForMessage" else RAW)
    for place, byte in changes:
        if place < len(raw):
            raw[place] = byte
    encoded = base64.b64encode(bytes(raw if whole else raw[:size])).decode()
    settings = {
        "encoding": "base64",
        "innerInstructions": True,
        "accounts": {"encoding": "jsonParsed", "addresses": []},
    }
    answer = ask(method, [encoded, settings])
    assert answer.get("error", {}).get("code") != INTERNAL, answer


@given(st.binary(max_size=400), st.sampled_from([*tokens.PROGRAMS, Pubkey.default()]), st.integers(0, 400))
def test_any_account(data: bytes, owner: Pubkey, size: int) -> None:
    """Whatever a program has written, every way to ask for its accounts has an answer."""
    address = Pubkey.from_bytes(b"\5" * 32)
    NODE.bank.svm.set_account(address, Account(1, (data + bytes(400))[:size], owner))
    parsed = {"encoding": "jsonParsed"}
    for method, *params in (
        ("getAccountInfo", str(address), parsed),
        ("getProgramAccounts", str(owner), parsed),
        ("getTokenAccountBalance", str(address)),
        ("getTokenSupply", str(address)),
        ("getTokenLargestAccounts", str(address)),
        ("getTokenAccountsByOwner", str(Pubkey.default()), {"mint": str(address)}, parsed),
        ("getTokenAccountsByDelegate", str(Pubkey.default()), {"programId": str(tokens.TOKEN)}, parsed),
    ):
        answer = ask(str(method), params)
        assert answer.get("error", {}).get("code") != INTERNAL, answer


def test_small_requests_cannot_fill_the_memory() -> None:
    """Many large answers in one batch, and one answer with many large accounts, end at a limit; the rest is refused."""
    wanted = [{"jsonrpc": "2.0", "id": number, "method": "getLeaderSchedule"} for number in range(100)]
    answer = respond(json.dumps(wanted).encode(), METHODS)
    assert answer is not None
    assert len(answer) < 1.1 * MAX_ANSWER_BYTES
    answers = json.loads(answer)
    assert len(answers) == 100
    assert "result" in answers[0]
    assert "too large" in answers[99]["error"]["message"]
    big = Keypair().pubkey()
    NODE.bank.svm.set_account(big, Account(1, bytes(5_000_000), Pubkey.new_unique()))
    refused = ask("getMultipleAccounts", [[str(big)] * 100, {"encoding": "base64"}])
    assert "too large" in refused["error"]["message"]
    assert "result" in ask("getMultipleAccounts", [[str(big)] * 5, {"encoding": "base64"}])
