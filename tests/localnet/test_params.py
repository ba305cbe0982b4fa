"""Params of requests: valid ones are accepted, and others get the errors that a real validator sends."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.localnet import base58, params
from awm_crank.localnet.faults import RequestError


def message_of(error: pytest.ExceptionInfo[RequestError]) -> str:
    """The error's message."""
    return error.value.message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("x", "Invalid param: WrongSize"),
        ("0" * 32, "Invalid param: Invalid"),
        ("1" * 31, "Invalid param: WrongSize"),
        ("1" * 500, "Invalid param: WrongSize"),
    ],
)
def test_keys(value: str, message: str) -> None:
    """A malformed key is refused in a validator's words."""
    with pytest.raises(RequestError) as caught:
        params.parse_key(value)
    assert (caught.value.code, message_of(caught)) == (-32602, message)
    with pytest.raises(RequestError):
        params.parse_signature(value)


@given(st.binary(min_size=32, max_size=32))
def test_key_round_trip(key: bytes) -> None:
    """A key's text gives its bytes, and so does a signature's."""
    assert params.parse_key(base58.encode(key).decode()) == key
    assert params.parse_signature(base58.encode(key * 2).decode()) == key * 2


def test_too_many_keys() -> None:
    """A list of keys has a limit."""
    with pytest.raises(RequestError, match="Too many inputs provided; max 1"):
        params.keys(["1" * 32] * 2, 1)


def test_config() -> None:
    """A slot in the future gives -32016 with the current slot; no configuration is an empty one."""
    assert params.config([None], 0, 5) == {}
    assert params.config(["base64"], 0, 5) == {}
    assert params.config([{"minContextSlot": 5}], 0, 5) == {"minContextSlot": 5}
    with pytest.raises(RequestError) as caught:
        params.config([{"minContextSlot": 6}], 0, 5)
    assert (caught.value.code, caught.value.data) == (-32016, b'{"contextSlot":5}')


def test_processed_is_refused() -> None:
    """What validators say of history only from `confirmed` on is refused at `processed`."""
    params.refuse_processed({"commitment": "confirmed"})
    with pytest.raises(RequestError, match="below `confirmed`"):
        params.refuse_processed({"commitment": "processed"})


@given(st.binary(max_size=64))
def test_blob(data: bytes) -> None:
    """Transactions are read as base58 unless base64 is named."""
    assert params.blob(base64.b64encode(data).decode(), "base64", "T", 64) == data
    assert params.blob(base58.encode(data).decode(), None, "T", 64) == data


@pytest.mark.parametrize(
    ("text", "encoding", "message"),
    [
        ("AA", "hex", "unsupported encoding: hex. Supported encodings: base58, base64"),
        ("A" * 100, "base64", "base64 encoded T too large: 100 bytes (max: encoded/raw 88/64)"),
        ("A" * 100, "base58", "base58 encoded T too large: 100 bytes (max: encoded/raw 88/64)"),
        ("A===A", "base64", "invalid base64 encoding"),
        ("0", "base58", "invalid base58 encoding"),
    ],
)
def test_no_blob(text: str, encoding: str, message: str) -> None:
    """A wrong size or encoding is refused in a validator's words."""
    with pytest.raises(RequestError) as caught:
        params.blob(text, encoding, "T", 64)
    assert message_of(caught).startswith(message)


def test_supported_version() -> None:
    """The version is the member's value."""
    assert params.supported_version({}) is None
    assert params.supported_version({"maxSupportedTransactionVersion": 0}) == 0
