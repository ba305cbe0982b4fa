"""Direct instructions have the right program, the right accounts of the right entity, and the right data."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from awm_crank.errors import LayoutError
from awm_crank.wire import bolt, deposits, ids, programs, rollup
from awm_crank.wire.idl import load

SIGNER, ENTITY, OTHER = (Pubkey.from_bytes(bytes([n]) * 32) for n in (7, 8, 9))
HIDDEN, SESSION, LOG, BUFFER = (
    bolt.component_pda(program, ENTITY)
    for program in (ids.HIDDEN_STATE, ids.SESSION_STATE, ids.FRAME_LOG, ids.INPUT_BUFFER)
)
A, B = programs.checkpoint_pda(ENTITY, 0), programs.checkpoint_pda(ENTITY, 1)
ZERO = ids.SYSTEM_PROGRAM
RECEIPTS = [
    programs.receipt_pda(program, ENTITY)
    for program in (ids.HIDDEN_STATE, ids.FRAME_LOG, ids.INPUT_BUFFER, ids.SESSION_STATE)
]

HID, LOGS, SHARD, MANIFEST = "hidden_state", "frame_log", "weight_shard", "model_manifest"

# function, its arguments, program, instruction, accounts and data, without signer and discriminator
CASES: list[tuple[Callable[..., Instruction], tuple[object, ...], str, str, list[Pubkey], bytes]] = [
    (programs.bind_writer, (ENTITY,), HID, "bind_writer", [HIDDEN, SESSION], b""),
    (programs.claim, (ENTITY, 5), HID, "claim", [HIDDEN], b"\x05\0\0\0"),
    (programs.checkpoint_create, (ENTITY, 1, 600), HID, "checkpoint_create", [HIDDEN, SESSION, B, ZERO],
     b"\x01\x58\x02\0\0"),
    (programs.pin_cartridge, (ENTITY, OTHER), HID, "pin_cartridge", [HIDDEN, SESSION, OTHER], b""),
    (programs.checkpoint_grow, (ENTITY, 0), HID, "checkpoint_grow", [HIDDEN, A, ZERO], b"\0"),
    (
        programs.checkpoint_begin,
        (ENTITY, 1, 9, b"i" * 16, b"p" * 64, b"f" * 16, b"c" * 32),
        HID, "checkpoint_begin", [HIDDEN, B],
        b"\x01\x09\0\0\0" + b"i" * 16 + b"p" * 64 + b"f" * 16 + b"c" * 32,
    ),
    (programs.checkpoint_write, (ENTITY, 0, 3, b"xy"), HID, "checkpoint_write", [HIDDEN, A], b"\0\3\0\0\0\2\0\0\0xy"),
    (programs.checkpoint_finalize, (ENTITY, 1, b"h" * 32), HID, "checkpoint_finalize", [HIDDEN, B, LOG],
     b"\1" + b"h" * 32),
    (programs.checkpoint_close, (ENTITY, 0, OTHER), HID, "checkpoint_close", [HIDDEN, SESSION, A, OTHER], b"\0"),
    (programs.close_hidden_state, (ENTITY, OTHER), HID, "close", [HIDDEN, SESSION, OTHER, RECEIPTS[0]], b""),
    (programs.ring_grow, (ENTITY, 300), LOGS, "ring_grow", [HIDDEN, SESSION, LOG, ZERO], b"\x2c\x01"),
    (programs.ring_shrink, (ENTITY, OTHER), LOGS, "ring_shrink", [SESSION, LOG, OTHER], b""),
    (programs.close_frame_log, (ENTITY, OTHER), LOGS, "close", [LOG, SESSION, OTHER, RECEIPTS[1]], b""),
    (programs.close_input_buffer, (ENTITY, OTHER), "input_buffer", "close", [BUFFER, SESSION, OTHER, RECEIPTS[2]],
     b""),
    (programs.close_session_state, (ENTITY, OTHER), "session_state", "close",
     [SESSION, HIDDEN, BUFFER, LOG, OTHER, RECEIPTS[3]], b""),
    (programs.shard_grow, (OTHER, 2, 600), SHARD, "shard_grow", [OTHER, ZERO], b"\x02\x58\x02\0\0"),
    (programs.shard_write, (OTHER, 3, b"xy"), SHARD, "shard_write", [OTHER], b"\x03\0\0\0\x02\0\0\0xy"),
    (programs.shard_hash_leaves, (OTHER, 7), SHARD, "shard_hash_leaves", [OTHER], b"\x07\0"),
    (programs.shard_finalize, (OTHER, b"h" * 32), SHARD, "shard_finalize", [OTHER], b"h" * 32),
    (programs.shard_close, (OTHER,), SHARD, "shard_close", [OTHER], b""),
    (programs.manifest_write, (OTHER, 40, b"xy"), MANIFEST, "manifest_write", [OTHER], b"\x28\0\x02\0\0\0xy"),
    (programs.manifest_finalize, (OTHER, [A, B]), MANIFEST, "manifest_finalize", [OTHER, A, B], b""),
    (programs.manifest_close, (OTHER,), MANIFEST, "manifest_close", [OTHER], b""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "args", "program", "name", "accounts", "data"), CASES, ids=[case[0].__name__ for case in CASES]
)
def test_instruction(
    make: Callable[..., Instruction],
    args: tuple[object, ...],
    program: str,
    name: str,
    accounts: list[Pubkey],
    data: bytes,
) -> None:
    """An instruction names its program and its accounts in order, and carries discriminator and arguments."""
    built = make(SIGNER, *args)
    definition = load(program).instructions[name]
    assert built.program_id == ids.PROGRAMS[program]
    assert [meta.pubkey for meta in built.accounts] == [SIGNER, *accounts]
    assert bytes(built.data) == definition.discriminator + data
    assert [meta.is_signer for meta in built.accounts] == [True] + [False] * len(accounts)
    flags = [meta.is_writable for meta in built.accounts]
    assert flags[: len(definition.accounts)] == [item.writable for item in definition.accounts]


def test_every_direct_instruction_has_its_function() -> None:
    """The functions of the module and the instructions of the IDLs are the same set."""
    bolts = {"initialize", "update", "update_with_session", "destroy", *rollup.INSTRUCTIONS, *deposits.INSTRUCTIONS}
    in_idls = {(name, each) for name in ids.COMPONENTS for each in load(name).instructions if each not in bolts}
    assert {(case[2], case[3]) for case in CASES} == in_idls
    functions = {
        name for name, value in vars(programs).items()
        if inspect.isfunction(value) and value.__module__ == programs.__name__ and not name.startswith("_")
    }  # fmt: skip
    assert functions - {"receipt_pda"} == {case[0].__name__ for case in CASES}


def test_checkpoint_address() -> None:
    """A checkpoint is the PDA of "checkpoint", entity and side under hidden-state, and there are two."""
    seeds = [b"checkpoint", bytes(ENTITY), b"\x01"]
    assert Pubkey.find_program_address(seeds, ids.HIDDEN_STATE)[0] == B
    with pytest.raises(LayoutError, match="side; expected 0 or 1, found 2"):
        programs.checkpoint_pda(ENTITY, 2)
