"""Instructions around a rollup (docs/formats.md, "Rollup").

They delegate a session's components, take them back, and handle checkpoints that exist in the rollup only. Source:
reference/bolt-abi.md and validators.md; `delegate` takes BOLT's accounts and then session_state.
"""

from __future__ import annotations

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from . import ids
from .bolt import component_pda
from .contract import SEEDS
from .idl import load
from .programs import checkpoint_pda, receipt_pda

INSTRUCTIONS = {
    "delegate", "process_undelegation", "undelegate",
    "checkpoint_create_ephemeral", "checkpoint_grow_ephemeral", "checkpoint_close_ephemeral",
}  # fmt: skip
"""Names in the IDLs."""

LAMPORTS_PER_BYTE = 32
"""Price of a byte of an account that exists in a rollup only. Closing the account returns it."""
_OVERHEAD = 60

_HIDDEN = load("hidden_state")
_DELEGABLE = {
    ids.SESSION_STATE: load("session_state"),
    ids.HIDDEN_STATE: _HIDDEN,
    ids.INPUT_BUFFER: load("input_buffer"),
    ids.FRAME_LOG: load("frame_log"),
}


def ephemeral_cost(size: int) -> int:
    """Lamports that an account of `size` bytes takes from its sponsor while it exists in a rollup only."""
    return (size + _OVERHEAD) * LAMPORTS_PER_BYTE


def checkpoint_create_ephemeral(writer: Pubkey, entity: Pubkey, side: int, data_size: int) -> Instruction:
    """Creates a checkpoint in a rollup, up to 10,240 bytes of it; the hidden state pays."""
    return _HIDDEN.build("checkpoint_create_ephemeral", _ephemeral("writer", writer, entity, side), side, data_size)


def checkpoint_grow_ephemeral(writer: Pubkey, entity: Pubkey, side: int) -> Instruction:
    """Grows a checkpoint in a rollup by 10,240 bytes at most; nothing at full size."""
    return _HIDDEN.build("checkpoint_grow_ephemeral", _ephemeral("writer", writer, entity, side), side)


def checkpoint_close_ephemeral(signer: Pubkey, entity: Pubkey, side: int) -> Instruction:
    """Closes a checkpoint in a rollup, of an ended session; the hidden state gets its lamports back."""
    accounts = {**_ephemeral("signer", signer, entity, side), "session_state": component_pda(ids.SESSION_STATE, entity)}
    return _HIDDEN.build("checkpoint_close_ephemeral", accounts, side)


def _ephemeral(role: str, signer: Pubkey, entity: Pubkey, side: int) -> dict[str, Pubkey]:
    hidden = component_pda(ids.HIDDEN_STATE, entity)
    return {role: signer, "hidden_state": hidden, "checkpoint": checkpoint_pda(entity, side)}


def delegate(
    payer: Pubkey, entity: Pubkey, program: Pubkey, validator: Pubkey | None, *, commit_frequency_ms: int = 2**32 - 1
) -> Instruction:
    """Delegates one of a session's components to a rollup. Runs on the base chain.

    Args:
        payer: player 1.
        program: the component's program.
        validator: the rollup's identity; None for the delegation program's default.
        commit_frequency_ms: how often the rollup commits by itself.
    """
    account = component_pda(program, entity)

    def pda(name: str, owner: Pubkey) -> Pubkey:
        return Pubkey.find_program_address([SEEDS[name], bytes(account)], owner)[0]

    accounts = {
        "payer": payer,
        "entity": entity,
        "account": account,
        "owner_program": program,
        "buffer": pda("buffer", program),
        "delegation_record": pda("delegation_record", ids.DELEGATION),
        "delegation_metadata": pda("delegation_metadata", ids.DELEGATION),
        "session_state": component_pda(ids.SESSION_STATE, entity),
        "hidden_state": component_pda(ids.HIDDEN_STATE, entity),
        "frame_log": component_pda(ids.FRAME_LOG, entity),
        "receipt": receipt_pda(program, entity),
    }
    return _DELEGABLE[program].build("delegate", accounts, commit_frequency_ms, validator)


def undelegate(payer: Pubkey, entity: Pubkey, program: Pubkey) -> Instruction:
    """Commits one of a session's components and returns it to the base chain. Runs in the rollup."""
    accounts = {
        "payer": payer,
        "account": component_pda(program, entity),
        "session_state": component_pda(ids.SESSION_STATE, entity),
        "hidden_state": component_pda(ids.HIDDEN_STATE, entity),
    }
    if program == ids.HIDDEN_STATE:
        accounts |= {"checkpoint_a": checkpoint_pda(entity, 0), "checkpoint_b": checkpoint_pda(entity, 1)}
    return _DELEGABLE[program].build("undelegate", accounts)
