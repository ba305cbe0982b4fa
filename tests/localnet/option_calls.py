"""Requests with every option that clients set: encodings, slices, filters, paging, commitments, versions, details."""

from __future__ import annotations

import base64
from typing import Any

from localnet.calls import ANY_VERSION, BASE64, CONFIRMED, MEMO, PARSED, Node, sysvar
from solders.compute_budget import request_heap_frame, set_compute_unit_limit, set_loaded_accounts_data_size_limit
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import ID as SYSTEM
from solders.transaction import VersionedTransaction
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID

ENCODINGS = (None, "binary", "base58", "base64", "base64+zstd", "jsonParsed")
COMMITMENTS = ("processed", "confirmed", "finalized", "recent", "single", "max")
LOADER = "BPFLoaderUpgradeab1e11111111111111111111111"


def account_options(node: Node) -> dict[str, tuple[Any, ...]]:
    """Accounts in every encoding, sliced, and at every commitment."""
    out: dict[str, tuple[Any, ...]] = {}
    mint, nonce, me = str(node.mint.pubkey()), str(node.nonce.pubkey()), str(node.payer.pubkey())
    slices = {
        "start": (0, 8),
        "middle": (4, 16),
        "none": (0, 0),
        "beyond": (10_000, 5),
        "over the end": (70, 10**6),
        "huge": (2**63, 2**63),
    }
    for encoding in ENCODINGS:
        config = CONFIRMED if encoding is None else {**CONFIRMED, "encoding": encoding}
        for name, (offset, length) in slices.items():
            piece = {**config, "dataSlice": {"offset": offset, "length": length}}
            out[f"getAccountInfo {encoding} slice {name}"] = ("getAccountInfo", nonce, piece)
        out[f"getMultipleAccounts {encoding}"] = (
            "getMultipleAccounts",
            [mint, nonce, me, str(Keypair().pubkey())],
            config,
        )
        piece = {**config, "dataSlice": {"offset": 0, "length": 4}}
        out[f"getMultipleAccounts {encoding} slice"] = ("getMultipleAccounts", [mint, nonce, me], piece)
        filters = [{"dataSize": 80}, {"memcmp": {"offset": 8, "bytes": me}}]
        out[f"getProgramAccounts {encoding}"] = ("getProgramAccounts", str(SYSTEM), {**config, "filters": filters})
        out[f"getProgramAccounts {encoding} slice"] = ("getProgramAccounts", str(SYSTEM), {**piece, "filters": filters})
        mine = {"mint": mint}
        out[f"getTokenAccountsByOwner {encoding}"] = ("getTokenAccountsByOwner", me, mine, config)
        out[f"getTokenAccountsByOwner {encoding} slice"] = ("getTokenAccountsByOwner", me, mine, piece)
    for commitment in COMMITMENTS:
        out[f"getBalance {commitment}"] = ("getBalance", me, {"commitment": commitment})
        out[f"getSlot {commitment}"] = ("getSlot", {"commitment": commitment})
        out[f"getTokenSupply {commitment}"] = ("getTokenSupply", mint, {"commitment": commitment})
        out[f"getMinimumBalanceForRentExemption {commitment}"] = (
            "getMinimumBalanceForRentExemption",
            10,
            {"commitment": commitment},
        )
    for name in ("StakeHistory", "S1otHashes", "S1otHistory", "EpochRewards", "LastRestartS1ot", "Fees", "Rewards"):
        out[f"getAccountInfo {name}"] = ("getAccountInfo", sysvar(name), PARSED)
        out[f"getAccountInfo {name} sliced"] = (
            "getAccountInfo",
            sysvar(name),
            {**BASE64, "dataSlice": {"offset": 0, "length": 4}},
        )
    for name in (
        "Vote111111111111111111111111111111111111111",
        "Stake11111111111111111111111111111111111111",
        LOADER,
        "ComputeBudget111111111111111111111111111111",
        "AddressLookupTab1e1111111111111111111111111",
        "Config1111111111111111111111111111111111111",
        "BPFLoader2111111111111111111111111111111111",
        "NativeLoader1111111111111111111111111111111",
        "Ed25519SigVerify111111111111111111111111111",
        "KeccakSecp256k11111111111111111111111111111",
        "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL",
        str(MEMO),
        "StakeConfig11111111111111111111111111111111",
        "Feature111111111111111111111111111111111111",
        "Secp256r1SigVerify1111111111111111111111111",
        "ZkE1Gama1Proof11111111111111111111111111111",
    ):
        out[f"getAccountInfo {name}"] = ("getAccountInfo", name, {**PARSED, "dataSlice": {"offset": 0, "length": 4}})
    out["getMultipleAccounts none"] = ("getMultipleAccounts", [])
    out["getMultipleAccounts parsed"] = ("getMultipleAccounts", [mint, str(node.table), nonce, sysvar("C1ock")], PARSED)
    out["getBalance minContextSlot 0"] = ("getBalance", me, {"minContextSlot": 0})
    return out


def program_options(node: Node) -> dict[str, tuple[Any, ...]]:
    """getProgramAccounts with each filter, alone and together."""
    me, mint = str(node.payer.pubkey()), str(node.mint.pubkey())
    owned = {"memcmp": {"offset": 8, "bytes": me}}
    raw = list(bytes(node.payer.pubkey()))
    filters: dict[str, list[Any]] = {
        "size and key": [{"dataSize": 80}, owned],
        "base58": [{"dataSize": 80}, {"memcmp": {**owned["memcmp"], "encoding": "base58"}}],
        "base64": [
            {"dataSize": 80},
            {"memcmp": {"offset": 8, "bytes": base64.b64encode(bytes(raw)).decode(), "encoding": "base64"}},
        ],
        "bytes": [{"dataSize": 80}, {"memcmp": {"offset": 8, "bytes": raw}}],
        "bytes named": [{"dataSize": 80}, {"memcmp": {"offset": 8, "bytes": raw, "encoding": "bytes"}}],
        "nothing to compare": [{"dataSize": 80}, owned, {"memcmp": {"offset": 0, "bytes": ""}}],
        "beyond the end": [{"dataSize": 80}, {"memcmp": {"offset": 79, "bytes": me}}],
        "two sizes": [{"dataSize": 80}, {"dataSize": 81}],
        "twice": [{"dataSize": 80}, {"dataSize": 80}, owned, owned],
        "no such size": [{"dataSize": 81}],
        "null encoding": [{"dataSize": 80}, {"memcmp": {**owned["memcmp"], "encoding": None}}],
    }
    out: dict[str, tuple[Any, ...]] = {}
    for name, given in filters.items():
        out[f"filters {name}"] = ("getProgramAccounts", str(SYSTEM), {**BASE64, "filters": given})
    tokens: list[Any] = [{"memcmp": {"offset": 0, "bytes": mint}}]
    for label, kept in {
        "size": [{"dataSize": 165}, *tokens],
        "state": ["tokenAccountState", *tokens],
        "state map": [{"tokenAccountState": None}, *tokens],
    }.items():
        config: dict[str, Any] = {**PARSED, "filters": kept}
        out[f"filters token {label}"] = ("getProgramAccounts", str(TOKEN_PROGRAM_ID), config)
        context = {**config, "withContext": True}
        out[f"filters token {label} context"] = ("getProgramAccounts", str(TOKEN_PROGRAM_ID), context)
    out["filters unsorted"] = (
        "getProgramAccounts",
        str(TOKEN_PROGRAM_ID),
        {**BASE64, "filters": tokens, "sortResults": False},
    )
    out["filters 2022"] = (
        "getProgramAccounts",
        str(TOKEN_2022_PROGRAM_ID),
        {**PARSED, "filters": [{"memcmp": {"offset": 0, "bytes": str(node.mint22.pubkey())}}]},
    )
    out["filters multisig"] = ("getProgramAccounts", str(TOKEN_PROGRAM_ID), {**PARSED, "filters": [{"dataSize": 355}]})
    out["filters tables"] = ("getProgramAccounts", "AddressLookupTab1e1111111111111111111111111", PARSED)
    out["program of nobody"] = ("getProgramAccounts", me, {"withContext": True})
    return out


def history_options(node: Node) -> dict[str, tuple[Any, ...]]:
    """Transactions, signatures and blocks in every form."""
    me, them, mint = str(node.payer.pubkey()), str(node.other.pubkey()), str(node.mint.pubkey())
    sent = node.signatures
    unknown = str(Signature(bytes(range(64))))
    out: dict[str, tuple[Any, ...]] = {}
    pages: dict[str, dict[str, Any]] = {
        "all": {},
        "two": {"limit": 2},
        "before": {"before": sent["memo"]},
        "until": {"until": sent["memo"]},
        "between": {"before": sent["failed"], "until": sent["mint to"]},
        "itself": {"before": sent["memo"], "until": sent["memo"]},
        "backwards": {"before": sent["mint to"], "until": sent["failed"]},
        "before unknown": {"before": unknown},
        "until unknown": {"until": unknown},
        "limit 0": {"limit": 0},
        "limit 1001": {"limit": 1001},
        "processed": {"commitment": "processed"},
        "minContextSlot": {"minContextSlot": 10**12},
    }
    for name, page in pages.items():
        out[f"signatures {name}"] = ("getSignaturesForAddress", me, {**CONFIRMED, **page})
    for name, key in {
        "of the other": them,
        "of the mint": mint,
        "of a program": str(TOKEN_PROGRAM_ID),
        "of nobody": str(Keypair().pubkey()),
        "of a table": str(node.table),
    }.items():
        out[f"signatures {name}"] = ("getSignaturesForAddress", key, {**CONFIRMED, "limit": 5})
    for name in (
        "airdrop",
        "mint",
        "token accounts",
        "memo",
        "failed",
        "by nonce",
        "table",
        "multisig",
        "wrapped",
        "mint22",
        "token22 account",
    ):
        for encoding in ("json", "jsonParsed", "base64", "base58", "binary"):
            out[f"transaction {name} {encoding}"] = (
                "getTransaction",
                sent[name],
                {**ANY_VERSION, "encoding": encoding},
            )
    out["transaction without version"] = ("getTransaction", sent["memo"], CONFIRMED)
    out["transaction by an encoding"] = ("getTransaction", sent["memo"], "base64")
    out["transaction unknown"] = ("getTransaction", unknown, CONFIRMED)
    for commitment in COMMITMENTS:
        out[f"transaction {commitment}"] = ("getTransaction", sent["memo"], {"commitment": commitment})
    slot = node.call("getTransaction", sent["memo"], ANY_VERSION)["slot"]
    for details in (None, "full", "accounts", "signatures", "none"):
        for rewards in (None, True, False):
            for form in (None, "json", "jsonParsed", "base64", "base58", "binary"):
                given = {"transactionDetails": details, "rewards": rewards, "encoding": form}
                config = ANY_VERSION | {member: value for member, value in given.items() if value is not None}
                out[f"block {details} {rewards} {form}"] = ("getBlock", slot, config)
    out["block without version"] = ("getBlock", slot, CONFIRMED)
    out["block by an encoding"] = ("getBlock", slot, "base64")
    out["block of the future"] = ("getBlock", 10**12, ANY_VERSION)
    for commitment in COMMITMENTS:
        out[f"block {commitment}"] = (
            "getBlock",
            slot,
            {**ANY_VERSION, "commitment": commitment, "transactionDetails": "none"},
        )
        out[f"blocks {commitment}"] = ("getBlocks", slot, slot, {"commitment": commitment})
        out[f"blocks with limit {commitment}"] = ("getBlocksWithLimit", slot, 1, {"commitment": commitment})
    out |= {
        "blocks config second": ("getBlocks", slot, CONFIRMED),
        "blocks none": ("getBlocks", slot, slot - 1),
        "blocks too many": ("getBlocks", 0, 500_001),
        "blocks many": ("getBlocks", 0, 500_000),
        "blocks limit 0": ("getBlocksWithLimit", slot, 0),
        "blocks limit many": ("getBlocksWithLimit", 0, 500_001),
        "blocks future": ("getBlocks", 10**12),
        "blocks limit future": ("getBlocksWithLimit", 10**12, 5),
        "block time of the future": ("getBlockTime", 10**12),
        "commitment of the future": ("getBlockCommitment", 10**12),
        "statuses": ("getSignatureStatuses", [sent["memo"], sent["failed"], unknown]),
        "statuses searching": ("getSignatureStatuses", [sent["memo"], unknown], {"searchTransactionHistory": True}),
        "statuses none": ("getSignatureStatuses", []),
        "statuses 257": ("getSignatureStatuses", [unknown] * 257),
        "statuses nonsense": ("getSignatureStatuses", ["x"]),
        "block genesis": ("getBlock", 0, ANY_VERSION),
        "block time 0": ("getBlockTime", 0),
        "blocks from 0": ("getBlocks", 0, 3),
        "block 1": ("getBlock", 1, ANY_VERSION),
    }
    return out


def cluster_options(node: Node) -> dict[str, tuple[Any, ...]]:
    """What wallets, explorers and command-line tools ask about a cluster."""
    me = str(node.payer.pubkey())
    leader = node.call("getSlotLeader")
    slot = node.call("getSlot")
    return {
        "production of the leader": ("getBlockProduction", {"identity": leader}),
        "production of another": ("getBlockProduction", {"identity": me}),
        "production range": ("getBlockProduction", {"range": {"firstSlot": 0, "lastSlot": slot}}),
        "production open range": ("getBlockProduction", {"range": {"firstSlot": 0}}),
        "production future range": ("getBlockProduction", {"range": {"firstSlot": 0, "lastSlot": 10**12}}),
        "production backwards": ("getBlockProduction", {"range": {"firstSlot": 5, "lastSlot": 1}}),
        "production later range": ("getBlockProduction", {"range": {"firstSlot": 10**12}}),
        "leaders 0": ("getSlotLeaders", slot, 0),
        "leaders 5000": ("getSlotLeaders", slot, 5000),
        "leaders 5001": ("getSlotLeaders", slot, 5001),
        "leaders far": ("getSlotLeaders", 10**12, 1),
        "schedule of a slot": ("getLeaderSchedule", slot),
        "schedule far": ("getLeaderSchedule", 10**12),
        "schedule of the leader": ("getLeaderSchedule", None, {"identity": leader}),
        "schedule config first": ("getLeaderSchedule", {"identity": leader}),
        "schedule nonsense": ("getLeaderSchedule", None, {"identity": "x"}),
        "votes of one": ("getVoteAccounts", {"votePubkey": me}),
        "votes unstaked": ("getVoteAccounts", {"keepUnstakedDelinquents": True, "delinquentSlotDistance": 5}),
        "largest circulating": ("getLargestAccounts", {"filter": "circulating"}),
        "largest other": ("getLargestAccounts", {"filter": "nonCirculating"}),
        "largest sorted": ("getLargestAccounts", {"sortResults": False}),
        "samples 0": ("getRecentPerformanceSamples", 0),
        "samples none": ("getRecentPerformanceSamples",),
        "samples 720": ("getRecentPerformanceSamples", 720),
        "fees of accounts": ("getRecentPrioritizationFees", [me]),
        "fees of 129": ("getRecentPrioritizationFees", [me] * 129),
        "fees nonsense": ("getRecentPrioritizationFees", ["x"]),
        "reward now": ("getInflationReward", [me]),
        "reward future": ("getInflationReward", [me], {"epoch": 10**6}),
        "reward none": ("getInflationReward", []),
        "reward nonsense": ("getInflationReward", ["x"]),
        "governor processed": ("getInflationGovernor", {"commitment": "processed"}),
        "rent of 0": ("getMinimumBalanceForRentExemption", 0),
        "rent of 10 MiB": ("getMinimumBalanceForRentExemption", 10 * 2**20),
        "rent of too much": ("getMinimumBalanceForRentExemption", 2**63),
        "epoch schedule": ("getEpochSchedule",),
        "stake minimum": ("getStakeMinimumDelegation", {"commitment": "processed"}),
        **{
            f"old {name}": (name,)
            for name in (
                "getRecentBlockhash",
                "getFees",
                "getFeeRateGovernor",
                "getFeeCalculatorForBlockhash",
                "getConfirmedBlock",
                "getConfirmedBlocks",
                "getConfirmedTransaction",
                "getConfirmedSignaturesForAddress2",
                "getSnapshotSlot",
                "getStakeActivation",
                "getTotalSupply",
                "confirmTransaction",
                "getTransactionCount ",
                "gethealth",
                "",
            )
        },
    }


def simulations(node: Node) -> dict[str, tuple[Any, ...]]:
    """simulateTransaction and sendTransaction with every option."""
    me, them = node.payer.pubkey(), node.other.pubkey()
    plain = {"encoding": "base64", "commitment": "confirmed"}
    stale = Hash(bytes(range(32)))
    pay = node.signed([node.pay(1)])
    old = node.signed([node.pay(1)], blockhash=stale)
    raw = base64.b64decode(pay)
    unsigned = base64.b64encode(raw[:1] + bytes(64) + raw[65:]).decode()
    forged = base64.b64encode(raw[:1] + bytes([raw[1] ^ 1]) + raw[2:]).decode()
    wrong = Instruction(MEMO, b"\xff", [AccountMeta(me, True, False)])
    nothing = Instruction(Pubkey(bytes(range(32))), b"", [])
    table = node.call("getAccountInfo", str(node.table), PARSED)["value"]["data"]["parsed"]["info"]["addresses"]
    accounts = {"addresses": [str(me), str(them), str(Keypair().pubkey())]}
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "plain": (pay, {}),
        "verified": (pay, {"sigVerify": True}),
        "replaced": (old, {"replaceRecentBlockhash": True}),
        "both": (old, {"replaceRecentBlockhash": True, "sigVerify": True}),
        "old": (old, {}),
        "old verified": (old, {"sigVerify": True}),
        "unsigned": (unsigned, {}),
        "unsigned verified": (unsigned, {"sigVerify": True}),
        "forged": (forged, {}),
        "forged verified": (forged, {"sigVerify": True}),
        "accounts default": (pay, {"accounts": accounts}),
        "inner": (pay, {"innerInstructions": True}),
        "processed": (pay, {"commitment": "processed"}),
        "future": (pay, {"minContextSlot": 10**12}),
        "too many accounts": (pay, {"accounts": {"addresses": [str(me)] * 10}}),
        "accounts nonsense": (pay, {"accounts": {"addresses": ["x"]}}),
        "accounts none": (pay, {"accounts": {"addresses": []}}),
        "memo fails": (node.signed([wrong]), {}),
        "no program": (node.signed([nothing]), {}),
        "poor": (node.signed([node.pay(10**17)]), {"innerInstructions": True, "accounts": accounts}),
        "no units": (node.signed([set_compute_unit_limit(1), node.pay(1)]), {}),
        "twice": (node.signed([set_compute_unit_limit(9), set_compute_unit_limit(9)]), {}),
        "heap": (node.signed([request_heap_frame(5), node.pay(1)]), {}),
        "no data": (node.signed([set_loaded_accounts_data_size_limit(0), node.pay(1)]), {}),
        "little data": (node.signed([set_loaded_accounts_data_size_limit(10), node.pay(1)]), {}),
        "empty": (node.signed([]), {}),
        "version 0": (node.versioned([node.pay(1)]), {}),
        "version 0 replaced": (node.versioned([node.pay(1)], stale), {"replaceRecentBlockhash": True}),
        "unfunded payer": (_from(Keypair(), node), {}),
        "unfunded verified": (_from(Keypair(), node), {"sigVerify": True}),
        "binary": ("0" * 20, {"encoding": "binary"}),
        "json": (pay, {"encoding": "json"}),
        "parsed": (pay, {"encoding": "jsonParsed"}),
        "too long": ("A" * 1700, {}),
        "long": ("A" * 1644, {}),
        "padding": (pay.rstrip("=") if pay.endswith("=") else pay + "=", {}),
        "not base64": ("!" + pay[1:], {}),
    }
    for form in ("binary", "base58", "base64", "base64+zstd", "jsonParsed"):
        cases[f"accounts {form}"] = (pay, {"accounts": {**accounts, "encoding": form}})
    out: dict[str, tuple[Any, ...]] = {}
    for name, (encoded, config) in cases.items():
        out[f"simulate {name}"] = ("simulateTransaction", encoded, plain | config)
    assert table == [str(them)]
    for name in (
        "old",
        "unsigned",
        "forged",
        "memo fails",
        "no program",
        "poor",
        "no units",
        "twice",
        "heap",
        "no data",
        "little data",
        "unfunded payer",
        "json",
        "parsed",
        "too long",
        "long",
        "padding",
        "not base64",
        "future",
    ):
        encoded, config = cases[name]
        sending = {"encoding": "base64", "preflightCommitment": "confirmed"} | config
        out[f"send {name}"] = ("sendTransaction", encoded, sending)
    out["send without preflight"] = ("sendTransaction", old, {"encoding": "base64", "skipPreflight": True})
    out["send forged without preflight"] = ("sendTransaction", forged, {"encoding": "base64", "skipPreflight": True})
    out["send base58 default"] = ("sendTransaction", "0" * 20)
    out["send retries"] = (
        "sendTransaction",
        old,
        {"encoding": "base64", "preflightCommitment": "confirmed", "maxRetries": 0},
    )
    message = base64.b64encode(bytes(MessageV0.try_compile(me, [node.pay(1)], [], node.blockhash()))).decode()
    out["fee of version 0"] = ("getFeeForMessage", message, CONFIRMED)
    out["fee expired"] = (
        "getFeeForMessage",
        base64.b64encode(bytes(MessageV0.try_compile(me, [node.pay(1)], [], stale))).decode(),
        CONFIRMED,
    )
    out["valid stale"] = ("isBlockhashValid", str(stale), CONFIRMED)
    return out


def _from(payer: Keypair, node: Node) -> str:
    message = MessageV0.try_compile(payer.pubkey(), [Instruction(MEMO, b"hi", [])], [], node.blockhash())
    return base64.b64encode(bytes(VersionedTransaction(message, [payer]))).decode()
