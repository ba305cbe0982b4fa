"""jsonParsed accounts: any bytes are either parsed or shown unchanged."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localnet.kit import Node
from solders.account import Account
from solders.pubkey import Pubkey

from awm_crank.localnet import parsed, tokens

OWNERS = [*parsed._READERS, *tokens.PROGRAMS, Pubkey.new_unique()]

SIZES = [None, 17, 33, 36, 40, 45, 48, 56, 80, 82, 165, 355]


@given(
    st.binary(max_size=200),
    st.sampled_from(OWNERS),
    st.sampled_from(SIZES),
)
def test_any_bytes(data: bytes, owner: Pubkey, size: int | None) -> None:
    """The result is JSON with the account's size, or None; nothing is raised."""
    if size is not None:
        data = (data + bytes(size))[:size]
    account = Account(1, data, owner)
    found = parsed.parse(account, lambda _: account)
    if found is not None:
        shown = json.loads(found)
        assert shown["space"] == len(data)
        assert isinstance(shown["parsed"]["type"], str)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("C1ock", "clock"),
        ("Rent", "rent"),
        ("EpochSchedu1e", "epochSchedule"),
        ("RecentB1ockHashes", "recentBlockhashes"),
    ],
)
def test_sysvars(node: Node, name: str, kind: str) -> None:
    """The sysvars that the VM keeps are parsed."""
    address = f"Sysvar{name}".ljust(43, "1")
    shown = node.value("getAccountInfo", address, {"encoding": "jsonParsed"})["data"]
    assert (shown["program"], shown["parsed"]["type"]) == ("sysvar", kind)


def test_program_and_its_data(node: Node) -> None:
    """An upgradeable program names its data account, and that account holds the code."""
    program = node.value("getAccountInfo", str(tokens.TOKEN), {"encoding": "jsonParsed"})["data"]["parsed"]
    assert program["type"] == "program"
    data = node.value("getAccountInfo", program["info"]["programData"], {"encoding": "jsonParsed"})["data"]["parsed"]
    assert data["type"] == "programData"
    assert data["info"]["data"][1] == "base64"
