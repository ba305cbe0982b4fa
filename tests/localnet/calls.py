"""The calls that clients make to a validator, for comparing the answers of two endpoints."""

from __future__ import annotations

import base64
import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.system_program import (
    ID as SYSTEM,
)
from solders.system_program import (
    AdvanceNonceAccountParams,
    CreateAccountParams,
    CreateLookupTableParams,
    ExtendLookupTableParams,
    InitializeNonceAccountParams,
    TransferParams,
    advance_nonce_account,
    create_account,
    create_lookup_table,
    extend_lookup_table,
    initialize_nonce_account,
    transfer,
)
from solders.transaction import VersionedTransaction
from spl.token import instructions as spl
from spl.token import models
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID, WRAPPED_SOL_MINT
from websockets.sync.client import connect

MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
CONFIRMED = {"commitment": "confirmed"}
PARSED = {**CONFIRMED, "encoding": "jsonParsed"}
BASE64 = {**CONFIRMED, "encoding": "base64"}
ANY_VERSION = {**CONFIRMED, "maxSupportedTransactionVersion": 0}
_PATIENCE_S = 60
_SOL = 10**9


def sysvar(name: str) -> str:
    """The address of a sysvar, by the part of its name that differs: `C1ock` is the clock's."""
    return f"Sysvar{name}".ljust(43, "1")


class Node:
    """An endpoint, and what was set up there: keys, tokens, a nonce, a lookup table and some transactions."""

    def __init__(self, http: str, ws: str) -> None:
        self.http, self.ws = http, ws
        self.payer, self.other = Keypair(), Keypair()
        self.mint, self.mint22, self.multisig, self.wrapped, self.nonce = (Keypair() for _ in range(5))
        self.signatures: dict[str, str] = {}

    # ---- requests

    def post(self, body: object) -> Any:
        """Posts any JSON unchanged."""
        request = urllib.request.Request(self.http, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def ask(self, method: str, *params: object) -> dict[str, Any]:
        """The whole answer, without its id and version."""
        answer = self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        return {name: value for name, value in answer.items() if name in ("result", "error")}

    def call(self, method: str, *params: object) -> Any:
        """The result of a call that must succeed."""
        answer = self.ask(method, *params)
        assert "result" in answer, (method, answer)
        return answer["result"]

    def blockhash(self) -> Hash:
        """The newest blockhash."""
        return Hash.from_string(self.call("getLatestBlockhash", CONFIRMED)["value"]["blockhash"])

    def signed(self, calls: list[Instruction], *more: Keypair, blockhash: Hash | None = None) -> str:
        """A legacy transaction that the payer signed, in base64."""
        message = Message.new_with_blockhash(calls, self.payer.pubkey(), blockhash or self.blockhash())
        return base64.b64encode(bytes(VersionedTransaction(message, [self.payer, *more]))).decode()

    def send(self, name: str, encoded: str, *, preflight: bool = True) -> None:
        """Sends a transaction and waits until it is confirmed."""
        settings = {"encoding": "base64", "preflightCommitment": "confirmed", "skipPreflight": not preflight}
        self.wait(name, self.call("sendTransaction", encoded, settings))

    def wait(self, name: str, signature: str) -> None:
        """Waits until a transaction is confirmed, and remembers it."""
        self.signatures[name] = signature
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            (status,) = self.call("getSignatureStatuses", [signature])["value"]
            if status and status["confirmationStatus"] in ("confirmed", "finalized"):
                return
            assert time.monotonic() < deadline, f"{name} was not confirmed"
            time.sleep(0.02)

    def settle(self) -> None:
        """Waits until the last transaction is finalized."""
        last = list(self.signatures.values())[-1]
        deadline = time.monotonic() + _PATIENCE_S
        while self.call("getSignatureStatuses", [last])["value"][0]["confirmationStatus"] != "finalized":
            assert time.monotonic() < deadline, "nothing is finalized"
            time.sleep(0.2)

    # ---- set-up

    def set_up(self) -> None:
        """Makes everything that `calls` reads."""
        me, them = self.payer.pubkey(), self.other.pubkey()
        self.wait("airdrop", self.call("requestAirdrop", str(me), 20 * _SOL))
        self.wait("airdrop to other", self.call("requestAirdrop", str(them), 2 * _SOL))
        self.send("mint", self.signed(self._mint(self.mint, TOKEN_PROGRAM_ID, 82, 6), self.mint))
        mine = self.account_of(me)
        create = [spl.create_associated_token_account(me, owner, self.mint.pubkey()) for owner in (me, them)]
        self.send("token accounts", self.signed(create))
        grow = spl.mint_to(
            models.MintToParams(
                program_id=TOKEN_PROGRAM_ID, mint=self.mint.pubkey(), dest=mine, mint_authority=me, amount=1_234_567
            )
        )
        give = spl.approve(
            models.ApproveParams(program_id=TOKEN_PROGRAM_ID, source=mine, delegate=them, owner=me, amount=10)
        )
        move = spl.transfer(
            models.TransferParams(
                program_id=TOKEN_PROGRAM_ID, source=mine, dest=self.account_of(them), owner=me, amount=234_567
            )
        )
        self.send("mint to", self.signed([grow, give, move]))
        self.send("multisig", self.signed(self._multisig(), self.multisig))
        self.send("wrapped", self.signed(self._wrapped(), self.wrapped))
        self.send("mint22", self.signed(self._mint(self.mint22, TOKEN_2022_PROGRAM_ID, 82, 2), self.mint22))
        new = spl.create_associated_token_account(me, me, self.mint22.pubkey(), TOKEN_2022_PROGRAM_ID)
        self.send("token22 account", self.signed([new]))
        self.send("nonce", self.signed(self._nonce(), self.nonce))
        recent = self.call("getSlot", {"commitment": "finalized"})
        made, self.table = create_lookup_table(
            CreateLookupTableParams(authority_address=me, payer_address=me, recent_slot=recent)
        )
        grown = extend_lookup_table(
            ExtendLookupTableParams(
                lookup_table_address=self.table, authority_address=me, payer_address=me, new_addresses=[them]
            )
        )
        self.send("table", self.signed([made, grown]))
        priced = [
            set_compute_unit_limit(20_000), set_compute_unit_price(1_000_000), self.pay(7),
            Instruction(MEMO, b"hello", [AccountMeta(me, True, False)]),
        ]  # fmt: skip
        self.send("memo", self.signed(priced))
        self.send("failed", self.signed([self.pay(1), self.pay(10**15)]), preflight=False)
        self.send("by nonce", self.by_nonce())

    def by_nonce(self) -> str:
        """A transaction that uses up the durable nonce."""
        me = self.payer.pubkey()
        data = base64.b64decode(self.call("getAccountInfo", str(self.nonce.pubkey()), BASE64)["value"]["data"][0])
        advance = advance_nonce_account(
            AdvanceNonceAccountParams(nonce_pubkey=self.nonce.pubkey(), authorized_pubkey=me)
        )
        return self.signed([advance, self.pay(11)], blockhash=Hash(data[40:72]))

    def pay(self, lamports: int) -> Instruction:
        """A transfer from the payer to the other."""
        return transfer(
            TransferParams(from_pubkey=self.payer.pubkey(), to_pubkey=self.other.pubkey(), lamports=lamports)
        )

    def account_of(self, owner: Pubkey, mint: Pubkey | None = None, program: Pubkey = TOKEN_PROGRAM_ID) -> Pubkey:
        """An associated token account's address."""
        return spl.get_associated_token_address(owner, mint or self.mint.pubkey(), program)

    def _new(self, account: Keypair, size: int, owner: Pubkey, more: int = 0) -> Instruction:
        lamports = self.call("getMinimumBalanceForRentExemption", size) + more
        return create_account(
            CreateAccountParams(
                from_pubkey=self.payer.pubkey(), to_pubkey=account.pubkey(), lamports=lamports, space=size, owner=owner
            )
        )

    def _mint(self, mint: Keypair, program: Pubkey, size: int, decimals: int) -> list[Instruction]:
        me = self.payer.pubkey()
        params = models.InitializeMintParams(
            decimals=decimals, program_id=program, mint=mint.pubkey(), mint_authority=me, freeze_authority=me
        )
        return [self._new(mint, size, program), spl.initialize_mint(params)]

    def _multisig(self) -> list[Instruction]:
        signers = [self.payer.pubkey(), self.other.pubkey()]
        params = models.InitializeMultisigParams(
            program_id=TOKEN_PROGRAM_ID, multisig=self.multisig.pubkey(), m=1, signers=signers
        )
        return [self._new(self.multisig, 355, TOKEN_PROGRAM_ID), spl.initialize_multisig(params)]

    def _wrapped(self) -> list[Instruction]:
        params = models.InitializeAccountParams(
            program_id=TOKEN_PROGRAM_ID, account=self.wrapped.pubkey(), mint=WRAPPED_SOL_MINT, owner=self.payer.pubkey()
        )
        return [self._new(self.wrapped, 165, TOKEN_PROGRAM_ID, 5000), spl.initialize_account(params)]

    def _nonce(self) -> list[Instruction]:
        params = InitializeNonceAccountParams(nonce_pubkey=self.nonce.pubkey(), authority=self.payer.pubkey())
        return [self._new(self.nonce, 80, SYSTEM), initialize_nonce_account(params)]

    def versioned(self, calls: list[Instruction], blockhash: Hash | None = None) -> str:
        """A signed transaction of version 0, in base64."""
        message = MessageV0.try_compile(self.payer.pubkey(), calls, [], blockhash or self.blockhash())
        return base64.b64encode(bytes(VersionedTransaction(message, [self.payer]))).decode()


def account_calls(node: Node) -> dict[str, tuple[Any, ...]]:
    """Requests about accounts: name → method and params."""
    me, mint = str(node.payer.pubkey()), str(node.mint.pubkey())
    accounts = {
        "system account": me, "missing account": str(Keypair().pubkey()), "mint": mint,
        "token account": str(node.account_of(node.payer.pubkey())), "multisig": str(node.multisig.pubkey()),
        "wrapped": str(node.wrapped.pubkey()), "mint22": str(node.mint22.pubkey()),
        "token22 account": str(
            node.account_of(node.payer.pubkey(), node.mint22.pubkey(), TOKEN_2022_PROGRAM_ID)
        ),
        "nonce": str(node.nonce.pubkey()), "table": str(node.table), "clock": sysvar("C1ock"), "rent": sysvar("Rent"),
        "epoch schedule": sysvar("EpochSchedu1e"), "recent blockhashes": sysvar("RecentB1ockHashes"),
        "system program": str(SYSTEM), "token program": str(TOKEN_PROGRAM_ID),
        "token22 program": str(TOKEN_2022_PROGRAM_ID),
    }  # fmt: skip
    out: dict[str, tuple[Any, ...]] = {}
    for name, key in accounts.items():
        out[f"getAccountInfo {name} jsonParsed"] = ("getAccountInfo", key, PARSED)
    for encoding in ("base58", "base64", "base64+zstd", None):
        settings = CONFIRMED if encoding is None else {**CONFIRMED, "encoding": encoding}
        out[f"getAccountInfo {encoding}"] = ("getAccountInfo", accounts["nonce"], settings)
    by_mint, by_program = {"mint": mint}, {"programId": str(TOKEN_PROGRAM_ID)}
    them = str(node.other.pubkey())
    return out | {
        "getMultipleAccounts parsed": ("getMultipleAccounts", [me, mint], PARSED),
        "getMultipleAccounts 101": ("getMultipleAccounts", [me] * 101),
        "getProgramAccounts parsed": (
            "getProgramAccounts", str(SYSTEM), {**PARSED, "filters": [{"memcmp": {"offset": 8, "bytes": me}}]},
        ),
        "getTokenAccountBalance": ("getTokenAccountBalance", accounts["token account"], CONFIRMED),
        "getTokenAccountBalance of a mint": ("getTokenAccountBalance", mint, CONFIRMED),
        "getTokenAccountBalance of a system account": ("getTokenAccountBalance", me, CONFIRMED),
        "getTokenAccountBalance missing": ("getTokenAccountBalance", accounts["missing account"], CONFIRMED),
        "getTokenAccountBalance 2022": ("getTokenAccountBalance", accounts["token22 account"], CONFIRMED),
        "getTokenSupply": ("getTokenSupply", mint, CONFIRMED),
        "getTokenSupply of an account": ("getTokenSupply", accounts["token account"], CONFIRMED),
        "getTokenLargestAccounts": ("getTokenLargestAccounts", mint, CONFIRMED),
        "getTokenLargestAccounts of none": ("getTokenLargestAccounts", me, CONFIRMED),
        "getTokenAccountsByOwner mint": ("getTokenAccountsByOwner", me, by_mint, PARSED),
        "getTokenAccountsByOwner program": ("getTokenAccountsByOwner", them, by_program, BASE64),
        "getTokenAccountsByOwner plain": ("getTokenAccountsByOwner", them, by_program, CONFIRMED),
        "getTokenAccountsByOwner other program": ("getTokenAccountsByOwner", me, {"programId": str(SYSTEM)}, PARSED),
        "getTokenAccountsByOwner of no mint": ("getTokenAccountsByOwner", me, {"mint": me}, PARSED),
        "getTokenAccountsByOwner no filter": ("getTokenAccountsByOwner", me, {}, PARSED),
        "getTokenAccountsByDelegate": ("getTokenAccountsByDelegate", them, by_mint, PARSED),
        "getLargestAccounts": ("getLargestAccounts",),
        "getSupply": ("getSupply",), "getSupply short": ("getSupply", {"excludeNonCirculatingAccountsList": True}),
    }  # fmt: skip


def chain_calls(node: Node) -> dict[str, tuple[Any, ...]]:
    """Requests about chain, node and blocks."""
    slot = node.call("getTransaction", node.signatures["memo"], ANY_VERSION)["slot"]
    plain = (
        "getHealth", "getVersion", "getIdentity", "getGenesisHash", "getEpochInfo", "getEpochSchedule", "getSlot",
        "getBlockHeight", "getTransactionCount", "getSlotLeader", "getLeaderSchedule", "getClusterNodes",
        "getVoteAccounts", "getInflationRate", "getInflationGovernor", "getBlockProduction", "getLatestBlockhash",
        "getStakeMinimumDelegation", "getFirstAvailableBlock", "minimumLedgerSlot", "getMaxShredInsertSlot",
        "getMaxRetransmitSlot", "getRecentPrioritizationFees", "getNothingOfThatName",
    )  # fmt: skip
    return {name: (name,) for name in plain} | {
        "getRecentPerformanceSamples": ("getRecentPerformanceSamples", 3),
        "getRecentPerformanceSamples many": ("getRecentPerformanceSamples", 721),
        "getInflationReward": ("getInflationReward", [str(node.payer.pubkey())], {"epoch": 0}),
        "getBlockCommitment": ("getBlockCommitment", 1),
        "getSlotLeaders": ("getSlotLeaders", slot, 2),
        "getLeaderSchedule of a stranger": ("getLeaderSchedule", None, {"identity": str(node.payer.pubkey())}),
        "getBlock": ("getBlock", slot, ANY_VERSION),
        "getBlock parsed": ("getBlock", slot, {**ANY_VERSION, "encoding": "jsonParsed"}),
        "getBlock accounts": ("getBlock", slot, {**ANY_VERSION, "transactionDetails": "accounts"}),
        "getBlock signatures": ("getBlock", slot, {**ANY_VERSION, "transactionDetails": "signatures"}),
        "getBlock none": ("getBlock", slot, {**ANY_VERSION, "transactionDetails": "none", "rewards": False}),
        "getBlockTime": ("getBlockTime", slot),
        "getBlocks": ("getBlocks", slot, slot, CONFIRMED),
        "getBlocksWithLimit": ("getBlocksWithLimit", slot, 1, CONFIRMED),
        "minContextSlot": ("getBalance", str(node.payer.pubkey()), {"minContextSlot": 10**12}),
        "a bad key": ("getBalance", "nonsense"),
        "no params": ("getBalance",),
    }


def transaction_calls(node: Node) -> dict[str, tuple[Any, ...]]:
    """Requests about transactions."""
    out: dict[str, tuple[Any, ...]] = {}
    for name in ("memo", "mint", "token accounts", "mint to", "failed", "by nonce", "nonce", "table"):
        for encoding in ("json", "jsonParsed"):
            out[f"getTransaction {name} {encoding}"] = (
                "getTransaction", node.signatures[name], {**ANY_VERSION, "encoding": encoding},
            )  # fmt: skip
    for encoding in ("base58", "base64", "binary"):
        out[f"getTransaction {encoding}"] = (
            "getTransaction", node.signatures["airdrop"], {**ANY_VERSION, "encoding": encoding},
        )  # fmt: skip
    me, them = str(node.payer.pubkey()), str(node.other.pubkey())
    simulate = {"encoding": "base64", "commitment": "confirmed"}
    one_signature = [node.signatures["memo"]]
    accounts = {"encoding": "base64", "addresses": [them, str(Keypair().pubkey())]}
    stale = Hash(bytes(range(32)))
    message = base64.b64encode(
        bytes(
            Message.new_with_blockhash(
                [set_compute_unit_price(10**6), node.pay(1)], node.payer.pubkey(), node.blockhash()
            )
        )
    ).decode()
    return out | {
        "getSignatureStatuses": ("getSignatureStatuses", [*one_signature, node.signatures["failed"]]),
        "getSignaturesForAddress": ("getSignaturesForAddress", me, {"limit": 3, **CONFIRMED}),
        "simulate": ("simulateTransaction", node.versioned([node.pay(1)]), simulate),
        "simulate all": (
            "simulateTransaction", node.versioned([node.pay(1)]),
            {**simulate, "sigVerify": True, "innerInstructions": True, "accounts": accounts},
        ),
        "simulate parsed accounts": (
            "simulateTransaction", node.signed([node.pay(1)]),
            {**simulate, "accounts": {"encoding": "jsonParsed", "addresses": [me]}},
        ),
        "simulate inner": (
            "simulateTransaction",
            node.signed([spl.create_associated_token_account(node.payer.pubkey(), MEMO, node.mint.pubkey())]),
            {**simulate, "innerInstructions": True},
        ),
        "simulate failing": ("simulateTransaction", node.signed([node.pay(10**15)]), simulate),
        "simulate expired": ("simulateTransaction", node.signed([node.pay(1)], blockhash=stale), simulate),
        "simulate replacing": (
            "simulateTransaction", node.signed([node.pay(1)], blockhash=stale),
            {**simulate, "replaceRecentBlockhash": True},
        ),
        "simulate by nonce": ("simulateTransaction", node.by_nonce(), simulate),
        "simulate base58": ("simulateTransaction", "1" * 40, CONFIRMED),
        "send expired": ("sendTransaction", node.signed([node.pay(1)], blockhash=stale), simulate),
        "send failing": (
            "sendTransaction", node.signed([node.pay(10**15)]),
            {"encoding": "base64", "preflightCommitment": "confirmed"},
        ),
        "send nonsense": ("sendTransaction", "AAAA", {"encoding": "base64"}),
        "getFeeForMessage": ("getFeeForMessage", message, CONFIRMED),
        "isBlockhashValid": ("isBlockhashValid", str(node.blockhash()), CONFIRMED),
    }  # fmt: skip


SUBSCRIPTIONS: dict[str, tuple[Any, ...]] = {
    "slotSubscribe": (), "rootSubscribe": (), "slotsUpdatesSubscribe": (), "voteSubscribe": (),
    "blockSubscribe": ("all",),
    "logsSubscribe": ("all", {"commitment": "processed"}),
}  # fmt: skip


def notifications(node: Node) -> dict[str, Any]:
    """The answer to each subscription and its first notification, then the numbers of equal subscriptions."""
    out: dict[str, Any] = {}
    them = str(node.other.pubkey())
    wanted = {
        **SUBSCRIPTIONS,
        "accountSubscribe": (them, {"commitment": "processed", "encoding": "jsonParsed"}),
        "programSubscribe": (
            str(SYSTEM), {"commitment": "processed", "encoding": "base64", "filters": [{"dataSize": 0}]},
        ),
    }  # fmt: skip
    for method, params in wanted.items():
        with connect(node.ws) as socket:
            socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
            answer = json.loads(socket.recv(10))
            out[method] = {name: value for name, value in answer.items() if name in ("error", "result")}
            if "error" in answer or method == "voteSubscribe":
                continue
            node.call("requestAirdrop", them, 10**6 + int.from_bytes(Keypair().secret()[:2], "big"))
            out[f"{method} notification"] = json.loads(socket.recv(30))
    with connect(node.ws) as socket:
        numbers = []
        for key in (them, them, str(node.payer.pubkey())):
            socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "accountSubscribe", "params": [key]}))
            numbers.append(json.loads(socket.recv(10))["result"])
        out["equal subscriptions share a number"] = [numbers[0] == numbers[1], numbers[0] == numbers[2]]
        for _ in range(2):
            socket.send(json.dumps({"jsonrpc": "2.0", "id": 2, "method": "accountUnsubscribe", "params": [numbers[0]]}))
            answer = json.loads(socket.recv(10))
            out.setdefault("unsubscribing twice", []).append(answer.get("result", answer.get("error")))
    return out


def capture(http: str, ws: str, *more: Callable[[Node], dict[str, tuple[Any, ...]]]) -> dict[str, Any]:
    """Sets everything up, makes every call, those of `more` too, and returns the answers by name."""
    node = Node(http, ws)
    node.set_up()
    requests = account_calls(node) | chain_calls(node) | transaction_calls(node)
    answers: dict[str, Any] = {name: node.ask(*request) for name, request in requests.items()}
    # `more` has calls at the default commitment, which see everything only once it is finalized
    node.settle()
    for calls in more:
        answers |= {name: node.ask(*request) for name, request in calls(node).items()}
    answers["a batch"] = node.post([{"jsonrpc": "2.0", "id": 1, "method": "getHealth"}, {"id": 2}])
    return answers | notifications(node)


def named(value: Any) -> Any:
    """A JSON value in which every member whose name is a public key has the same name."""
    if isinstance(value, dict):
        return {"(a key)" if 32 <= len(name) <= 44 else name: named(each) for name, each in value.items()}
    return value


def shape(value: Any) -> str:
    """The names of a JSON value's members, at every depth, as one text."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{shape(each)}" for name, each in sorted(named(value).items())) + "}"
    return "[" + ",".join(map(shape, value)) + "]" if isinstance(value, list) else ""


def differences(here: Any, there: Any, path: str = "") -> list[str]:
    """The places where two answers differ in shape, or in an error's code and message."""
    if isinstance(here, dict) and isinstance(there, dict):
        here, there = named(here), named(there)
        out = [f"{path}.{name} is missing" for name in sorted(there.keys() - here.keys())]
        out += [f"{path}.{name} is extra" for name in sorted(here.keys() - there.keys())]
        for name in sorted(here.keys() & there.keys()):
            out += differences(here[name], there[name], f"{path}.{name}")
        return out
    if isinstance(here, list) and isinstance(there, list):
        if all(isinstance(each, dict) and "pubkey" in each for each in (*here, *there)):
            # accounts come in the order of their keys, which are others on each validator
            here, there = sorted(here, key=shape), sorted(there, key=shape)
        return differences(here[0], there[0], f"{path}[]") if here and there else []
    if path.endswith((".error.code", ".error.message")) or type(here) is not type(there) or type(here) is bool:
        return [] if here == there else [f"{path}: {here!r} here, {there!r} there"]
    return []
