"""The embedded localnet compared with solana-test-validator, call by call: methods, errors and shapes.

The list of differences is here and, for users, in docs/localnets.md.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from localnet.calls import capture, differences
from localnet.kinds.validators import SOLANA

from awm_crank.localnet.rig import EmbeddedLocalnet, LocalnetProcess

# call → what may differ, as a part of the path
DEVIATIONS: dict[str, tuple[str, ...]] = {
    # LiteSVM's token program is upgradeable
    "getAccountInfo token program jsonParsed": (".data",),
    # the localnet is one node without gossip, votes and stake
    "getClusterNodes": ("[].",),
    "getBlockCommitment": (".commitment",),
    # the localnet's block holds no votes, so its first transaction is the memo
    "getBlock parsed": (".instructions[]",),
    "getSignatureStatuses": (".confirmations",),
    # the other validator's deserializer words this differently
    "send nonsense": (".error.message",),
    # a validator sends several kinds of update, and another kind may come first
    "slotsUpdatesSubscribe notification": (".result.",),
}


@pytest.fixture(scope="module")
def answers() -> tuple[dict[str, Any], dict[str, Any]]:
    """All answers of the embedded localnet, and of the real validator."""
    with (
        EmbeddedLocalnet("--bare") as ours,
        LocalnetProcess("solana", "--bare", "--validator", str(SOLANA)) as theirs,
    ):

        async def both() -> tuple[dict[str, Any], dict[str, Any]]:
            one, two = await asyncio.gather(
                asyncio.to_thread(capture, ours.http, ours.ws), asyncio.to_thread(capture, theirs.http, theirs.ws)
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
    return any(part in row for part in DEVIATIONS.get(name, ()))


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
