"""Instructions for a rollup have the accounts in the page's order and the right data, for each component."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from wire.pages import rows_behind

from awm_crank.wire import bolt, ids, programs, rollup
from awm_crank.wire.idl import load

PAYER, ENTITY, VALIDATOR = (Pubkey.from_bytes(bytes([n]) * 32) for n in (7, 8, 9))
NAMES = {program: name for name, program in ids.PROGRAMS.items()}
FOUR = ids.SESSION_COMPONENTS
EPHEMERAL = [
    (lambda: rollup.checkpoint_create_ephemeral(PAYER, ENTITY, 1, 600), "checkpoint_create_ephemeral", b"\1\x58\2\0\0"),
    (lambda: rollup.checkpoint_grow_ephemeral(PAYER, ENTITY, 1), "checkpoint_grow_ephemeral", b"\1"),
    (lambda: rollup.checkpoint_close_ephemeral(PAYER, ENTITY, 1), "checkpoint_close_ephemeral", b"\1"),
]


def test_page() -> None:
    """The page's table names these instructions, with the IDLs' accounts and flags."""
    rows = rows_behind("^## Rollup$")
    assert {row[1] for row in rows} == rollup.INSTRUCTIONS
    for _, name, _, accounts, _ in rows:
        items = [text.partition(" ") for text in accounts.split(", ")]
        expected = [(key, "w" in flags, "s" in flags) for key, _, flags in items]
        programs_ = [ids.HIDDEN_STATE] if "ephemeral" in name else [ids.SESSION_STATE, ids.INPUT_BUFFER, ids.FRAME_LOG]
        for program in programs_:
            found = load(NAMES[program]).instructions[name].accounts
            assert [(item.name, item.writable, item.signer) for item in found] == expected


@pytest.mark.parametrize("program", FOUR)
def test_delegate(program: Pubkey) -> None:
    """`delegate` has BOLT's discriminator and derived accounts, with the rollup's identity or without."""
    account = bolt.component_pda(program, ENTITY)
    made = rollup.delegate(PAYER, ENTITY, program, VALIDATOR, commit_frequency_ms=5)
    assert made.program_id == program
    assert bytes(made.data) == bytes.fromhex("5a934bb255580489") + b"\5\0\0\0\1" + bytes(VALIDATOR)
    keys = [meta.pubkey for meta in made.accounts]
    record, metadata = (
        Pubkey.find_program_address([seed, bytes(account)], ids.DELEGATION)[0]
        for seed in (b"delegation", b"delegation-metadata")
    )
    buffer = Pubkey.find_program_address([b"buffer", bytes(account)], program)[0]
    session = bolt.component_pda(ids.SESSION_STATE, ENTITY)
    assert keys == [
        PAYER, ENTITY, account, program, buffer, record, metadata, ids.DELEGATION, ids.SYSTEM_PROGRAM, session,
        *(bolt.component_pda(each, ENTITY) for each in (ids.HIDDEN_STATE, ids.FRAME_LOG)),
        Pubkey.find_program_address([b"payer", bytes(ENTITY)], program)[0],
    ]  # fmt: skip
    assert bytes(rollup.delegate(PAYER, ENTITY, program, None).data)[8:] == b"\xff\xff\xff\xff\0"


@pytest.mark.parametrize("program", FOUR)
def test_undelegate(program: Pubkey) -> None:
    """`undelegate` has BOLT's discriminator, and the hidden state's checkpoints follow."""
    made = rollup.undelegate(PAYER, ENTITY, program)
    assert bytes(made.data) == bytes.fromhex("8394b4c65b682aee")
    session, hidden = (bolt.component_pda(each, ENTITY) for each in (ids.SESSION_STATE, ids.HIDDEN_STATE))
    expected = [PAYER, bolt.component_pda(program, ENTITY), ids.MAGIC_CONTEXT, ids.MAGIC_PROGRAM, session, hidden]
    if program == ids.HIDDEN_STATE:
        expected += [programs.checkpoint_pda(ENTITY, side) for side in (0, 1)]
    assert [meta.pubkey for meta in made.accounts] == expected


@pytest.mark.parametrize(("make", "name", "data"), EPHEMERAL)
def test_ephemeral(make: Callable[[], Instruction], name: str, data: bytes) -> None:
    """The accounts are signer, hidden state, checkpoint, and the rollup's vault and program."""
    made = make()
    hidden = bolt.component_pda(ids.HIDDEN_STATE, ENTITY)
    keys = [PAYER, hidden, programs.checkpoint_pda(ENTITY, 1), ids.MAGIC_VAULT, ids.MAGIC_PROGRAM]
    if name == "checkpoint_close_ephemeral":
        keys.append(bolt.component_pda(ids.SESSION_STATE, ENTITY))
    assert [meta.pubkey for meta in made.accounts] == keys
    assert bytes(made.data) == load("hidden_state").instructions[name].discriminator + data


def test_callback() -> None:
    """The delegation program's call back has the discriminator that this program sends."""
    for program in FOUR:
        found = load(NAMES[program]).instructions["process_undelegation"].discriminator
        assert found.hex() == "c41c29ce302533a7"


def test_cost() -> None:
    """A byte costs 32 lamports, with 60 bytes on top of the data; a real create of 10,240 bytes cost 329,600."""
    assert rollup.ephemeral_cost(10_240) == 329_600
