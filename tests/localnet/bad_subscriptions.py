"""Subscriptions with wrong parameters, for comparing the errors of two endpoints."""

from __future__ import annotations

import json
from typing import Any

from localnet.bad_calls import WRONG
from localnet.calls import BASE64, Node, sysvar
from websockets.sync.client import connect

CLOCK = sysvar("C1ock")
GOOD: dict[str, list[Any]] = {
    "accountSubscribe": [CLOCK, BASE64],
    "programSubscribe": [CLOCK, BASE64],
    "signatureSubscribe": ["1" * 64, {"commitment": "processed"}],
    "logsSubscribe": ["all", {"commitment": "processed"}],
    "blockSubscribe": ["all", {"commitment": "confirmed"}],
    "slotSubscribe": [],
    "rootSubscribe": [],
    "slotsUpdatesSubscribe": [],
    "voteSubscribe": [],
    "accountUnsubscribe": [10**6],
    "blockUnsubscribe": [10**6],
}
MEMBERS: dict[str, tuple[str, ...]] = {
    "accountSubscribe": ("encoding", "dataSlice", "commitment", "minContextSlot"),
    "programSubscribe": ("filters", "withContext"),
    "signatureSubscribe": ("enableReceivedNotification", "commitment"),
    "logsSubscribe": ("commitment",),
    "blockSubscribe": ("showRewards", "transactionDetails", "maxSupportedTransactionVersion"),
}
MENTIONS: tuple[Any, ...] = ([], [CLOCK, CLOCK], ["x"], CLOCK, None, [5])
FILTERS: tuple[Any, ...] = (
    [{"dataSize": -1}], [{"dataSize": 1}] * 5, [{"memcmp": {"offset": 0, "bytes": "!"}}], [{"memcmp": {}}],
    ["dataSize"], [{"memcmp": {"offset": 0, "bytes": "A", "encoding": "base64"}}],
)  # fmt: skip


def requests() -> dict[str, tuple[str, Any]]:
    """Each parameter and member with each wrong value, missing and surplus: name → method and params."""
    out: dict[str, tuple[str, Any]] = {}
    for method, good in GOOD.items():
        for at in range(len(good)):
            for name, value in WRONG.items():
                out[f"{method} {at} {name}"] = (method, [*good[:at], value, *good[at + 1 :]])
            out[f"{method} only {at}"] = (method, good[:at])
        for name, params in {
            "surplus": [*good, {}, {}],
            "map": {"a": [1, None]},
            "empty map": {},
            "null": None,
        }.items():
            out[f"{method} {name}"] = (method, params)
    for method, members in MEMBERS.items():
        for member in members:
            for name, value in WRONG.items():
                out[f"{method} {member} {name}"] = (method, [GOOD[method][0], {member: value}])
    for at, value in enumerate(MENTIONS):
        out[f"mentions {at}"] = ("logsSubscribe", [{"mentions": value}])
    for at, value in enumerate(FILTERS):
        out[f"subscribed filters {at}"] = ("programSubscribe", [CLOCK, {"filters": value}])
    return out


def answers(node: Node) -> dict[str, Any]:
    """The error of each, or the word ok."""
    out: dict[str, Any] = {}
    with connect(node.ws) as socket:
        for number, (name, (method, params)) in enumerate(requests().items()):
            socket.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
            while True:
                answer = json.loads(socket.recv(10))
                if answer.get("id") == number:
                    break
            out[name] = {"error": answer["error"]} if "error" in answer else "ok"
    return out
