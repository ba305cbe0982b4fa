"""The journal returns what was saved, and nothing that is damaged."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from awm_crank.daemon.journal import Journal, decode, encode
from awm_crank.engine.position import Position

ENTITY = Pubkey(bytes([7] * 32))


def at(frame: int) -> Position:
    """A frame of some match."""
    return Position(frame, bytes(range(97)), bytes([frame % 256] * 32))


async def test_last_checkpoint_comes_back(tmp_path: Path) -> None:
    """The last checkpoint that was saved is loaded, by another process too; once forgotten, there is none."""
    journal = Journal(tmp_path / "made", fsync=True, limit=9)
    assert await journal.load(ENTITY) is None
    await journal.save(ENTITY, at(40), b"old")
    await journal.save(ENTITY, at(80), b"new")
    assert await Journal(tmp_path / "made", fsync=False, limit=9).load(ENTITY) == (at(80), b"new")
    await journal.forget(ENTITY)
    assert await journal.load(ENTITY) is None


async def test_oldest_go_first(tmp_path: Path) -> None:
    """The journal keeps at most as many sessions as the limit says, and drops the oldest."""
    journal = Journal(tmp_path, fsync=False, limit=2)
    entities = [Pubkey(bytes([n] * 32)) for n in (1, 2, 3)]
    for entity in entities:
        await journal.save(entity, at(1), b"state")
    assert [await journal.load(entity) is not None for entity in entities] == [False, True, True]


async def test_disk_that_takes_nothing(tmp_path: Path) -> None:
    """A folder that cannot be made raises no exception."""
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "folder", fsync=True, limit=2)
    await journal.save(ENTITY, at(1), b"state")
    assert await journal.load(ENTITY) is None


@given(st.integers(0, 2**32 - 1), st.binary(max_size=300), st.data())
def test_damage_is_found(frame: int, state: bytes, data: st.DataObject) -> None:
    """A file is read as it was written; with any bit flipped, or cut short, it counts as missing."""
    written = encode(Position(frame, bytes(97), bytes(32)), state)
    assert decode(written) == (Position(frame, bytes(97), bytes(32)), state)
    bit = data.draw(st.integers(0, 8 * len(written) - 1))
    flipped = bytearray(written)
    flipped[bit // 8] ^= 1 << bit % 8
    assert decode(bytes(flipped)) is None
    assert decode(written[: data.draw(st.integers(0, len(written) - 1))]) is None
