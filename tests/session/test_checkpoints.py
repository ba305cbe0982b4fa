"""One checkpoint's writer (order, retries, repair), and how often a checkpoint is due."""

from __future__ import annotations

from hashlib import sha256
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session.script import ENTITY, ME, refusal

from awm_crank.engine.position import Position
from awm_crank.session.checkpoints import MAX_TRIES, CheckpointWriter, cadence
from awm_crank.session.commands import Transaction
from awm_crank.wire import layouts
from awm_crank.wire.accounts import Checkpoint
from awm_crank.wire.failures import Code

BLOCK = bytes(range(97))
HEADER = Position(77, BLOCK, bytes([5] * 32))
STATE = bytes(n % 251 for n in range(2_345))


def writer() -> CheckpointWriter:
    """A writer of a checkpoint that has five chunks."""
    return CheckpointWriter(ME, ENTITY, 1, HEADER, STATE, chunk_bytes=500)


def points(transactions: tuple[Transaction, ...]) -> list[str]:
    """The points of these commands."""
    return [transaction.point for transaction in transactions]


def begun() -> tuple[CheckpointWriter, count[int]]:
    """A writer whose begin was accepted."""
    one, tickets = writer(), count(1)
    (begin,) = one.next(4, lambda: next(tickets))
    one.answered(begin.ticket, None)
    return one, tickets


def account(*, finalized: bool = False, state: bytes = STATE, header: Position = HEADER) -> bytes:
    """The checkpoint's account."""
    block = header.block
    return Checkpoint(
        ENTITY, 1, finalized, 0, len(state), bytes(32), ENTITY, header.frame, block[80:96], block[:64], block[64:80],
        header.chain_hash, 0, state,
    ).encode()  # fmt: skip


def test_header_bytes() -> None:
    """The header is the account's bytes from the field `frame` up to the state, exactly as the program hashes them."""
    data = account()
    assert HEADER.checkpoint_header() == data[layouts.CHECKPOINT.offset("frame") : layouts.CHECKPOINT.size]


def test_order() -> None:
    """Begin goes out alone, then the chunks, and finalize only when every chunk has been accepted."""
    one, tickets = writer(), count(1)
    draw = tickets.__next__
    (begin,) = one.next(4, draw)
    assert begin.point == "checkpoint-begin"
    assert one.next(4, draw) == ()
    one.answered(begin.ticket, None)
    first = one.next(4, draw)
    assert points(first) == ["checkpoint-chunk"] * 4
    second = one.next(4, draw)
    assert points(second) == ["checkpoint-chunk"]
    assert one.next(4, draw) == ()
    for transaction in (*first, *second):
        assert one.answered(transaction.ticket, None)
    (finalize,) = one.next(4, draw)
    assert bytes(finalize.instructions[0].data)[9:] == sha256(HEADER.checkpoint_header() + STATE).digest()
    one.answered(finalize.ticket, None)
    assert one.done
    assert one.next(4, draw) == ()


def test_chunks_cover_the_state() -> None:
    """The chunks together cover every byte of the state exactly once."""
    one, tickets = begun()
    data = bytearray(len(STATE))
    for transaction in one.next(100, tickets.__next__):
        raw = bytes(transaction.instructions[0].data)
        at, size = int.from_bytes(raw[9:13], "little"), int.from_bytes(raw[13:17], "little")
        assert raw[8] == 1
        data[at : at + size] = raw[17:]
    assert bytes(data) == STATE


def test_strangers_ticket() -> None:
    """A writer ignores a ticket that is not its own."""
    assert not writer().answered(99, None)


def test_refused_chunk_is_sent_again() -> None:
    """A chunk that got lost is sent again with the next chunks."""
    one, tickets = begun()
    sent = one.next(5, tickets.__next__)
    for transaction in sent:
        one.answered(transaction.ticket, refusal(None) if transaction is sent[2] else None)
    (again,) = one.next(5, tickets.__next__)
    assert again.instructions == sent[2].instructions
    assert again.ticket != sent[2].ticket


def test_not_begun_begins_again() -> None:
    """A chunk that is refused because no checkpoint was begun starts the checkpoint over."""
    one, tickets = begun()
    sent = one.next(5, tickets.__next__)
    for transaction in sent:
        one.answered(transaction.ticket, refusal(Code.CHECKPOINT_FINALIZED))
    assert points(one.next(5, tickets.__next__)) == ["checkpoint-begin"]


@pytest.mark.parametrize("code", [Code.CHECKPOINT_CONTRADICTS_LOG, Code.CHECKPOINT_ACTIVE, Code.WRITER_MISMATCH])
def test_hopeless(code: Code) -> None:
    """A refusal that no retry can change ends the checkpoint at once."""
    one, tickets = writer(), count(1)
    (begin,) = one.next(4, tickets.__next__)
    one.answered(begin.ticket, refusal(code))
    assert one.failed
    assert one.next(4, tickets.__next__) == ()


def test_patience_ends() -> None:
    """A checkpoint that is refused again and again ends with the last refusal."""
    one, tickets = writer(), count(1)
    for _ in range(MAX_TRIES + 1):
        (begin,) = one.next(4, tickets.__next__)
        one.answered(begin.ticket, refusal(None))
    assert one.failed
    assert "refusals in a row" in one.failed


def finalize_refused() -> tuple[CheckpointWriter, count[int]]:
    """A writer whose finalize was refused."""
    one, tickets = begun()
    for transaction in one.next(100, tickets.__next__):
        one.answered(transaction.ticket, None)
    (finalize,) = one.next(4, tickets.__next__)
    one.answered(finalize.ticket, refusal(Code.HASH_MISMATCH))
    assert one.wants_account
    assert one.next(4, tickets.__next__) == ()
    return one, tickets


def test_repair() -> None:
    """After comparing with the account, the writer sends again exactly the chunks that differ."""
    one, tickets = finalize_refused()
    broken = bytearray(STATE)
    broken[700] ^= 1
    broken[2_300] ^= 1
    one.compare(account(state=bytes(broken)))
    offsets = [int.from_bytes(bytes(t.instructions[0].data)[9:13], "little") for t in one.next(9, tickets.__next__)]
    assert offsets == [500, 2_000]


def test_repair_of_another_header() -> None:
    """An account that holds another frame's header makes the writer begin again."""
    one, tickets = finalize_refused()
    one.compare(account(header=Position(40, BLOCK, bytes([5] * 32))))
    assert points(one.next(9, tickets.__next__)) == ["checkpoint-begin"]


def test_it_was_finalized_after_all() -> None:
    """When the account is finalized with these very bytes, the refusal was wrong and the checkpoint is done."""
    one, _ = finalize_refused()
    one.compare(account(finalized=True))
    assert one.done


@pytest.mark.parametrize("data", [None, b"", account()[:-1]])
def test_account_of_another_size(data: bytes | None) -> None:
    """An account that is gone or has another size ends the checkpoint."""
    one, _ = finalize_refused()
    one.compare(data)
    assert one.failed


@given(st.integers(1, 3_000_000), st.integers(64, 938), st.integers(1, 64), st.integers(1, 2_000))
def test_cadence(state_size: int, chunk_bytes: int, chunks_per_frame: int, min_interval: int) -> None:
    """All chunks of a checkpoint fit between two checkpoints, and the ring holds more than two intervals."""
    interval, capacity = cadence(
        state_size, chunk_bytes=chunk_bytes, chunks_per_frame=chunks_per_frame, min_interval=min_interval,
        ring_capacity=256,
    )  # fmt: skip
    assert interval >= min_interval
    # begin and finalize take a frame each, and every third frame carries no chunk
    assert ((interval - 4) * 2 // 3) * chunks_per_frame * chunk_bytes >= state_size
    assert capacity > 2 * interval
    assert capacity >= 256
