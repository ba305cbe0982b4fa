"""Base64 is read, and refused in the words of Rust's decoder."""

from __future__ import annotations

import base64 as python

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.localnet import base64


@given(st.binary(max_size=40))
def test_round_trip(data: bytes) -> None:
    """Decoding returns the bytes that were encoded."""
    assert base64.decode(python.b64encode(data).decode()) == data


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A", "InvalidLength(1)"),
        ("AA", "InvalidPadding"),
        ("!AAA", "InvalidByte(0, 33)"),
        ("AA é", "InvalidByte(2, 32)"),
    ],
)
def test_refused(text: str, words: str) -> None:
    """Text that is not base64 is refused."""
    with pytest.raises(ValueError) as caught:
        base64.decode(text)
    assert str(caught.value) == words


@given(st.text(max_size=12))
def test_any_text(text: str) -> None:
    """Any text is decoded or refused with ValueError."""
    try:
        base64.decode(text)
    except ValueError as error:
        assert str(error)
