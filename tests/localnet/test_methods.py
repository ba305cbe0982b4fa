"""The HTTP methods, one by one, with the errors that a validator gives."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from localnet.kit import NOW, SOL, Node, encode
from solders.account import Account
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.rpc.errors import SendTransactionPreflightFailureMessage
from solders.rpc.responses import SendTransactionResp, SimulateTransactionResp
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from awm_crank.localnet import base58

OWNER = Pubkey.from_bytes(b"\5" * 32)
SYSTEM = str(Pubkey.default())


def put(node: Node, data: bytes, owner: Pubkey = OWNER) -> str:
    """Places an account with that data."""
    key = Keypair().pubkey()
    node.bank.svm.set_account(key, Account(SOL, data, owner))
    return str(key)


def test_accounts(node: Node) -> None:
    """Accounts are read one by one, in groups, missing, and by a program's filters, with and without context."""
    one, two = put(node, b"abc"), put(node, b"abcd")
    missing = str(Keypair().pubkey())
    assert node.value("getAccountInfo", one, {"encoding": "base64"})["data"] == ["YWJj", "base64"]
    assert node.value("getAccountInfo", missing) is None
    rows = node.value("getMultipleAccounts", [one, missing, two])
    assert [row and row["space"] for row in rows] == [3, None, 4]
    assert rows[0]["data"] == ["YWJj", "base64"]
    assert node.value("getBalance", one) == SOL
    assert node.value("getBalance", missing) == 0
    found = node.call("getProgramAccounts", str(OWNER), {"encoding": "base64", "filters": [{"dataSize": 4}]})
    assert [row["pubkey"] for row in found] == [two]
    compare = {"offset": 3, "bytes": base58.encode(b"d").decode()}
    found = node.call("getProgramAccounts", str(OWNER), {"filters": [{"memcmp": compare}]})
    assert [row["pubkey"] for row in found] == [two]
    assert len(node.value("getProgramAccounts", str(OWNER), {"withContext": True})) == 2
    assert node.error("getMultipleAccounts", [one] * 101)["message"] == "Too many inputs provided; max 100"


def test_long_account_in_base58(node: Node) -> None:
    """The default encoding is base58, which refuses long data (-32600)."""
    key = put(node, bytes(200))
    for method, params in (
        ("getAccountInfo", [key]),
        ("getMultipleAccounts", [[key], {"encoding": "base58"}]),
        ("getProgramAccounts", [str(OWNER)]),
    ):
        assert node.error(method, *params)["code"] == -32600


def test_chain_figures(node: Node) -> None:
    """Slot, height, epoch, hashes, leader and version agree with each other."""
    node.bank.advance(432_010)
    assert node.call("getSlot") == node.call("getBlockHeight") == 432_010
    info = node.call("getEpochInfo")
    assert (info["epoch"], info["slotIndex"], info["slotsInEpoch"]) == (1, 10, 432_000)
    assert info["absoluteSlot"] == 432_010
    assert node.call("getEpochSchedule")["slotsPerEpoch"] == 432_000
    assert node.call("getHealth") == "ok"
    assert node.call("getGenesisHash") == base58.encode(b"\7" * 32).decode()
    identity = node.call("getIdentity")["identity"]
    assert node.call("getSlotLeader") == identity
    assert node.call("getSlotLeaders", 5, 3) == [identity] * 3
    assert node.error("getSlotLeaders", 5, 5001)["code"] == -32602
    assert "solana-core" in node.call("getVersion")
    assert node.call("getBlockTime", 101) == NOW + 1
    assert node.call("getMinimumBalanceForRentExemption", 100) == (128 + 100) * 6960
    fees = node.call("getRecentPrioritizationFees", [SYSTEM])
    assert len(fees) == 150
    assert fees[-1] == {"slot": 432_010, "prioritizationFee": 0}


def test_blockhashes(node: Node) -> None:
    """The latest blockhash is valid up to its last valid height, and not one slot longer."""
    latest = node.value("getLatestBlockhash")
    assert node.value("isBlockhashValid", latest["blockhash"]) is True
    node.bank.advance(latest["lastValidBlockHeight"])
    assert node.value("isBlockhashValid", latest["blockhash"]) is True
    node.bank.advance(latest["lastValidBlockHeight"] + 1)
    assert node.value("isBlockhashValid", latest["blockhash"]) is False
    assert node.value("isBlockhashValid", SYSTEM) is False


def test_blocks(node: Node) -> None:
    """Blocks are listed within a range, and a block in the future gives -32004."""
    node.bank.advance(20)
    assert node.call("getBlocks", 17) == [17, 18, 19, 20]
    assert node.call("getBlocks", 17, 18) == [17, 18]
    assert node.call("getBlocks", 17, {"commitment": "confirmed"}) == [17, 18, 19, 20]
    assert node.call("getBlocksWithLimit", 5, 3) == [5, 6, 7]
    assert node.call("getFirstAvailableBlock") == node.call("minimumLedgerSlot") == 0
    assert node.error("getBlock", 21)["code"] == -32004
    assert node.error("getBlockTime", 21)["message"] == "Block not available for slot 21"
    assert node.error("getBlocksWithLimit", 0, 600_000)["message"] == "Limit too large; max 500000"
    assert node.call("getBlocks", 19, 600_000) == [19, 20]
    refused = node.error("getBlocks", 17, {"commitment": "processed"})
    assert refused["message"] == "Method does not support commitment below `confirmed`"


def test_cleaned_up_block() -> None:
    """A block that was forgotten gives -32001, which names the first block that is left."""
    node = Node(history=1)
    node.send(node.pay(Keypair().pubkey()))
    node.bank.advance(10)
    node.send(node.pay(Keypair().pubkey()))
    assert node.error("getBlock", 2) == {
        "code": -32001,
        "message": "Block 2 cleaned up, does not exist on node. First available block: 3",
    }


def test_send_and_ask_about_it(node: Node) -> None:
    """A sent transaction has a status, appears in its address's history, and is counted."""
    target = Keypair().pubkey()
    transaction = node.pay(target)
    signature = node.send(transaction)["result"]
    assert signature == str(transaction.signatures[0])
    unknown = str(Signature.default())
    status, nothing = node.value("getSignatureStatuses", [signature, unknown], {"searchTransactionHistory": True})
    assert status == {
        "confirmationStatus": "finalized",
        "confirmations": None,
        "err": None,
        "slot": node.bank.slot,
        "status": {"Ok": None},
    }
    assert nothing is None
    (row,) = node.call("getSignaturesForAddress", str(target))
    assert (row["signature"], row["slot"], row["err"], row["memo"]) == (signature, node.bank.slot, None, None)
    assert node.call("getSignaturesForAddress", str(target), {"before": signature}) == []
    assert node.call("getSignaturesForAddress", str(target), {"until": signature}) == []
    assert node.error("getSignaturesForAddress", str(target), {"limit": 1001})["code"] == -32602
    assert node.call("getTransactionCount") == 1
    assert node.call("getTransaction", unknown) is None
    assert node.error("getSignatureStatuses", [signature] * 257)["message"] == "Too many inputs provided; max 256"


def test_preflight_failure(node: Node) -> None:
    """A failing transaction gives -32002 with err, logs and units, in a form that solders' client reads."""
    answer = node.send(node.pay(Keypair().pubkey(), 10**15))
    assert answer["error"]["code"] == -32002
    assert answer["error"]["message"] == (
        "Transaction simulation failed: Error processing Instruction 0: custom program error: 0x1"
    )
    data = answer["error"]["data"]
    assert data["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert data["unitsConsumed"] == 150
    assert "Program 11111111111111111111111111111111 invoke [1]" in data["logs"]
    assert isinstance(SendTransactionResp.from_json(json.dumps(answer)), SendTransactionPreflightFailureMessage)


def test_expired_and_duplicate(node: Node) -> None:
    """An old blockhash and a repeated transaction give -32002 with their names."""
    stale = node.pay(Keypair().pubkey())
    node.bank.advance(10_000)
    error = node.send(stale)["error"]
    assert (error["message"], error["data"]["err"]) == (
        "Transaction simulation failed: Blockhash not found",
        "BlockhashNotFound",
    )
    assert error["data"]["logs"] == []
    again = node.pay(Keypair().pubkey())
    node.send(again)
    assert node.send(again)["error"]["data"]["err"] == "AlreadyProcessed"


def test_wrong_signature(node: Node) -> None:
    """A wrong signature fails the preflight."""
    message = node.pay(Keypair().pubkey()).message
    forged = VersionedTransaction.populate(message, [Signature.default()])
    error = node.send(forged)["error"]
    assert (error["code"], error["data"]["err"]) == (-32002, "SignatureFailure")


def test_skip_preflight(node: Node) -> None:
    """Without preflight every well-formed transaction is accepted; one that cannot land never gets a status."""
    forged = VersionedTransaction.populate(node.pay(Keypair().pubkey()).message, [Signature.default()])
    failing = node.pay(Keypair().pubkey(), 10**15)
    for transaction in (forged, failing):
        assert node.send(transaction, skipPreflight=True)["result"] == str(transaction.signatures[0])
    dropped, failed = node.value("getSignatureStatuses", [str(t.signatures[0]) for t in (forged, failing)])
    assert dropped is None
    assert failed["err"] == {"InstructionError": [0, {"Custom": 1}]}


def test_send_base58(node: Node) -> None:
    """The default encoding of a transaction is base58."""
    target = Keypair().pubkey()
    assert "result" in node.ask("sendTransaction", base58.encode(bytes(node.pay(target))).decode())
    assert node.value("getBalance", str(target)) == SOL


@pytest.mark.parametrize("text", ["", "AAAA", "!", base64.b64encode(bytes(1233)).decode(), "A" * 2000])
def test_send_nonsense(node: Node, text: str) -> None:
    """Bytes that are not a transaction are invalid params."""
    assert node.error("sendTransaction", text, {"encoding": "base64"})["code"] == -32602
    assert node.error("simulateTransaction", text, {"encoding": "base64"})["code"] == -32602


def test_simulate(node: Node) -> None:
    """A simulation returns logs, units, accounts, return data and inner instructions, and changes nothing."""
    target = Keypair().pubkey()
    transaction = node.pay(target)
    accounts = {"addresses": [str(target), str(OWNER)], "encoding": "base64"}
    config: dict[str, Any] = {"encoding": "base64", "sigVerify": True, "innerInstructions": True, "accounts": accounts}
    result = node.call("simulateTransaction", encode(transaction), config)
    assert isinstance(
        SimulateTransactionResp.from_json(json.dumps({"jsonrpc": "2.0", "id": 1, "result": result})),
        SimulateTransactionResp,
    )
    value = result["value"]
    assert (value["err"], value["unitsConsumed"], value["innerInstructions"]) == (None, 150, [])
    assert (value["accounts"][0]["lamports"], value["accounts"][1]) == (SOL, None)
    assert node.value("getBalance", str(target)) == 0
    assert "result" in node.send(transaction)


def test_simulate_without_hash_or_signature(node: Node) -> None:
    """A simulation with an old blockhash fails unless it is replaced. Wrong signatures fail it where they are checked.

    Asking for a replacement and for a signature check at once is refused.
    """
    stale = VersionedTransaction.populate(node.pay(Keypair().pubkey()).message, [Signature.default()])
    node.bank.advance(10_000)
    plain = {"encoding": "base64"}
    assert node.value("simulateTransaction", encode(stale), plain)["err"] == "BlockhashNotFound"
    value = node.value("simulateTransaction", encode(stale), {**plain, "replaceRecentBlockhash": True})
    assert value["err"] is None
    assert value["replacementBlockhash"]["blockhash"] == node.value("getLatestBlockhash")["blockhash"]
    both = {**plain, "replaceRecentBlockhash": True, "sigVerify": True}
    assert node.error("simulateTransaction", encode(stale), both)["code"] == -32602
    value = node.value("simulateTransaction", encode(stale), {**plain, "sigVerify": True})
    assert value["err"] == "SignatureFailure"


def test_simulated_failure(node: Node) -> None:
    """A failing simulation is an answer, not an error, and its accounts are null."""
    accounts = {"addresses": [str(OWNER)], "encoding": "base64"}
    config = {"encoding": "base64", "accounts": accounts}
    value = node.value("simulateTransaction", encode(node.pay(Keypair().pubkey(), 10**15)), config)
    assert value["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert value["accounts"] == [None]
    bad = {"encoding": "base64", "accounts": {**accounts, "encoding": "base58"}}
    assert node.error("simulateTransaction", encode(node.pay(OWNER)), bad)["code"] == -32602


def test_fees(node: Node) -> None:
    """A message's fee counts signatures and priority, and an expired message has none."""
    move = transfer(TransferParams(from_pubkey=node.payer.pubkey(), to_pubkey=OWNER, lamports=1))
    plain = node.signed([move]).message
    paying = node.signed([set_compute_unit_limit(200_000), set_compute_unit_price(1_000_000), move]).message

    def fee(message: object) -> Any:
        return node.value("getFeeForMessage", base64.b64encode(bytes(message)).decode())  # type: ignore[call-overload]

    assert fee(plain) == 5000
    assert fee(paying) == 5000 + 200_000
    node.bank.advance(10_000)
    assert fee(plain) is None
    assert node.error("getFeeForMessage", "AAAA")["code"] == -32602


def test_airdrop(node: Node) -> None:
    """Airdrops are transactions, and two equal ones in one slot are two transactions."""
    target = str(Keypair().pubkey())
    first, second = node.call("requestAirdrop", target, SOL), node.call("requestAirdrop", target, SOL)
    assert first != second
    assert node.value("getBalance", target) == 2 * SOL
    assert all(node.value("getSignatureStatuses", [first, second]))
    assert node.error("requestAirdrop", target, 2**63)["code"] == -32600
    tiny = node.error("requestAirdrop", str(Keypair().pubkey()), 1)
    assert tiny["message"].startswith("airdrop request failed. Transaction results in an account (1)")


def test_min_context_slot(node: Node) -> None:
    """A slot in the future gives -32016 wherever a configuration is accepted."""
    late = {"minContextSlot": 10**6}
    for method, params in (
        ("getAccountInfo", [SYSTEM, late]),
        ("getSlot", [late]),
        ("getLatestBlockhash", [late]),
        ("sendTransaction", [encode(node.pay(OWNER)), {"encoding": "base64", **late}]),
    ):
        error = node.error(method, *params)
        assert (error["code"], error["data"]) == (-32016, {"contextSlot": node.bank.slot})


NODE = Node()
KEYS = st.sampled_from([SYSTEM, str(Signature.default())])
ANY = st.none() | st.booleans() | st.integers() | st.text(max_size=44) | KEYS
PARAMS = st.lists(
    st.recursive(
        ANY,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "encoding",
                        "dataSlice",
                        "offset",
                        "length",
                        "filters",
                        "memcmp",
                        "bytes",
                        "dataSize",
                        "limit",
                        "before",
                        "accounts",
                        "addresses",
                        "commitment",
                        "minContextSlot",
                        "transactionDetails",
                    ]
                ),
                inner,
                max_size=3,
            )
        ),
        max_leaves=6,
    ),
    max_size=4,
)


@given(st.sampled_from(sorted(NODE.methods.table)), PARAMS)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_params(method: str, params: list[object]) -> None:
    """A method answers or refuses any params, but never with -32603."""
    answer = NODE.ask(method, *params)
    assert "result" in answer or answer["error"]["code"] != -32603
