"""Subscriptions: which clients are notified of what, and when."""

from __future__ import annotations

import json
from typing import Any

import pytest
from localnet.kit import SOL, Listener, Node
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank.localnet.bank import CLOCK
from awm_crank.localnet.jsonrpc import respond

COMMITMENTS = ("processed", "confirmed", "finalized")
BASE64 = {"encoding": "base64"}


def ask(node: Node, client: Listener, method: str, *params: object) -> Any:
    """A request over a client's connection."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    answer = respond(body, node.topics.methods(client))
    assert answer is not None
    node.topics.settle()
    node.topics.flush()
    return json.loads(answer)


def subscribe(node: Node, client: Listener, kind: str, *params: object) -> int:
    """A subscription's number."""
    number = ask(node, client, f"{kind}Subscribe", *params)["result"]
    assert isinstance(number, int)
    return number


def heard(client: Listener) -> list[Any]:
    """Returns (method, subscription, result) of every notification since the last call."""
    rows = [(row["method"], row["params"]["subscription"], row["params"]["result"]) for row in client.sent]
    client.sent.clear()
    return rows


@pytest.mark.parametrize("commitment", COMMITMENTS)
def test_account(node: Node, commitment: str) -> None:
    """An account's change is notified once per transaction, at every commitment, in each subscriber's encoding."""
    one, two, key = Listener(), Listener(), Keypair().pubkey()
    first = subscribe(node, one, "account", str(key), {"encoding": "base64", "commitment": commitment})
    second = subscribe(node, two, "account", str(key), {"commitment": commitment})
    node.send(node.pay(key))
    (method, number, result), *more = heard(one)
    assert (method, number, more) == ("accountNotification", first, [])
    assert result["context"] == {"slot": node.bank.slot}
    assert (result["value"]["lamports"], result["value"]["data"]) == (SOL, ["", "base64"])
    ((_, number, result),) = heard(two)
    assert (number, result["value"]["data"]) == (second, "")


def test_account_that_stays_the_same_is_no_news(node: Node) -> None:
    """A failed transaction changes only its payer, so only the payer's subscriber is notified."""
    one, two, target, poor = Listener(), Listener(), Keypair().pubkey(), node.funded(SOL)
    subscribe(node, one, "account", str(poor.pubkey()), BASE64)
    subscribe(node, two, "account", str(target), BASE64)
    node.send(node.pay(target, 7 * SOL, payer=poor), skipPreflight=True)
    assert [result["value"]["lamports"] for _, _, result in heard(one)] == [SOL - 5000]
    assert heard(two) == []


def test_closed_account(node: Node) -> None:
    """An emptied account is notified as an empty account of the system program."""
    client, leaving = Listener(), node.funded(SOL)
    subscribe(node, client, "account", str(leaving.pubkey()), BASE64)
    node.send(node.pay(node.payer.pubkey(), SOL - 5000, payer=leaving))
    ((_, _, result),) = heard(client)
    assert (result["value"]["lamports"], result["value"]["space"]) == (0, 0)


def test_program_with_filters(node: Node) -> None:
    """A program's subscribers are notified of accounts that pass their filters, with the address."""
    everything, sized = Listener(), Listener()
    system = str(Pubkey.default())
    subscribe(node, everything, "program", system, BASE64)
    subscribe(node, sized, "program", system, {**BASE64, "filters": [{"dataSize": 5}]})
    target = Keypair().pubkey()
    node.send(node.pay(target))
    rows = heard(everything)
    assert {row["value"]["pubkey"] for _, _, row in rows} == {str(target), str(node.payer.pubkey())}
    assert all(method == "programNotification" for method, _, _ in rows)
    assert heard(sized) == []


def test_program_forgets_what_it_did_not_watch(node: Node) -> None:
    """After a pause in watching, a change back to the state that was seen last is notified."""
    client, target = Listener(), node.funded(SOL)
    system, address = str(Pubkey.default()), str(target.pubkey())
    number = subscribe(node, client, "program", system, BASE64)
    node.send(node.pay(target.pubkey(), SOL))
    assert address in {row["value"]["pubkey"] for _, _, row in heard(client)}
    ask(node, client, "programUnsubscribe", number)
    node.bank.svm.set_account(target.pubkey(), Account(SOL, b"", Pubkey.default()))
    subscribe(node, client, "program", system, BASE64)
    node.send(node.pay(target.pubkey(), SOL, payer=node.funded()))
    told = {row["value"]["pubkey"]: row["value"]["account"]["lamports"] for _, _, row in heard(client)}
    assert told[address] == 2 * SOL


@pytest.mark.parametrize("commitment", COMMITMENTS)
def test_signature(node: Node, commitment: str) -> None:
    """A signature's subscriber is notified once, and the subscription ends."""
    client = Listener()
    transaction = node.pay(Keypair().pubkey())
    number = subscribe(node, client, "signature", str(transaction.signatures[0]), {"commitment": commitment})
    node.send(transaction)
    assert heard(client) == [
        ("signatureNotification", number, {"context": {"slot": node.bank.slot}, "value": {"err": None}})
    ]
    assert "error" in ask(node, client, "signatureUnsubscribe", number)


def test_signature_that_has_landed_already(node: Node) -> None:
    """A late subscriber is notified right after the answer, with the transaction's slot and error."""
    client = Listener()
    poor = node.funded(SOL)
    transaction = node.pay(Keypair().pubkey(), 7 * SOL, payer=poor)
    node.send(transaction, skipPreflight=True)
    slot = node.bank.slot
    node.bank.advance(slot + 3)
    number = subscribe(node, client, "signature", str(transaction.signatures[0]))
    value = {"err": {"InstructionError": [0, {"Custom": 1}]}}
    assert heard(client) == [("signatureNotification", number, {"context": {"slot": slot}, "value": value})]


def test_signature_received(node: Node) -> None:
    """With enableReceivedNotification, receipt is notified before the result."""
    client = Listener()
    transaction = node.pay(Keypair().pubkey())
    signature = str(transaction.signatures[0])
    subscribe(node, client, "signature", signature, {"enableReceivedNotification": True})
    node.send(transaction)
    assert [row["value"] for _, _, row in heard(client)] == ["receivedSignature", {"err": None}]


def test_logs(node: Node) -> None:
    """Logs go to subscribers of all logs, and to those whose address the transaction mentions."""
    everyone, mentioned, other, target = Listener(), Listener(), Listener(), Keypair().pubkey()
    subscribe(node, everyone, "logs", "all", {"commitment": "finalized"})
    subscribe(node, mentioned, "logs", {"mentions": [str(target)]})
    subscribe(node, other, "logs", {"mentions": [str(Keypair().pubkey())]})
    transaction = node.pay(target)
    node.send(transaction)
    for client in (everyone, mentioned):
        ((method, _, result),) = heard(client)
        assert method == "logsNotification"
        assert result["value"]["signature"] == str(transaction.signatures[0])
        assert result["value"]["err"] is None
        assert result["value"]["logs"][0] == "Program 11111111111111111111111111111111 invoke [1]"
    assert heard(other) == []


def test_slot_and_root(node: Node) -> None:
    """Every slot is notified with its parent; the root is one slot behind."""
    client = Listener()
    slots, roots = subscribe(node, client, "slot"), subscribe(node, client, "root")
    node.topics.slot(8, 7)
    node.topics.flush()
    assert heard(client) == [
        ("slotNotification", slots, {"parent": 7, "root": 7, "slot": 8}),
        ("rootNotification", roots, 7),
    ]


def test_clock_moves(node: Node) -> None:
    """A subscriber of the clock sysvar is notified of every slot."""
    client = Listener()
    subscribe(node, client, "account", str(CLOCK), BASE64)
    for slot in (node.bank.slot + 1, node.bank.slot + 2):
        node.bank.advance(slot)
        node.topics.slot(slot, slot - 1)
    node.topics.flush()
    assert len({row["value"]["data"][0] for _, _, row in heard(client)}) == 2


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("account", [str(CLOCK)]),
        ("program", [str(CLOCK)]),
        ("signature", ["1" * 64]),
        ("logs", ["all"]),
        ("slot", []),
        ("root", []),
    ],
)
def test_unsubscribe(node: Node, kind: str, params: list[object]) -> None:
    """Each kind ends with its unsubscribe call, once, and no client can end another's."""
    client, other = Listener(), Listener()
    number = subscribe(node, client, kind, *params)
    assert ask(node, other, f"{kind}Unsubscribe", number)["error"]["code"] == -32602
    assert ask(node, client, f"{kind}Unsubscribe", number)["result"] is True
    assert ask(node, client, f"{kind}Unsubscribe", number)["error"]["message"] == "Invalid subscription id."
    node.send(node.pay(CLOCK))
    node.topics.slot(9, 8)
    node.topics.flush()
    assert heard(client) == []


def test_closed_connection_is_forgotten(node: Node) -> None:
    """A client that has left gets nothing more, and its subscriptions are gone."""
    client, key = Listener(), Keypair().pubkey()
    subscribe(node, client, "account", str(key), BASE64)
    subscribe(node, client, "slot")
    node.topics.close(client)
    node.send(node.pay(key))
    node.topics.slot(9, 8)
    node.topics.flush()
    assert heard(client) == []


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("accountSubscribe", []),
        ("accountSubscribe", ["x"]),
        ("accountSubscribe", [str(CLOCK), {"encoding": "hex"}]),
        ("programSubscribe", [str(CLOCK), {"filters": 1}]),
        ("signatureSubscribe", ["abc"]),
        ("logsSubscribe", []),
        ("logsSubscribe", ["some"]),
        ("logsSubscribe", [{"mentions": []}]),
        ("logsSubscribe", [{"mentions": [str(CLOCK)] * 2}]),
        ("accountUnsubscribe", ["x"]),
        ("slotUnsubscribe", []),
    ],
)
def test_invalid_params(node: Node, method: str, params: list[object]) -> None:
    """A subscription to something that does not exist is refused as invalid params."""
    assert ask(node, Listener(), method, *params)["error"]["code"] == -32602


def test_other_methods(node: Node) -> None:
    """The WebSocket serves subscriptions only, as a validator's does."""
    for method, *params in (("getSlot",), ("blockSubscribe", "all"), ("voteSubscribe",)):
        assert ask(node, Listener(), method, *params)["error"]["code"] == -32601


def test_equal_subscriptions_share_a_number(node: Node) -> None:
    """Equal subscriptions of a client share a number: it is notified once, and one unsubscribe ends them."""
    one, two, key = Listener(), Listener(), str(Keypair().pubkey())
    number = subscribe(node, one, "account", key, BASE64)
    assert subscribe(node, one, "account", key, BASE64) == number
    assert subscribe(node, two, "account", key, BASE64) == number
    assert subscribe(node, one, "account", key, {**BASE64, "commitment": "processed"}) != number
    node.send(node.pay(Pubkey.from_string(key)))
    assert [told[1] for told in heard(one)].count(number) == 1
    assert ask(node, one, "accountUnsubscribe", number)["result"] is True
    assert "error" in ask(node, one, "accountUnsubscribe", number)
    node.send(node.pay(Pubkey.from_string(key), 2 * SOL))
    assert number not in [told[1] for told in heard(one)]
    assert [told[1] for told in heard(two)] == [number, number]


def test_slots_updates(node: Node) -> None:
    """A slot's updates say that it began, and that its parent ended with this many transactions and is final."""
    client = Listener()
    subscribe(node, client, "slotsUpdates")
    node.send(node.pay(Keypair().pubkey()))
    parent = node.bank.slot
    node.bank.advance(parent + 1)
    node.topics.slot(parent + 1, parent)
    node.topics.flush()
    told = [result for _, _, result in heard(client)]
    assert [update["type"] for update in told] == ["createdBank", "frozen", "optimisticConfirmation", "root"]
    assert [update["slot"] for update in told] == [parent + 1, parent, parent, parent]
    assert told[1]["stats"]["numSuccessfulTransactions"] == 1
