"""Instructions of a deposit: lamports that player 1 puts aside for a match's accounts and fees (docs/money.md)."""

from __future__ import annotations

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from . import ids
from .bolt import component_pda
from .idl import load
from .programs import checkpoint_pda

INSTRUCTIONS = {"deposit", "deposit_draw", "deposit_close", "ring_fund", "checkpoint_create_deposited"}
"""Names in the IDL."""

_HIDDEN = load("hidden_state")


def deposit_pda(entity: Pubkey) -> Pubkey:
    """A session's deposit account."""
    return Pubkey.find_program_address([b"deposit", bytes(entity)], ids.HIDDEN_STATE)[0]


def deposit(depositor: Pubkey, entity: Pubkey, lamports: int, frame_lamports: int) -> Instruction:
    """Deposits `lamports`, of which the session's writer gets `frame_lamports` for each frame. A second call adds
    lamports.

    Args:
        depositor: player 1.
    """
    return _HIDDEN.build("deposit", {"depositor": depositor, **_session(entity)}, lamports, frame_lamports)


def checkpoint_create_deposited(writer: Pubkey, entity: Pubkey, side: int, data_size: int) -> Instruction:
    """Like `programs.checkpoint_create`, but the deposit pays, and for the account's full size at once."""
    accounts = {"writer": writer, **_session(entity), "checkpoint": checkpoint_pda(entity, side)}
    return _HIDDEN.build("checkpoint_create_deposited", accounts, side, data_size)


def ring_fund(writer: Pubkey, entity: Pubkey, capacity: int) -> Instruction:
    """The deposit pays for a ring of `capacity` records, which `programs.ring_grow` then grows."""
    accounts = {"writer": writer, **_session(entity), "frame_log": component_pda(ids.FRAME_LOG, entity)}
    return _HIDDEN.build("ring_fund", accounts, capacity)


def deposit_draw(writer: Pubkey, entity: Pubkey) -> Instruction:
    """Pays the writer for the frames since it was paid last."""
    accounts = {"writer": writer, **_session(entity)}
    del accounts["session_state"]
    return _HIDDEN.build("deposit_draw", accounts)


def deposit_close(signer: Pubkey, entity: Pubkey, depositor: Pubkey, writer: Pubkey) -> Instruction:
    """Settles the deposit of an ended session: the writer's last frames to `writer`, the rest to `depositor`.

    Args:
        signer: anyone.
    """
    accounts = {"signer": signer, **_session(entity), "depositor": depositor, "writer": writer}
    return _HIDDEN.build("deposit_close", accounts)


def _session(entity: Pubkey) -> dict[str, Pubkey]:
    return {
        "hidden_state": component_pda(ids.HIDDEN_STATE, entity),
        "session_state": component_pda(ids.SESSION_STATE, entity),
        "deposit": deposit_pda(entity),
    }
