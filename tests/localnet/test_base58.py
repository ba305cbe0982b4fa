"""base58 of any length, compared with solders for keys and signatures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from solders.signature import Signature

from awm_crank.localnet import base58


@given(st.binary(max_size=130))
def test_round_trip(data: bytes) -> None:
    """Any bytes are decoded to themselves, with their leading zeros."""
    assert base58.decode(base58.encode(data).decode()) == data


@given(st.binary(min_size=32, max_size=32))
def test_keys_as_solders(data: bytes) -> None:
    """Keys and signatures have the same text as in solders."""
    assert base58.encode(data).decode() == str(Pubkey.from_bytes(data))
    assert base58.encode(data + data).decode() == str(Signature.from_bytes(data + data))


@pytest.mark.parametrize("text", ["0", "O", "I", "l", "ab c", "é"])
def test_foreign_characters(text: str) -> None:
    """A character outside the alphabet is refused."""
    with pytest.raises(ValueError, match="Character"):
        base58.decode(text)
