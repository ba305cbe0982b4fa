"""Both ways that the codec benchmark compares do the same work."""

from __future__ import annotations

from awm_crank.bench.codec import (
    OurReader,
    OurWriter,
    TheirWriter,
    measure,
    notification,
    sample_accounts,
    sample_frame,
    their_read,
)
from awm_crank.wire import ids


def test_both_readers_read_the_same() -> None:
    """Status, frame, inputs and ready flags agree."""
    session, inputs = sample_accounts()
    texts = notification(session, ids.SESSION_STATE, 1), notification(inputs, ids.INPUT_BUFFER, 2)
    ours = OurReader().read(*texts)
    assert ours == their_read(texts[0].decode(), texts[1].decode())
    assert ours[0] == (2, 600)


def test_both_writers_write_the_same_bytes() -> None:
    """The transactions are the same, including the signature."""
    frame, apply, keypair = sample_frame()
    blockhash = bytes(range(32))
    assert OurWriter(keypair, apply).write(frame, blockhash) == TheirWriter(keypair, apply).write(frame, blockhash)


def test_measure_gives_both_figures() -> None:
    """Both figures are there, for reading and for writing."""
    rows = measure(0.02)
    assert [row.name for row in rows] == ["decode a frame", "encode and sign a frame"]
    assert all(row.ours > 0 and row.other for row in rows)
