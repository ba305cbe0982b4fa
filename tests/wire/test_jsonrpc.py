"""JSON-RPC bodies, results and notifications."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from wire.test_failures import JSON, LOGS

from awm_crank.errors import AwmError, ProgramError, RpcError
from awm_crank.wire import ids, jsonrpc, layouts, notifications
from awm_crank.wire.jsonrpc import Reply
from awm_crank.wire.notifications import AccountNotification, SlotNotification
from awm_crank.wire.transaction import Signer, sign_once

SIGNER = Signer(bytes(range(32)))
SIGNED = sign_once([Instruction(ids.WORLD, b"x", [])], SIGNER.pubkey, [SIGNER], bytes(32))
KEY = ids.SESSION_STATE
DATA = bytes(range(256))


def account(data: bytes = DATA) -> dict[str, Any]:
    text = base64.b64encode(data).decode()
    return {
        "data": [text, "base64"],
        "executable": False,
        "lamports": 7,
        "owner": str(KEY),
        "rentEpoch": 2**64 - 1,
        "space": 256,
    }


def in_context(value: object) -> dict[str, Any]:
    return {"context": {"slot": 9, "apiVersion": "3.1.12"}, "value": value}


def note(method: str, value: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": {"result": value, "subscription": 4}}).encode()


def reply(result: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 3, "result": result}).encode()


def refusal(code: object, message: object = "no", **more: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 3, "error": {"code": code, "message": message, **more}}).encode()


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("retries", [None, 0])
def test_send_transaction_is_json(skip: bool, retries: int | None) -> None:
    """The body, which is put together by hand, is a correct request."""
    body = json.loads(jsonrpc.send_transaction(12, SIGNED, skip_preflight=skip, max_retries=retries))
    config: dict[str, Any] = {"encoding": "base64", "preflightCommitment": "processed"}
    config.update({"skipPreflight": True} if skip else {}, **({} if retries is None else {"maxRetries": retries}))
    params = [base64.b64encode(SIGNED.wire).decode(), config]
    assert body == {"jsonrpc": "2.0", "id": 12, "method": "sendTransaction", "params": params}


def test_requests() -> None:
    """Each builder names its method and writes the parameters that Solana's RPC expects."""
    key, config = str(KEY), {"encoding": "base64", "commitment": "processed"}
    piece = {"dataSlice": {"offset": 1, "length": 2}}
    filters = [{"dataSize": 5}, {"memcmp": {"offset": 54, "bytes": "YWJj", "encoding": "base64"}}]
    made = [jsonrpc.data_size(5), jsonrpc.memcmp(layouts.HIDDEN_STATE.offset("writer"), b"abc")]
    expected: list[tuple[jsonrpc.Request[Any], str, list[Any]]] = [
        (jsonrpc.get_account_info(KEY), "getAccountInfo", [key, config]),
        (jsonrpc.get_account_info(KEY, data_slice=(1, 2)), "getAccountInfo", [key, {**config, **piece}]),
        (jsonrpc.get_multiple_accounts([KEY, KEY]), "getMultipleAccounts", [[key, key], config]),
        (jsonrpc.get_program_accounts(KEY, made), "getProgramAccounts",
         [key, {**config, "filters": filters, "withContext": True}]),
        (jsonrpc.get_latest_blockhash(), "getLatestBlockhash", [{"commitment": "processed"}]),
        (jsonrpc.get_latest_blockhash("finalized"), "getLatestBlockhash", [{"commitment": "finalized"}]),
        (jsonrpc.get_balance(KEY), "getBalance", [key, {"commitment": "processed"}]),
        (jsonrpc.get_slot(), "getSlot", [{"commitment": "processed"}]),
    ]  # fmt: skip
    for request, method, params in expected:
        assert json.loads(request.body(1)) == {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def test_batch_is_json() -> None:
    """A batch is the list of its bodies."""
    bodies = [jsonrpc.get_latest_blockhash().body(1), jsonrpc.get_account_info(KEY).body(2)]
    assert json.loads(jsonrpc.batch(bodies)) == [json.loads(body) for body in bodies]


@given(st.binary(max_size=300))
def test_account_data_comes_as_bytes(data: bytes) -> None:
    """An account's data, owner and lamports are read unchanged from getAccountInfo's answer."""
    result = jsonrpc.decode_result(reply(in_context(account(data))), jsonrpc.AccountResult)
    assert result.context.slot == 9
    assert result.value is not None
    assert (result.value.raw, result.value.owner_key, result.value.lamports) == (data, KEY, 7)


def test_results() -> None:
    """Results of each kind have their type, and missing accounts are None."""
    many = jsonrpc.decode_result(reply(in_context([account(), None])), jsonrpc.AccountsResult)
    assert [each and each.raw for each in many.value] == [DATA, None]
    of_program = jsonrpc.decode_result(
        reply(in_context([{"pubkey": str(KEY), "account": account()}])), jsonrpc.ProgramAccountsResult
    )
    assert of_program.value[0].key == KEY
    hashed = jsonrpc.decode_result(
        reply(in_context({"blockhash": str(KEY), "lastValidBlockHeight": 5})), jsonrpc.BlockhashResult
    )
    assert (hashed.value.raw, hashed.value.last_valid_block_height) == (bytes(KEY), 5)
    assert jsonrpc.decode_result(reply(5), int) == 5
    assert jsonrpc.decode_result(reply(in_context(None)), jsonrpc.AccountResult).value is None


def test_account_notification() -> None:
    """A notification is decoded in one pass, its data as bytes."""
    message = notifications.decode_message(note("accountNotification", in_context(account())))
    assert isinstance(message, AccountNotification)
    assert (message.params.subscription, message.params.result.context.slot) == (4, 9)
    assert message.params.result.value.raw == DATA


def test_other_notifications() -> None:
    """Program, slot and signature notifications have their types."""
    program = notifications.decode_message(
        note("programNotification", in_context({"pubkey": str(KEY), "account": account()}))
    )
    assert isinstance(program, notifications.ProgramNotification)
    assert program.params.result.value.account.raw == DATA
    slot = notifications.decode_message(note("slotNotification", {"parent": 1, "root": 0, "slot": 2}))
    assert isinstance(slot, SlotNotification)
    assert slot.params.result.slot == 2
    for value in ({"err": None}, "receivedSignature"):
        ended = notifications.decode_message(note("signatureNotification", in_context(value)))
        assert isinstance(ended, notifications.SignatureNotification)


def test_message_may_be_a_reply() -> None:
    """A response among the notifications is returned as Reply, from text and from bytes."""
    for message in (reply(23), reply(23).decode()):
        answer = notifications.decode_message(message)
        assert isinstance(answer, Reply)
        assert answer.id == 3
        assert jsonrpc.result(answer, int) == 23


@pytest.mark.parametrize("wrong", [["!!!!", "base64"], ["AAA", "base64"], ["AA A", "base64"]])
def test_malformed_base64_is_refused(wrong: list[str]) -> None:
    """Account data that is not base64 raises RpcError, rather than giving other bytes."""
    with pytest.raises(RpcError, match=r"expected base64, found .*value\.data"):
        notifications.decode_message(note("accountNotification", in_context({**account(), "data": wrong})))


@pytest.mark.parametrize("data", [["AAAA", "base58"], ["AAAA"], "AAAA", {"parsed": {}}, None])
def test_other_encodings_are_refused(data: object) -> None:
    """Data in another encoding than the one asked for is refused."""
    with pytest.raises(RpcError):
        notifications.decode_message(note("accountNotification", in_context({**account(), "data": data})))
    with pytest.raises(RpcError):
        jsonrpc.decode_result(reply(in_context({**account(), "data": data})), jsonrpc.AccountResult)


@pytest.mark.parametrize("found", [0, 1, 3])
def test_number_of_accounts(found: int) -> None:
    """getMultipleAccounts must give one account or None for each key; fewer or more raise an error."""
    request = jsonrpc.get_multiple_accounts([KEY, KEY])
    with pytest.raises(RpcError, match=f"getMultipleAccounts; expected 2 accounts, found {found}") as caught:
        request.read(reply(in_context([account()] * found)), 3)
    assert caught.value.recoverable
    assert len(request.read(reply(in_context([account(), None])), 3).value) == 2


def test_keys_that_are_none_are_refused() -> None:
    """An owner, address or blockhash that is not a base58 key raises RpcError where it is decoded."""
    with pytest.raises(RpcError, match=r"a base58 key, found '0'.*owner"):
        jsonrpc.decode_result(reply(in_context({**account(), "owner": "0"})), jsonrpc.AccountResult)
    with pytest.raises(RpcError, match=r"a base58 key, found 'x'.*blockhash"):
        jsonrpc.decode_result(reply(in_context({"blockhash": "x", "lastValidBlockHeight": 5})), jsonrpc.BlockhashResult)
    with pytest.raises(RpcError, match=r"a base58 key, found '0OIl'.*pubkey"):
        notifications.decode_message(note("programNotification", in_context({"pubkey": "0OIl", "account": account()})))


def test_answer_of_another_request() -> None:
    """Only the id decides which request an answer is for; an answer without an id must be an error."""
    assert jsonrpc.decode_result(reply(5), int, request_id=3) == 5
    for number in (4, 999, -1):
        with pytest.raises(RpcError, match=f"id of the answer; expected {number}, found 3"):
            jsonrpc.decode_result(reply(5), int, request_id=number)
    with pytest.raises(RpcError, match="id of the answer"):
        jsonrpc.decode_result(b'{"result": 5}', int, request_id=3)
    with pytest.raises(RpcError, match="Parse error"):
        jsonrpc.decode_result(b'{"id": null, "error": {"code": -32700, "message": "Parse error"}}', int, request_id=3)


SLOT = {"parent": 1, "root": 0, "slot": 2}
KEYED = {"pubkey": str(KEY), "account": account()}
SHAPES: list[tuple[Any, Any]] = [
    (json.loads(reply(in_context(account()))), jsonrpc.AccountResult),
    (json.loads(reply(in_context([account(), None]))), jsonrpc.AccountsResult),
    (json.loads(reply(in_context([KEYED]))), jsonrpc.ProgramAccountsResult),
    (json.loads(reply(in_context({"blockhash": str(KEY), "lastValidBlockHeight": 5}))), jsonrpc.BlockhashResult),
    (json.loads(reply(in_context(7))), jsonrpc.BalanceResult),
    (json.loads(reply("signature")), str),
    (json.loads(reply(5)), int),
    (json.loads(refusal(-32002, data={"err": {"InstructionError": [1, {"Custom": 6030}]}, "logs": ["a"]})), str),
    ([json.loads(reply("signature")), json.loads(refusal(-32005))], list),
    (json.loads(note("accountNotification", in_context(account()))), None),
    (json.loads(note("programNotification", in_context(KEYED))), None),
    (json.loads(note("slotNotification", SLOT)), None),
    (json.loads(note("signatureNotification", in_context({"err": None}))), None),
    (json.loads(note("logsNotification", in_context({"logs": ["a"]}))), None),
]
MARK = "@@"
VALUES = (b"null", b"true", b"0", b"-1", b"1.5", b"1e999", b"9" * 400, b'""', b'"x"', b"[]", b"{}", b"[null]",
        b'{"a":1}', b"18446744073709551616", b'"\xff\xfe"', b'"\\ud800"', b'"' + b"A" * 100_000 + b'"',
        b"[" * 20_000 + b"]" * 20_000, b'{"a":' * 20_000 + b"1" + b"}" * 20_000, b"NaN", b"@", b"")  # fmt: skip


def mutations(value: Any) -> list[bytes]:
    """Every message that differs from this one in one place: a missing member, or another value."""
    found: list[bytes] = []

    def visit(node: Any) -> None:
        places = list(node.items()) if isinstance(node, dict) else list(enumerate(node))
        for key, old in places:
            node[key] = MARK
            text = json.dumps(value).encode()
            found.extend(text.replace(b'"@@"', new) for new in VALUES)
            node[key] = old
            if isinstance(node, dict):
                del node[key]
                found.append(json.dumps(value).encode())
                node[key] = old
            if isinstance(old, dict | list):
                visit(old)

    whole = json.dumps(value).encode()
    visit(value)
    return [*found, *VALUES, whole[: len(whole) // 2], whole + whole, b"\xef\xbb\xbf" + whole]


@pytest.mark.parametrize(("shape", "kind"), SHAPES, ids=range(len(SHAPES)))
def test_every_mutation(shape: Any, kind: Any) -> None:
    """Each answer and notification, changed in each place in every way, gives a value or an AwmError."""
    refused = 0
    messages = mutations(shape)
    for message in messages:
        try:
            if kind is None:
                notifications.decode_message(message)
            elif kind is list:
                for each in jsonrpc.decode_batch(message):
                    jsonrpc.result(each, str)
            else:
                found: Any = jsonrpc.decode_result(message, kind, request_id=3)
                assert kind in (str, int) or found.context.slot >= 0
        except AwmError as error:
            refused += 1
            assert len(str(error)) < 5000
    assert len(messages) > 60
    assert refused > len(messages) // 4


@given(
    st.binary()
    | JSON.map(lambda value: json.dumps(value).encode())
    | JSON.map(lambda value: note("accountNotification", value))
)
def test_decoders_are_total(data: bytes) -> None:
    """Any message decodes or raises RpcError, and nothing else."""
    for decode in (
        notifications.decode_message,
        jsonrpc.decode_batch,
        lambda raw: jsonrpc.decode_result(raw, jsonrpc.AccountResult),
    ):
        try:
            decode(data)
        except AwmError as error:
            assert str(error)


@given(JSON, JSON, JSON)
def test_error_bodies_are_total(code: object, message: object, data: object) -> None:
    """An endpoint's error of any shape becomes a typed error."""
    for body in (refusal(code, message, data=data), refusal(code, message, data={"err": data, "logs": message})):
        with pytest.raises(AwmError):
            jsonrpc.decode_result(body, int)


def test_preflight_failure_names_the_program_error() -> None:
    """A refused simulation raises the program's own error, by its IDL."""
    data = {"err": {"InstructionError": [0, {"Custom": 6030}]}, "logs": LOGS, "unitsConsumed": 5}
    with pytest.raises(ProgramError, match="run_inference refused in instruction 0: FrameMismatch") as caught:
        jsonrpc.decode_result(refusal(-32002, "Transaction simulation failed", data=data), str)
    assert caught.value.code == 6030


def test_transaction_error_keeps_the_endpoints_code() -> None:
    """A transaction that did not reach a program raises RpcError with the endpoint's code."""
    with pytest.raises(RpcError, match="BlockhashNotFound") as caught:
        jsonrpc.decode_result(
            refusal(-32002, "Blockhash not found", data={"err": "BlockhashNotFound", "logs": []}), str
        )
    assert (caught.value.code, caught.value.recoverable) == (-32002, True)


@pytest.mark.parametrize(
    ("code", "recoverable"),
    [(-32005, True), (-32016, True), (429, True), (-32602, False), (-32002, False), (None, False)],
)
def test_errors_without_data(code: int | None, recoverable: bool) -> None:
    """An error without data, of any code, raises RpcError, which says whether to retry."""
    with pytest.raises(RpcError, match="getSlot: no") as caught:
        jsonrpc.decode_result(refusal(code), int, "getSlot")
    assert (caught.value.code, caught.value.recoverable) == (code, recoverable)


def test_missing_result_is_refused() -> None:
    """A response with neither result nor error is refused."""
    with pytest.raises(RpcError, match="expected a result or an error"):
        jsonrpc.decode_result(b'{"jsonrpc":"2.0","id":1}', int)


def test_batch_answers() -> None:
    """A batch's answers may come in any order with their ids, and one error for all of it is raised."""
    answers = jsonrpc.decode_batch(b"[" + reply(1) + b"," + refusal(-32005) + b"]")
    assert [answer.id for answer in answers] == [3, 3]
    assert jsonrpc.result(answers[0], int) == 1
    with pytest.raises(RpcError, match="batch: no"):
        jsonrpc.decode_batch(refusal(-32600))


def test_pubkeys_are_written_as_base58() -> None:
    """A Pubkey among the params is written as base58, and any other object is refused."""
    assert json.loads(jsonrpc.Request("m", [Pubkey.default()], int).body(1))["params"] == ["1" * 32]
    with pytest.raises(TypeError):
        jsonrpc.Request("m", [object()], int)


def test_plain_values_are_short() -> None:
    """What has no type is decoded up to 64 KiB: an error keeps its message without longer data."""
    for count, expected in ((10, ["a"] * 10), (20_000, None)):
        with pytest.raises(RpcError, match="busy") as caught:
            jsonrpc.decode_result(refusal(-32005, "busy", data=["a"] * count), int)
        assert caught.value.data == expected
    assert notifications.decode_message(note("logsNotification", ["a"] * 10))
    with pytest.raises(RpcError, match="PubSub message"):
        notifications.decode_message(note("logsNotification", ["a"] * 20_000))


@pytest.mark.parametrize("size", [196_607, 196_608, 196_609, 1_000_000])
def test_long_base64(size: int) -> None:
    """Long data decodes to the same bytes as short data does, and padding or nonsense inside of it is refused."""
    data = random.Random(size).randbytes(size)
    text = base64.b64encode(data).decode()

    def read(text: str) -> bytes:
        found = jsonrpc.decode_result(reply(in_context({**account(), "data": [text, "base64"]})), jsonrpc.AccountResult)
        assert found.value is not None
        return found.value.raw

    assert read(text) == data
    for bad in (text[:262_142] + "==" + text[262_144:] + "AAAA", text[:100] + "!" + text[101:], text[:-1] + "A="):
        with pytest.raises(RpcError):
            read(bad)
