"""Transactions and blocks as getTransaction and getBlock show them; solders' own parser reads them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from localnet.kit import SOL, Node
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.rpc.responses import GetBlockResp, GetTransactionResp
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from awm_crank.localnet import base58

MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")


def wrap(result: object) -> str:
    """A result as a whole answer."""
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": result})


def versioned(node: Node, to: Pubkey) -> VersionedTransaction:
    """A transfer of version 0."""
    move = transfer(TransferParams(from_pubkey=node.payer.pubkey(), to_pubkey=to, lamports=SOL))
    message = MessageV0.try_compile(node.payer.pubkey(), [move], [], node.blockhash())
    return VersionedTransaction(message, [node.payer])


@pytest.mark.parametrize("encoding", ["json", "jsonParsed", "base64", "base58"])
@pytest.mark.parametrize("version", [None, 0])
def test_transaction(node: Node, encoding: str, version: int | None) -> None:
    """solders accepts all encodings of both versions as a transaction."""
    target = Keypair().pubkey()
    transaction = node.pay(target) if version is None else versioned(node, target)
    signature = node.send(transaction)["result"]
    settings = {"encoding": encoding, "maxSupportedTransactionVersion": 0}
    result = node.call("getTransaction", signature, settings)
    assert isinstance(GetTransactionResp.from_json(wrap(result)), GetTransactionResp)
    assert result["slot"] == node.bank.slot
    assert result["version"] == ("legacy" if version is None else 0)
    meta = result["meta"]
    assert meta["err"] is None
    assert meta["status"] == {"Ok": None}
    assert meta["fee"] == 5000
    assert meta["preBalances"][0] - meta["postBalances"][0] == SOL + 5000
    assert meta["postBalances"][1] == SOL
    shown: Any = result["transaction"]
    if encoding == "base64":
        assert base64.b64decode(shown[0]) == bytes(transaction)
    elif encoding == "base58":
        assert base58.decode(shown[0]) == bytes(transaction)
    else:
        assert shown["signatures"] == [signature]
        first = shown["message"]["accountKeys"][0]
        assert str(node.payer.pubkey()) == (first if encoding == "json" else first["pubkey"])
        if encoding == "jsonParsed":
            assert first == {
                "pubkey": str(node.payer.pubkey()),
                "signer": True,
                "writable": True,
                "source": "transaction",
            }


def test_unsupported_version(node: Node) -> None:
    """A client that names no version gets -32015 for a v0 transaction, and no version for a legacy one."""
    legacy = node.send(node.pay(Keypair().pubkey()))["result"]
    assert "version" not in node.call("getTransaction", legacy)
    signature = node.send(versioned(node, Keypair().pubkey()))["result"]
    error = node.error("getTransaction", signature)
    assert error["code"] == -32015
    assert error["message"].endswith('"maxSupportedTransactionVersion": 0')
    assert node.error("getBlock", node.bank.slot)["code"] == -32015


def test_failed_transaction_and_its_logs(node: Node) -> None:
    """A failed transaction's meta has the error in both forms, with logs and units."""
    transaction = node.pay(Keypair().pubkey(), 10**15)
    node.send(transaction, skipPreflight=True)
    meta = node.call("getTransaction", str(transaction.signatures[0]))["meta"]
    error = {"InstructionError": [0, {"Custom": 1}]}
    assert (meta["err"], meta["status"]) == (error, {"Err": error})
    assert meta["computeUnitsConsumed"] == 150
    assert any("insufficient lamports" in line for line in meta["logMessages"])


def test_instruction_data_is_base58(node: Node) -> None:
    """In the JSON form, an instruction's accounts are indexes and its data is base58."""
    call = Instruction(MEMO, b"hello", [AccountMeta(node.payer.pubkey(), True, False)])
    signature = node.send(node.signed([call]))["result"]
    message = node.call("getTransaction", signature)["transaction"]["message"]
    (shown,) = message["instructions"]
    assert base58.decode(shown["data"]) == b"hello"
    assert message["accountKeys"][shown["programIdIndex"]] == str(MEMO)
    assert shown["accounts"] == [0]
    parsed = node.call("getTransaction", signature, "jsonParsed")["transaction"]["message"]["instructions"][0]
    assert parsed == {"programId": str(MEMO), "program": "spl-memo", "parsed": "hello", "stackHeight": 1}
    assert node.call("getSignaturesForAddress", str(node.payer.pubkey()))[0]["memo"] == "[5] hello"


@pytest.mark.parametrize("details", ["full", "accounts", "signatures", "none"])
def test_block(node: Node, details: str) -> None:
    """A block holds its slot's transactions in order, in the detail that was asked for."""
    node.bank.advance(5)
    signatures = [node.send(node.pay(Keypair().pubkey()))["result"] for _ in range(3)]
    node.bank.advance(6)
    settings = {"transactionDetails": details, "maxSupportedTransactionVersion": 0}
    block = node.call("getBlock", 5, settings)
    assert isinstance(GetBlockResp.from_json(wrap(block)), GetBlockResp)
    assert (block["parentSlot"], block["blockHeight"]) == (4, 5)
    assert block["blockhash"] == base58.encode(node.bank.blockhash(5)).decode()
    assert node.call("getBlock", 6)["previousBlockhash"] == block["blockhash"]
    if details in ("full", "accounts"):
        assert [row["transaction"]["signatures"][0] for row in block["transactions"]] == signatures
    elif details == "signatures":
        assert block["signatures"] == signatures
    else:
        assert "transactions" not in block
