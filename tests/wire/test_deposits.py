"""Deposit instructions: the accounts in order, the signer and the arguments."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from awm_crank.wire import bolt, deposits, ids, programs
from awm_crank.wire.idl import load

SIGNER, ENTITY, OTHER, THIRD = (Pubkey.from_bytes(bytes([n]) * 32) for n in range(1, 5))
HIDDEN, SESSION, LOG = (bolt.component_pda(p, ENTITY) for p in (ids.HIDDEN_STATE, ids.SESSION_STATE, ids.FRAME_LOG))
DEPOSIT = Pubkey.find_program_address([b"deposit", bytes(ENTITY)], ids.HIDDEN_STATE)[0]
A, ZERO = programs.checkpoint_pda(ENTITY, 0), ids.SYSTEM_PROGRAM

CASES: list[tuple[Callable[..., Instruction], tuple[object, ...], list[Pubkey], bytes]] = [
    (deposits.deposit, (7, 5), [HIDDEN, SESSION, DEPOSIT, ZERO], b"\7" + bytes(7) + b"\5" + bytes(7)),
    (deposits.checkpoint_create_deposited, (0, 600), [HIDDEN, SESSION, A, DEPOSIT, ZERO], b"\0\x58\2\0\0"),
    (deposits.ring_fund, (300,), [HIDDEN, SESSION, DEPOSIT, LOG], b"\x2c\1"),
    (deposits.deposit_draw, (), [HIDDEN, DEPOSIT], b""),
    (deposits.deposit_close, (OTHER, THIRD), [HIDDEN, SESSION, DEPOSIT, OTHER, THIRD], b""),
]


@pytest.mark.parametrize(("make", "args", "accounts", "data"), CASES, ids=[case[0].__name__ for case in CASES])
def test_instruction(
    make: Callable[..., Instruction], args: tuple[object, ...], accounts: list[Pubkey], data: bytes
) -> None:
    """The signer comes first, then the entity's accounts in the program's order.

    The data is discriminator and arguments.
    """
    made = make(SIGNER, ENTITY, *args)
    assert [meta.pubkey for meta in made.accounts] == [SIGNER, *accounts]
    assert [meta.is_signer for meta in made.accounts] == [True] + [False] * len(accounts)
    assert bytes(made.data) == load("hidden_state").instructions[make.__name__].discriminator + data
    assert made.program_id == ids.HIDDEN_STATE


def test_every_instruction_has_its_function() -> None:
    """The module has a function for each instruction that it names, and the program has all of them."""
    assert {case[0].__name__ for case in CASES} == deposits.INSTRUCTIONS
    assert set(load("hidden_state").instructions) >= deposits.INSTRUCTIONS
    assert deposits.deposit_pda(ENTITY) == DEPOSIT
