"""Our programs' direct instructions (docs/formats.md, "Direct instructions"), and the checkpoint address.

Each function's first key signs. All raise LayoutError for an argument that does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from ..errors import LayoutError
from . import ids
from .bolt import component_pda
from .contract import MAX_INCREASE, SEEDS
from .idl import load

GROWTH = MAX_INCREASE
"""The bytes by which an account may grow in one instruction."""

_HIDDEN = load("hidden_state")
_LOG = load("frame_log")
_INPUT = load("input_buffer")
_SESSION = load("session_state")
_MANIFEST = load("model_manifest")
_SHARD = load("weight_shard")


@lru_cache(maxsize=8192)
def checkpoint_pda(entity: Pubkey, side: int) -> Pubkey:
    """The address of a session's checkpoint account; side 0 (A) or 1 (B). Raises LayoutError for another side."""
    if side not in (0, 1):
        raise LayoutError("checkpoint side", expected="0 or 1", found=side)
    return Pubkey.find_program_address([SEEDS["checkpoint"], bytes(entity), bytes((side,))], ids.HIDDEN_STATE)[0]


def receipt_pda(program: Pubkey, entity: Pubkey) -> Pubkey:
    """The address where a component program stores who paid for a component that goes to a rollup."""
    return Pubkey.find_program_address([b"payer", bytes(entity)], program)[0]


def _hidden(entity: Pubkey) -> Pubkey:
    return component_pda(ids.HIDDEN_STATE, entity)


def _session(entity: Pubkey) -> Pubkey:
    return component_pda(ids.SESSION_STATE, entity)


def _log(entity: Pubkey) -> Pubkey:
    return component_pda(ids.FRAME_LOG, entity)


def _input(entity: Pubkey) -> Pubkey:
    return component_pda(ids.INPUT_BUFFER, entity)


def bind_writer(writer: Pubkey, entity: Pubkey) -> Instruction:
    """Makes `writer` the session's writer, if it has none."""
    accounts = {"writer": writer, "hidden_state": _hidden(entity), "session_state": _session(entity)}
    return _HIDDEN.build("bind_writer", accounts)


def claim(writer: Pubkey, entity: Pubkey, expected_epoch: int) -> Instruction:
    """Raises the writer's epoch from `expected_epoch` by one. Afterwards frames of an earlier process are refused."""
    return _HIDDEN.build("claim", {"writer": writer, "hidden_state": _hidden(entity)}, expected_epoch)


def pin_cartridge(writer: Pubkey, entity: Pubkey, model: Pubkey) -> Instruction:
    """Writes the cartridge hash of `model`, the session's manifest, into the session, before its first frame."""
    accounts = {
        "writer": writer,
        "hidden_state": _hidden(entity),
        "session_state": _session(entity),
        "model_manifest": model,
    }
    return _HIDDEN.build("pin_cartridge", accounts)


def checkpoint_create(writer: Pubkey, entity: Pubkey, side: int, data_size: int) -> Instruction:
    """Creates a checkpoint account of up to 10,240 bytes for `data_size` bytes of recurrent state; `writer` pays."""
    accounts = {
        "writer": writer,
        "hidden_state": _hidden(entity),
        "session_state": _session(entity),
        "checkpoint": checkpoint_pda(entity, side),
    }
    return _HIDDEN.build("checkpoint_create", accounts, side, data_size)


def checkpoint_grow(writer: Pubkey, entity: Pubkey, side: int) -> Instruction:
    """Grows a checkpoint account by at most 10,240 bytes."""
    accounts = {"writer": writer, "hidden_state": _hidden(entity), "checkpoint": checkpoint_pda(entity, side)}
    return _HIDDEN.build("checkpoint_grow", accounts, side)


def checkpoint_begin(
    writer: Pubkey,
    entity: Pubkey,
    side: int,
    frame: int,
    inputs: bytes,
    players: bytes,
    feedback: bytes,
    chain_hash: bytes,
    extra: bytes = b"",
) -> Instruction:
    """Opens a checkpoint of frame `frame`, with that frame's inputs (16), players (64), feedback (16) and hash (32).

    `extra` is that frame's extra feedback.
    """
    accounts = {"writer": writer, "hidden_state": _hidden(entity), "checkpoint": checkpoint_pda(entity, side)}
    made = _HIDDEN.build("checkpoint_begin", accounts, side, frame, inputs, players, feedback, chain_hash)
    return Instruction(made.program_id, bytes(made.data) + extra, made.accounts)


def checkpoint_write(writer: Pubkey, entity: Pubkey, side: int, offset: int, data: bytes) -> Instruction:
    """Writes bytes of the recurrent state; `offset` counts within it."""
    accounts = {"writer": writer, "hidden_state": _hidden(entity), "checkpoint": checkpoint_pda(entity, side)}
    return _HIDDEN.build("checkpoint_write", accounts, side, offset, data)


def checkpoint_finalize(writer: Pubkey, entity: Pubkey, side: int, data_hash: bytes) -> Instruction:
    """Makes the program hash the checkpoint; the result must be `data_hash` (32 bytes)."""
    accounts = {
        "writer": writer,
        "hidden_state": _hidden(entity),
        "checkpoint": checkpoint_pda(entity, side),
        "frame_log": _log(entity),
    }
    return _HIDDEN.build("checkpoint_finalize", accounts, side, data_hash)


def checkpoint_close(signer: Pubkey, entity: Pubkey, side: int, payer: Pubkey) -> Instruction:
    """Closes a checkpoint of a settled session. The lamports go to `payer`, who paid for it. Anyone may sign."""
    accounts = {
        "signer": signer,
        "hidden_state": _hidden(entity),
        "session_state": _session(entity),
        "checkpoint": checkpoint_pda(entity, side),
        "payer": payer,
    }
    return _HIDDEN.build("checkpoint_close", accounts, side)


def close_hidden_state(signer: Pubkey, entity: Pubkey, payer: Pubkey | None = None) -> Instruction:
    """Closes the hidden state once checkpoints and deposit are gone.

    Args:
        signer: anyone for a settled session; player 1 while nobody has joined; the payer before CREATE.
        payer: who paid for the component and gets its lamports; None: the signer.
    """
    return _HIDDEN.build("close", _closing(signer, entity, payer, ids.HIDDEN_STATE, "hidden_state"))


def ring_grow(writer: Pubkey, entity: Pubkey, capacity: int) -> Instruction:
    """Grows the frame ring by at most 10,240 bytes; the last growth sets the capacity, in records."""
    accounts = {
        "writer": writer,
        "hidden_state": _hidden(entity),
        "session_state": _session(entity),
        "frame_log": _log(entity),
    }
    return _LOG.build("ring_grow", accounts, capacity)


def ring_shrink(signer: Pubkey, entity: Pubkey, payer: Pubkey) -> Instruction:
    """Closes the ring of a settled session. `payer` gets back what it paid. Anyone may sign."""
    accounts = {"signer": signer, "session_state": _session(entity), "frame_log": _log(entity), "payer": payer}
    return _LOG.build("ring_shrink", accounts)


def close_frame_log(signer: Pubkey, entity: Pubkey, payer: Pubkey | None = None) -> Instruction:
    """Closes the frame log once its ring is gone; arguments as `close_hidden_state`."""
    return _LOG.build("close", _closing(signer, entity, payer, ids.FRAME_LOG, "frame_log"))


def close_input_buffer(signer: Pubkey, entity: Pubkey, payer: Pubkey | None = None) -> Instruction:
    """Closes the input buffer; arguments as `close_hidden_state`."""
    return _INPUT.build("close", _closing(signer, entity, payer, ids.INPUT_BUFFER, "input_buffer"))


def close_session_state(signer: Pubkey, entity: Pubkey, payer: Pubkey | None = None) -> Instruction:
    """Closes the session state, the last of the four; arguments as `close_hidden_state`."""
    accounts = _closing(signer, entity, payer, ids.SESSION_STATE, "session_state")
    accounts |= {"hidden_state": _hidden(entity), "input_buffer": _input(entity), "frame_log": _log(entity)}
    return _SESSION.build("close", accounts)


def _closing(signer: Pubkey, entity: Pubkey, payer: Pubkey | None, program: Pubkey, name: str) -> dict[str, Pubkey]:
    return {
        "signer": signer,
        name: component_pda(program, entity),
        "session_state": _session(entity),
        "payer": payer or signer,
        "receipt": receipt_pda(program, entity),
    }


def shard_grow(authority: Pubkey, shard: Pubkey, shard_index: int, data_size: int) -> Instruction:
    """Grows a shard by at most 10,240 bytes, towards `data_size` bytes of data."""
    return _SHARD.build("shard_grow", {"authority": authority, "shard": shard}, shard_index, data_size)


def shard_write(authority: Pubkey, shard: Pubkey, offset: int, data: bytes) -> Instruction:
    """Writes bytes of a shard's data; `offset` counts within it."""
    return _SHARD.build("shard_write", {"authority": authority, "shard": shard}, offset, data)


def shard_hash_leaves(authority: Pubkey, shard: Pubkey, count: int) -> Instruction:
    """Makes the program hash the next `count` leaves of 65,536 bytes."""
    return _SHARD.build("shard_hash_leaves", {"authority": authority, "shard": shard}, count)


def shard_finalize(authority: Pubkey, shard: Pubkey, data_hash: bytes) -> Instruction:
    """Freezes a shard; `data_hash` (32 bytes) is SHA-256 of its data."""
    return _SHARD.build("shard_finalize", {"authority": authority, "shard": shard}, data_hash)


def shard_close(authority: Pubkey, shard: Pubkey) -> Instruction:
    """Closes a shard. The rent returns to its authority."""
    return _SHARD.build("shard_close", {"authority": authority, "shard": shard})


def manifest_write(authority: Pubkey, manifest: Pubkey, offset: int, data: bytes) -> Instruction:
    """Writes fields of a manifest; `offset` counts from the account's start."""
    return _MANIFEST.build("manifest_write", {"authority": authority, "manifest": manifest}, offset, data)


def manifest_finalize(authority: Pubkey, manifest: Pubkey, shards: Iterable[Pubkey]) -> Instruction:
    """Sets `ready` if every shard is the one listed, finalized, and of the listed size."""
    rest = tuple(AccountMeta(shard, is_signer=False, is_writable=False) for shard in shards)
    return _MANIFEST.build("manifest_finalize", {"authority": authority, "manifest": manifest}, rest=rest)


def manifest_close(authority: Pubkey, manifest: Pubkey) -> Instruction:
    """Closes a manifest. The rent returns to its authority."""
    return _MANIFEST.build("manifest_close", {"authority": authority, "manifest": manifest})
