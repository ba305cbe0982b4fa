"""jsonParsed instructions: known ones by name, all others unchanged."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from awm_crank.localnet import base58, instructions
from awm_crank.localnet.instructions import Call

KEYS = [*instructions._PROGRAMS, *instructions.MEMOS, b"\7" * 32]


@given(st.integers(0, len(KEYS) - 1), st.binary(max_size=40), st.integers(0, 30), st.binary(max_size=120))
def test_any_bytes(program: int, accounts: bytes, number: int, rest: bytes) -> None:
    """Every instruction is shown either parsed with a name, or with its accounts and data unchanged."""
    data = number.to_bytes(4, "little") + rest if number % 2 else bytes([number]) + rest
    call = Call(program, bytes(index % len(KEYS) for index in accounts), data, 1)
    shown = json.loads(instructions.parsed(call, KEYS))
    if "parsed" in shown:
        assert shown["program"]
        assert "data" not in shown
    else:
        assert base58.decode(shown["data"]) == data
        assert len(shown["accounts"]) == len(accounts)


def test_multisig_authority() -> None:
    """A token transfer by a multisig names the multisig and its signers; a plain one names its authority."""
    token = list(instructions._PROGRAMS)[1]
    keys = [token, *(bytes([number]) * 32 for number in range(1, 6))]
    data = bytes([3]) + (5).to_bytes(8, "little")
    plain = json.loads(instructions.parsed(Call(0, bytes([1, 2, 3]), data, 1), keys))["parsed"]
    assert plain["info"]["amount"] == "5"
    assert "authority" in plain["info"]
    shared = json.loads(instructions.parsed(Call(0, bytes([1, 2, 3, 4, 5]), data, 1), keys))["parsed"]
    assert shared["info"]["multisigAuthority"] == plain["info"]["authority"]
    assert len(shared["info"]["signers"]) == 2
