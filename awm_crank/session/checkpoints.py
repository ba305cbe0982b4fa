"""When to write checkpoints, and how one checkpoint is written (docs/session.md, "Checkpoints").

A checkpoint is sent as one `checkpoint_begin`, many `checkpoint_write` in any order, and one `checkpoint_finalize`, in
which the program hashes the bytes that arrived. Writing one never damages the last good checkpoint, so the crank can
abandon a new one at any point.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from ..engine.position import Position
from ..wire import layouts, programs
from ..wire.accounts import Checkpoint
from ..wire.failures import Code
from .commands import Point, Transaction
from .events import Refusal

MIN_RING = 256
REST = 3
"""No chunk travels after every third frame. Sessions that began together write together, and their chunks must leave
room for frames. Even slower checkpoints would need a longer ring, which costs as much in copies."""
MAX_TRIES = 64
"""Refusals in a row after which one checkpoint is abandoned. A batch that fails counts once for each transaction."""

_HOPELESS = {
    Code.CHECKPOINT_CONTRADICTS_LOG,
    Code.CHECKPOINT_ACTIVE,
    Code.FRAME_MISMATCH,
    Code.WRITER_MISMATCH,
}


class Cadence(NamedTuple):
    """The frames between two checkpoints and the records in the ring. Both follow from the size of a model's state."""

    interval: int
    capacity: int


def cadence(
    state_size: int, *, chunk_bytes: int, chunks_per_frame: int, min_interval: int, ring_capacity: int
) -> Cadence:
    """Returns how often to write checkpoints, and the size of a ring that holds more than two checkpoint intervals.

    Sending the chunks of a checkpoint takes `frames` frames, including frames without a chunk. An eighth of that and
    eight more frames are reserved for retries, begin and finalize.
    """
    chunks = -(-state_size // chunk_bytes)
    times = -(-chunks // chunks_per_frame)
    frames = -(-times * REST // (REST - 1))
    interval = max(min_interval, frames + frames // 8 + 8)
    return Cadence(interval, max(ring_capacity, MIN_RING, 2 * interval + interval // 2))


class CheckpointWriter:
    """Writes one checkpoint to its account.

    Args:
        writer: the crank's key.
        entity: the session's entity.
        side: 0 for account A, 1 for account B. Never pass the side of the last good checkpoint.
        position: the frame.
        state: its recurrent state, as `engine.dump` returned it before the backbone consumed the frame.
        chunk_bytes: how many bytes of state one instruction carries.

    `next` returns the transactions to send now; pass each answer to `answered`. `done` is set once the program accepted
    the whole checkpoint; `failed` says why it never will. When `wants_account` is set, read the checkpoint's account
    and pass it to `compare`.
    """

    def __init__(
        self, writer: Pubkey, entity: Pubkey, side: int, position: Position, state: bytes, *, chunk_bytes: int
    ) -> None:
        self.side = side
        self.frame = position.frame
        self.failed: str | None = None
        self.done = False
        self.wants_account = False
        self.asked = False
        """The account is being read."""
        self._writer, self._entity = writer, entity
        self.position, self.state, self._size = position, state, chunk_bytes
        self._chunks: deque[int] = deque()
        self._all_chunks()
        self._begun = False
        self._flying: dict[int, int] = {}
        """Ticket → the chunk's offset, or one of the two constants below."""
        self._refusals = 0
        self._prototype = programs.checkpoint_write(writer, entity, side, 0, b"")

    _BEGIN, _FINALIZE = -1, -2

    @property
    def outstanding(self) -> int:
        """Transactions that were sent and have no answer yet."""
        return len(self._flying)

    @property
    def chunks_left(self) -> int:
        """Chunks that still have to be sent."""
        return len(self._chunks)

    def _all_chunks(self) -> None:
        self._chunks = deque(range(0, len(self.state), self._size))

    def next(self, budget: int, ticket: Callable[[], int], *, preflight: bool = True) -> tuple[Transaction, ...]:
        """Returns up to `budget` transactions to send now; none while an answer has to come first.

        Without `preflight` the endpoint runs a chunk once instead of twice, and a lost chunk shows only when finalize
        is refused. That suits chunks between frames, where finalize comes a frame after the last chunk.
        """
        if self.done or self.failed or self.wants_account:
            return ()
        if not self._begun:
            # chunks could overtake a begin that has not landed, and would then be refused
            return () if self._flying else (self._transaction(self._BEGIN, ticket()),)
        out: list[Transaction] = []
        while self._chunks and len(out) < budget and len(self._flying) < 2 * budget:
            out.append(self._transaction(self._chunks.popleft(), ticket(), preflight))
        if not out and not self._flying:
            out.append(self._transaction(self._FINALIZE, ticket()))
        return tuple(out)

    def _transaction(self, what: int, ticket: int, preflight: bool = True) -> Transaction:
        self._flying[ticket] = what
        position = self.position
        point: Point = "checkpoint-chunk"
        if what == self._BEGIN:
            point = "checkpoint-begin"
            instruction = programs.checkpoint_begin(
                self._writer, self._entity, self.side, position.frame, position.inputs, position.players,
                position.feedback, position.chain_hash, position.extra,
            )  # fmt: skip
        elif what == self._FINALIZE:
            point = "checkpoint-finalize"
            digest = sha256(position.checkpoint_header() + self.state + position.extra).digest()
            instruction = programs.checkpoint_finalize(self._writer, self._entity, self.side, digest)
        else:
            data = self.state[what : what + self._size]
            proto = self._prototype
            # discriminator, side, then Borsh: offset u32, bytes
            body = proto.data[:9] + what.to_bytes(4, "little") + len(data).to_bytes(4, "little") + data
            instruction = Instruction(proto.program_id, body, proto.accounts)
        return Transaction(ticket, point, (instruction,), preflight)

    def answered(self, ticket: int, refusal: Refusal | None) -> bool:
        """Takes an answer. Returns False if the answer belongs to another transaction."""
        what = self._flying.pop(ticket, None)
        if what is None:
            return False
        if refusal is None:
            self._refusals = 0
            if what == self._BEGIN:
                self._begun = True
            elif what == self._FINALIZE:
                self.done = True
            return True
        self._refusals += 1
        code = refusal.code
        if code in _HOPELESS:
            self.failed = refusal.text
        elif self._refusals > MAX_TRIES:
            self.failed = f"{self._refusals} refusals in a row, the last one: {refusal.text}"
        elif what == self._FINALIZE:
            # the account may hold another checkpoint, an older one, or one with gaps; only its bytes can tell
            self.wants_account = True
        elif what != self._BEGIN:
            self._chunks.append(what)
            if code in (Code.CHECKPOINT_FINALIZED, Code.CHECKPOINT_INCOMPLETE):
                self._restart()
        return True

    def _restart(self) -> None:
        self._begun = False
        self._all_chunks()

    def compare(self, data: bytes | None) -> None:
        """Compares the checkpoint's account on chain with the state, and plans to send the chunks that differ."""
        self.wants_account = self.asked = False
        head, extra = layouts.CHECKPOINT.size, self.position.extra
        end = head + len(self.state)
        if data is None or len(data) != end + len(extra):
            self.failed = f"its account has {len(data or b'')} bytes instead of {end + len(extra)}"
            return
        account = Checkpoint.decode_head(data)
        header_at = layouts.CHECKPOINT.offset("frame")
        if data[header_at:head] != self.position.checkpoint_header() or data[end:] != extra:
            self._restart()
            return
        if account.finalized:
            self.done = data[head:end] == self.state
            if not self.done:
                self._restart()
            return
        size, state = self._size, self.state
        self._chunks = deque(
            at for at in range(0, len(state), size) if data[head + at : head + at + size] != state[at : at + size]
        )
