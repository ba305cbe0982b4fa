"""The embedded localnet compared with solana-test-validator, call by call: methods, errors and shapes.

The list of differences is here and, for users, in docs/localnets.md.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from localnet.calls import Node, capture, differences
from localnet.kinds.validators import SOLANA

from awm_crank.localnet.rig import EmbeddedLocalnet, LocalnetProcess
from localnet import bad_calls, bad_subscriptions, option_calls

# maps a call to the paths in its answer that may differ from the real validator's
DEVIATIONS: dict[str, tuple[str, ...]] = {
    # LiteSVM's token program is upgradeable
    "getAccountInfo token program jsonParsed": (".data",),
    # the localnet is one node without gossip, votes and stake
    "getClusterNodes": ("[].",),
    "getBlockCommitment": (".commitment",),
    # the localnet's block holds no votes, so its first transaction is the memo
    "getBlock parsed": (".instructions[]",),
    "getSignatureStatuses": (".confirmations",),
    # for the same input, the newer memo program panics, and the older one refuses it
    "send memo fails": (".error.message",),
    # LiteSVM does not count the data that a transaction loads against its limit
    "simulate little data": (".value.err",),
    "send little data": ("",),
    # programs and sysvars that LiteSVM lacks, or has in another form
    **dict.fromkeys(
        (
            "getAccountInfo Fees",
            "getAccountInfo Fees sliced",
            "getAccountInfo S1otHistory",
            "getAccountInfo StakeHistory",
            "getAccountInfo Config1111111111111111111111111111111111111",
            "getAccountInfo StakeConfig11111111111111111111111111111111",
            "getAccountInfo Feature111111111111111111111111111111111111",
        ),
        ("",),
    ),
    # the other validator was started from a snapshot of slots that are gone
    "block genesis": ("",),
    "block 1": ("",),
    "block time 0": ("",),
    # the message contains the current slot
    "production future range": (".error.message",),
    "production later range": (".error.message",),
    "getBlockCommitment parameter 0 5": (".commitment",),
    **dict.fromkeys(("statuses", "statuses searching"), (".confirmations",)),
    # a validator sends several kinds of update, and another kind may come first
    "slotsUpdatesSubscribe notification": (".result.",),
}


MORE = (
    option_calls.account_options, option_calls.program_options, option_calls.history_options,
    option_calls.cluster_options, option_calls.simulations, bad_calls.wrong_parameters, bad_calls.wrong_members,
)  # fmt: skip


def everything(http: str, ws: str) -> dict[str, Any]:
    """The answers to every call and every wrong subscription."""
    return capture(http, ws, *MORE) | bad_subscriptions.answers(Node(http, ws))


@pytest.fixture(scope="module")
def answers() -> tuple[dict[str, Any], dict[str, Any]]:
    """All answers of the embedded localnet, and of the real validator."""
    with (
        EmbeddedLocalnet("--bare") as ours,
        LocalnetProcess("solana", "--bare", "--validator", str(SOLANA)) as theirs,
    ):

        async def both() -> tuple[dict[str, Any], dict[str, Any]]:
            one, two = await asyncio.gather(
                asyncio.to_thread(everything, ours.http, ours.ws), asyncio.to_thread(everything, theirs.http, theirs.ws)
            )
            return one, two

        return asyncio.run(both())


def test_same_answers(answers: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Every call succeeds on both or fails on both, and the answers have the same members."""
    ours, theirs = answers
    assert list(ours) == list(theirs)
    found = {name: [row for row in differences(ours[name], theirs[name]) if not _allowed(name, row)] for name in theirs}
    assert {name: rows for name, rows in found.items() if rows} == {}


def _allowed(name: str, row: str) -> bool:
    parts = DEVIATIONS.get(name, ())
    # votes, which the embedded localnet's blocks do not have, come first in a block, and are parsed
    if name.startswith("block ") and name.endswith(" jsonParsed"):
        parts += (".instructions[]",)
    return any(part in row for part in parts)


def test_token_values(answers: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Amounts, supplies and costs have the same values, not only the same form."""
    ours, theirs = answers
    for name in ("getTokenAccountBalance", "getTokenSupply", "getTokenAccountBalance 2022"):
        assert ours[name]["result"]["value"] == theirs[name]["result"]["value"]
    for name in ("failed", "by nonce", "nonce"):
        one, two = (rows[f"getTransaction {name} json"]["result"]["meta"] for rows in answers)
        for member in ("computeUnitsConsumed", "costUnits", "err", "fee"):
            assert one[member] == two[member], (name, member)
    for name in ("simulate", "simulate failing"):
        one, two = (rows[name]["result"]["value"] for rows in answers)
        for member in ("loadedAccountsDataSize", "fee", "unitsConsumed", "err"):
            assert one[member] == two[member], (name, member)
