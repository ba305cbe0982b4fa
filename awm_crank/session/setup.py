"""Creates and grows the accounts that a session needs before its first frame: both checkpoints and the ring.

Clients create none of these accounts, so the crank does, within its spending limit. One instruction can grow an account
by at most 10,240 bytes. The missing parts are always computed from the accounts on chain, so a crash in between does no
harm.

In a rollup the checkpoints exist only there, and the session's components already hold the lamports for all of it
(docs/rollup.md).
"""

from __future__ import annotations

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from ..errors import AccountError
from ..wire import deposits, layouts, programs, rollup
from ..wire.accounts import FrameLog
from .checkpoints import Cadence
from .events import Role

INSTRUCTIONS_PER_TRANSACTION = 8
_RENT_PER_BYTE = 6960
_ACCOUNT_OVERHEAD = 128


def rent(size: int) -> int:
    """Lamports that an account of `size` bytes must hold (Solana's rent-exempt minimum, two years' worth)."""
    return (_ACCOUNT_OVERHEAD + size) * _RENT_PER_BYTE


def cost(state_size: int, capacity: int, *, extra_size: int = 0, in_rollup: bool = False) -> int:
    """Lamports that a session's ring and both checkpoints cost the crank in total, whether or not they exist
    already.
    """
    if in_rollup:
        return 0
    ring = capacity * (layouts.FRAME_RECORD.size + 2 * extra_size) * _RENT_PER_BYTE
    return 2 * rent(layouts.CHECKPOINT.size + state_size + 2 * extra_size) + ring


def ring_capacity(log: bytes) -> int:
    """The number of records that a frame log's ring holds. Raises LayoutError or AccountError for other data."""
    return FrameLog.decode_head(log).capacity


def missing(
    accounts: dict[Role, bytes | None], *, writer: Pubkey, entity: Pubkey, state_size: int, cadence: Cadence,
    extra_size: int = 0, in_rollup: bool = False, deposited: bool = False,
) -> list[tuple[Instruction, ...]]:  # fmt: skip
    """Returns the transactions (lists of instructions) that complete the accounts; empty if nothing is missing.

    The first transaction creates the accounts that do not exist. It must land before the others are sent.

    Args:
        extra_size: bytes of extra feedback for each player in the cartridge. The hidden state must have the same
            number.
        deposited: the session's deposit pays, and not the writer.

    Raises:
        AccountError: an account belongs to a state of another size, or the ring of a running match is missing.
    """
    steps: list[Instruction] = []
    create: list[Instruction] = []
    on_chain = deposits.checkpoint_create_deposited if deposited else programs.checkpoint_create
    make, grow = (
        (rollup.checkpoint_create_ephemeral, rollup.checkpoint_grow_ephemeral)
        if in_rollup
        else (on_chain, programs.checkpoint_grow)
    )
    for side, role in enumerate(_CHECKPOINTS):
        data = accounts[role]
        target = layouts.CHECKPOINT.size + state_size + 2 * extra_size
        length = len(data) if data else 0
        if not length:
            create.append(make(writer, entity, side, state_size))
            length = min(target, programs.GROWTH)
        else:
            size = int.from_bytes(layouts.CHECKPOINT.cut(data or b"", "data_size"), "little")
            if size != state_size:
                raise AccountError(
                    f"checkpoint {'AB'[side]} of {entity}",
                    expected=f"a state of {state_size} bytes, as the model has",
                    found=f"{size} bytes",
                    hint="end the session; it was prepared for another model",
                )
        steps += [grow(writer, entity, side)] * _growths(length, target)
    data = accounts["log"]
    log = FrameLog.decode(data or b"", address=entity)
    if not log.capacity:
        if log.total_frames:
            raise AccountError(
                f"frame log of {entity}", expected="a ring", found=f"none after {log.total_frames} frames",
                hint="the match cannot be continued: end it",
            )  # fmt: skip
        target = layouts.FRAME_LOG_BYTES + cadence.capacity * (layouts.FRAME_RECORD.size + 2 * extra_size)
        length = len(data or b"")
        # a ring of exactly this size without a capacity lacks only the last instruction
        steps += [programs.ring_grow(writer, entity, cadence.capacity)] * max(1, _growths(length, target))
        if create and deposited:
            # both are in the same transaction, so that the ring is paid for when it grows
            create.append(deposits.ring_fund(writer, entity, cadence.capacity))
    if create:
        # only the creations are sent, so that they are sure to land before the growths; those follow in the next round
        return [tuple(create)]
    each = INSTRUCTIONS_PER_TRANSACTION
    return [tuple(steps[at : at + each]) for at in range(0, len(steps), each)]


def _growths(length: int, target: int) -> int:
    return max(0, -(-(target - length) // programs.GROWTH))


_CHECKPOINTS: tuple[Role, Role] = ("checkpoint_a", "checkpoint_b")
