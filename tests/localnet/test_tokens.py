"""Amounts and token accounts of any bytes; test_parity.py compares them with a validator."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.account import Account

from awm_crank.localnet import tokens


@pytest.mark.parametrize(
    ("raw", "decimals", "text"),
    [
        (0, 6, "0"),
        (1, 6, "0.000001"),
        (1_234_567, 6, "1.234567"),
        (1_000_000, 6, "1"),
        (12, 0, "12"),
        (10**19, 9, "10000000000"),
    ],
)
def test_amount(raw: int, decimals: int, text: str) -> None:
    """An amount is shown as the exact decimal number, without trailing zeros."""
    amount = tokens.Amount.of(raw, decimals)
    assert (amount.amount, amount.ui_amount_string, amount.decimals) == (str(raw), text, decimals)
    assert amount.ui_amount == pytest.approx(float(text))


@given(st.binary(max_size=400), st.sampled_from([*tokens.PROGRAMS]), st.sampled_from([0, 82, 165, 355, 170]))
def test_any_bytes(data: bytes, program: object, size: int) -> None:
    """An account of a token program with any bytes is parsed or not parsed, and nothing else is raised."""
    account = Account(1, (data + bytes(size))[: size or None], program)  # type: ignore[arg-type]
    tokens.parsed(account, lambda _: account)
    assert tokens.token_account_of(account) is None or tokens.mint_of(account) is None
