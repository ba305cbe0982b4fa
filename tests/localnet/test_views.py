"""Accounts in the encodings that clients ask for."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from solders.account import Account
from solders.pubkey import Pubkey

from awm_crank.localnet import base58
from awm_crank.localnet.faults import RequestError
from awm_crank.localnet.schema import METHODS, bind
from awm_crank.localnet.views import AccountView, Filters

OWNER = Pubkey.from_bytes(b"\5" * 32)


def shown(data: bytes, config: dict[str, Any]) -> Any:
    """An account with that data in a view."""
    return json.loads(AccountView.parse(config).render(Account(7, data, OWNER, False, 2**64 - 1)))


@given(st.binary(max_size=300))
def test_base64_and_zstd_give_the_data_back(data: bytes) -> None:
    """Both encodings of any data decode to it."""
    plain = shown(data, {"encoding": "base64"})
    assert base64.b64decode(plain["data"][0]) == data
    packed, name = shown(data, {"encoding": "base64+zstd"})["data"]
    assert name == "base64+zstd"
    assert zstandard.ZstdDecompressor().decompress(base64.b64decode(packed)) == data


def test_all_fields() -> None:
    """An account shows every field that validators show, and jsonParsed falls back to base64."""
    assert shown(b"abc", {"encoding": "jsonParsed"}) == {
        "data": ["YWJj", "base64"],
        "executable": False,
        "lamports": 7,
        "owner": str(OWNER),
        "rentEpoch": 2**64 - 1,
        "space": 3,
    }


def test_base58_forms() -> None:
    """`base58` gives a pair, no encoding gives the old bare string, and long data is reported as too long."""
    assert shown(b"abc", {"encoding": "base58"})["data"] == [base58.encode(b"abc").decode(), "base58"]
    assert shown(b"abc", {})["data"] == base58.encode(b"abc").decode()
    assert "too large" in shown(bytes(129), {})["data"]


def test_long_base58_is_refused_where_an_answer_waits() -> None:
    """More than 128 bytes in base58 is an invalid request, counted after slicing."""
    account = Account(1, bytes(300), OWNER)
    with pytest.raises(RequestError, match="128 bytes") as caught:
        AccountView.parse({}).refuse_long(account)
    assert caught.value.code == -32600
    AccountView.parse({"dataSlice": {"offset": 10, "length": 128}}).refuse_long(account)
    AccountView.parse({"encoding": "base64"}).refuse_long(account)


@given(st.binary(max_size=60), st.integers(0, 80), st.integers(0, 80))
def test_slices(data: bytes, offset: int, length: int) -> None:
    """A slice equals Python's own, and `space` stays the size of the whole."""
    row = shown(data, {"encoding": "base64", "dataSlice": {"offset": offset, "length": length}})
    assert base64.b64decode(row["data"][0]) == data[offset : offset + length]
    assert row["space"] == len(data)


def test_missing_account_is_empty() -> None:
    """A closed account is shown as an empty one of the system program."""
    row = json.loads(AccountView("base64").render(None))
    assert (row["lamports"], row["data"], row["owner"]) == (0, ["", "base64"], str(Pubkey.default()))


def filters_of(given: object) -> Filters:
    """The filters of a request, whose parameters are checked first."""
    params = bind(METHODS["getProgramAccounts"], [str(OWNER), {"filters": given}])
    return Filters.parse(params[1]["filters"])


@given(st.binary(min_size=1, max_size=40), st.integers(0, 45), st.binary(min_size=1, max_size=3))
def test_filters(data: bytes, offset: int, wanted: bytes) -> None:
    """memcmp compares at its offset, in base58 and base64; dataSize compares the size; all filters must match."""
    account = Account(1, data, OWNER)
    there = data[offset : offset + len(wanted)] == wanted
    text = base58.encode(wanted).decode()
    coded = base64.b64encode(wanted).decode()
    for compare in (
        {"offset": offset, "bytes": text},
        {"offset": offset, "bytes": text, "encoding": "base58"},
        {"offset": offset, "bytes": coded, "encoding": "base64"},
        {"offset": offset, "bytes": list(wanted)},
    ):
        assert filters_of([{"memcmp": compare}]).match(account) is there
        assert filters_of([{"dataSize": len(data)}, {"memcmp": compare}]).match(account) is there
        assert not filters_of([{"dataSize": len(data) + 1}, {"memcmp": compare}]).match(account)


@pytest.mark.parametrize(
    "filters",
    [
        {},
        [{"dataSize": -1}],
        [{"size": 1}],
        [{"memcmp": {"bytes": "1"}}],
        [{"memcmp": {"offset": 0, "bytes": "0"}}],
        [{"memcmp": {"offset": 0, "bytes": "1" * 300}}],
        [{"memcmp": {"offset": 0, "bytes": "%", "encoding": "base64"}}],
        [{"memcmp": {"offset": 0, "bytes": [300]}}],
        [{"memcmp": {"offset": 0}}],
        [{"memcmp": {"offset": 0, "bytes": [0] * 129}}],
        [{"dataSize": 1}] * 5,
    ],
)
def test_no_filters(filters: object) -> None:
    """A malformed filter is refused as invalid params."""
    with pytest.raises(RequestError) as caught:
        filters_of(filters)
    assert caught.value.code == -32602
