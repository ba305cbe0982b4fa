"""What the localnet's tests share: an in-process bank with its methods, and transactions to send it."""

from __future__ import annotations

import base64
import json
from typing import Any

from solders.account import Account
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from awm_crank.localnet.bank import Bank
from awm_crank.localnet.jsonrpc import respond
from awm_crank.localnet.methods import Methods
from awm_crank.localnet.pubsub import Topics

SOL = 10**9
NOW = 1_700_000_000.0


class Listener:
    """A subscriber that keeps every message it gets."""

    def __init__(self) -> None:
        self.queued: list[Any] = []
        self.sent: list[Any] = []

    def push(self, payload: bytes) -> None:
        self.queued.append(json.loads(payload))

    def flush(self) -> None:
        self.sent += self.queued
        self.queued.clear()


class Node:
    """A localnet validator without sockets or a clock: ledger, subscriptions and RPC methods, called directly."""

    def __init__(self, slot_ms: float = 10.0, history: int = 50_000) -> None:
        self.bank = Bank(slot_ms=slot_ms, now=NOW, genesis=b"\7" * 32, history=history)
        self.topics = Topics(self.bank)
        self.methods = Methods(self.bank, self.topics, identity=Keypair(), faucet=Keypair())
        self.bank.advance(2)
        self.payer = self.funded()

    def funded(self, lamports: int = 100 * SOL) -> Keypair:
        """A key with lamports."""
        pair = Keypair()
        self.bank.svm.set_account(pair.pubkey(), Account(lamports, b"", Pubkey.default()))
        return pair

    def ask(self, method: str, *params: object) -> Any:
        """The whole answer to a request."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        answer = respond(body, self.methods.table)
        assert answer is not None
        return json.loads(answer)

    def call(self, method: str, *params: object) -> Any:
        """The result of a request that succeeds."""
        answer = self.ask(method, *params)
        assert "error" not in answer, answer
        return answer["result"]

    def value(self, method: str, *params: object) -> Any:
        """The value of a result with context."""
        result = self.call(method, *params)
        assert result["context"]["slot"] == self.bank.slot
        return result["value"]

    def error(self, method: str, *params: object) -> Any:
        """The error of a request that fails."""
        return self.ask(method, *params)["error"]

    def blockhash(self) -> Hash:
        """The newest blockhash."""
        return Hash(self.bank.blockhash(self.bank.slot))

    def pay(self, to: Pubkey, lamports: int = SOL, *, payer: Keypair | None = None) -> VersionedTransaction:
        """A transfer."""
        payer = payer or self.payer
        move = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports))
        return self.signed([move], payer)

    def signed(self, calls: list[Instruction], payer: Keypair | None = None) -> VersionedTransaction:
        """A legacy transaction."""
        payer = payer or self.payer
        return VersionedTransaction(Message.new_with_blockhash(calls, payer.pubkey(), self.blockhash()), [payer])

    def send(self, transaction: VersionedTransaction, **settings: object) -> Any:
        """The whole answer to sendTransaction."""
        return self.ask("sendTransaction", encode(transaction), {"encoding": "base64", **settings})


def encode(transaction: VersionedTransaction) -> str:
    """The bytes in base64."""
    return base64.b64encode(bytes(transaction)).decode()
