"""Requests with wrong parameters, for comparing the errors of two endpoints: every parameter, of every wrong kind."""

from __future__ import annotations

from typing import Any

from localnet.calls import ANY_VERSION, BASE64, CONFIRMED, Node

WRONG: dict[str, Any] = {
    "null": None,
    "true": True,
    "5": 5,
    "-1": -1,
    "1.5": 1.5,
    "2^64": 2**64,
    "text": "x",
    "no text": "",
    "[]": [],
    "[5]": [5],
    "{}": {},
    "{x}": {"x": 1},
}


def good_calls(node: Node) -> dict[str, list[Any]]:
    """A good request of each method that has parameters."""
    me, signature = str(node.payer.pubkey()), node.signatures["memo"]
    slot = node.call("getTransaction", signature, ANY_VERSION)["slot"]
    blockhash = node.call("getLatestBlockhash")["value"]["blockhash"]
    config = dict(CONFIRMED)
    by_mint = {"mint": str(node.mint.pubkey())}
    return {
        "getAccountInfo": [me, BASE64],
        "getBalance": [me, config],
        "getMultipleAccounts": [[me], BASE64],
        "getProgramAccounts": [str(node.nonce.pubkey()), BASE64],
        "getBlock": [slot, ANY_VERSION],
        "getBlockCommitment": [slot],
        "getBlockHeight": [config],
        "getBlockProduction": [config],
        "getBlockTime": [slot],
        "getBlocks": [slot, slot, config],
        "getBlocksWithLimit": [slot, 1, config],
        "getEpochInfo": [config],
        "getFeeForMessage": ["AAAA", config],
        "getInflationGovernor": [config],
        "getInflationReward": [[me], {"epoch": 0}],
        "getLargestAccounts": [config],
        "getLatestBlockhash": [config],
        "getLeaderSchedule": [slot, config],
        "getMinimumBalanceForRentExemption": [10, config],
        "getRecentPerformanceSamples": [1],
        "getRecentPrioritizationFees": [[me]],
        "getSignatureStatuses": [[signature], {"searchTransactionHistory": True}],
        "getSignaturesForAddress": [me, {"limit": 1}],
        "getSlot": [config],
        "getSlotLeader": [config],
        "getSlotLeaders": [slot, 1],
        "getStakeMinimumDelegation": [config],
        "getSupply": [config],
        "getTokenAccountBalance": [me, config],
        "getTokenAccountsByDelegate": [me, by_mint, BASE64],
        "getTokenAccountsByOwner": [me, by_mint, BASE64],
        "getTokenLargestAccounts": [by_mint["mint"], config],
        "getTokenSupply": [by_mint["mint"], config],
        "getTransaction": [signature, ANY_VERSION],
        "getTransactionCount": [config],
        "getVoteAccounts": [config],
        "isBlockhashValid": [blockhash, config],
        "requestAirdrop": [me, 5, config],
        "sendTransaction": ["AAAA", {"encoding": "base64"}],
        "simulateTransaction": ["AAAA", {"encoding": "base64"}],
        "getHealth": [],
        "getVersion": [],
        "getIdentity": [],
        "getGenesisHash": [],
        "getEpochSchedule": [],
        "getClusterNodes": [],
        "getInflationRate": [],
        "getFirstAvailableBlock": [],
        "minimumLedgerSlot": [],
        "getMaxShredInsertSlot": [],
        "getMaxRetransmitSlot": [],
        "getHighestSnapshotSlot": [],
    }


def wrong_parameters(node: Node) -> dict[str, tuple[Any, ...]]:
    """Each parameter of each method with each wrong value, left away, and one parameter too many."""
    out: dict[str, tuple[Any, ...]] = {}
    for method, good in good_calls(node).items():
        for at in range(len(good)):
            for name, value in WRONG.items():
                out[f"{method} parameter {at} {name}"] = (method, *good[:at], value, *good[at + 1 :])
            out[f"{method} {at} parameters"] = (method, *good[:at])
        out[f"{method} surplus"] = (method, *good, {})
        out[f"{method} surplus 2"] = (method, *good, {}, {})
    return out


MEMBERS: dict[str, tuple[str, ...]] = {
    "getAccountInfo": ("encoding", "dataSlice", "commitment", "minContextSlot"),
    "getMultipleAccounts": ("encoding", "dataSlice", "commitment", "minContextSlot"),
    "getProgramAccounts": (
        "encoding",
        "dataSlice",
        "commitment",
        "minContextSlot",
        "filters",
        "withContext",
        "sortResults",
    ),
    "getBalance": ("commitment", "minContextSlot"),
    "getBlock": ("encoding", "transactionDetails", "rewards", "commitment", "maxSupportedTransactionVersion"),
    "getBlockProduction": ("commitment", "identity", "range"),
    "getBlocks": ("commitment", "minContextSlot"),
    "getInflationReward": ("commitment", "epoch", "minContextSlot"),
    "getLargestAccounts": ("commitment", "filter", "sortResults"),
    "getLeaderSchedule": ("commitment", "identity"),
    "getSignatureStatuses": ("searchTransactionHistory",),
    "getSignaturesForAddress": ("commitment", "minContextSlot", "limit", "before", "until"),
    "getSupply": ("commitment", "excludeNonCirculatingAccountsList"),
    "getTokenAccountsByOwner": ("encoding", "dataSlice", "commitment", "minContextSlot"),
    "getTransaction": ("encoding", "commitment", "maxSupportedTransactionVersion"),
    "getVoteAccounts": ("commitment", "votePubkey", "keepUnstakedDelinquents", "delinquentSlotDistance"),
    "requestAirdrop": ("commitment", "recentBlockhash"),
    "sendTransaction": ("encoding", "skipPreflight", "preflightCommitment", "maxRetries", "minContextSlot"),
    "simulateTransaction": (
        "encoding",
        "sigVerify",
        "replaceRecentBlockhash",
        "commitment",
        "accounts",
        "minContextSlot",
        "innerInstructions",
    ),
}


def wrong_members(node: Node) -> dict[str, tuple[Any, ...]]:
    """Each member of each configuration object with each wrong value."""
    out: dict[str, tuple[Any, ...]] = {}
    good = good_calls(node)
    for method, members in MEMBERS.items():
        *before, config = good[method]
        for member in members:
            for name, value in WRONG.items():
                out[f"{method} {member} {name}"] = (method, *before, {**config, member: value})
    return out
