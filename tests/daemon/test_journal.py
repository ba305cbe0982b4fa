"""The journal returns checkpoints and records unchanged, and never a damaged one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from awm_crank.daemon.journal import Journal, decode, encode, records, records_path
from awm_crank.engine.position import Position
from awm_crank.errors import MatchFileError
from awm_crank.wire import ids, layouts
from awm_crank.wire.accounts import FrameLog

ENTITY = Pubkey(bytes([7] * 32))


def at(frame: int) -> Position:
    """A frame of some match."""
    return Position(frame, bytes(range(97)), bytes([frame % 256] * 32))


async def test_last_checkpoint_comes_back(tmp_path: Path) -> None:
    """The last saved checkpoint can be loaded, also by another process. After `forget` there is none."""
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


class Ring:
    """A session's frame log on chain, and a journal that reads it."""

    def __init__(self, folder: Path, capacity: int = 10, extra_size: int = 0) -> None:
        self.capacity, self.records = capacity, [b""]
        self.size = 96 + 2 * extra_size
        self.journal = Journal(folder, fsync=False, limit=9, read_ring=self.read)

    def land(self, count: int, content: int = 0) -> None:
        """Frames land."""
        for _ in range(count):
            self.records.append(len(self.records).to_bytes(4, "little") + bytes([content]) * (self.size - 4))

    async def read(self, _: Pubkey) -> bytes:
        """The account."""
        total = len(self.records) - 1
        ring = bytearray(self.size * self.capacity)
        for frame in range(max(1, total - self.capacity + 1), total + 1):
            at = (frame - 1) % self.capacity * self.size
            ring[at : at + self.size] = self.records[frame]
        return FrameLog(
            total % self.capacity, total, ENTITY, ENTITY, self.capacity, ids.WORLD, bytes(ring),
            bytes(layouts.LOG_PAYMENTS.size),
        ).encode()  # fmt: skip

    async def save(self) -> None:
        """A checkpoint."""
        await self.journal.save(ENTITY, at(len(self.records) - 1), b"state")


async def test_records_of_a_long_match(tmp_path: Path) -> None:
    """With a checkpoint in time, the journal has every record, also those that the ring lost; half a record that a
    crash left is completed, and records that the chain took back are replaced. They stay when the session is over.
    """
    ring = Ring(tmp_path)
    for _ in range(5):
        ring.land(7)
        await ring.save()
    assert records(tmp_path, ENTITY) == ring.records[1:]
    path = records_path(tmp_path, ENTITY)
    path.write_bytes(path.read_bytes()[:-40])
    assert records(tmp_path, ENTITY) == ring.records[1:-1]
    del ring.records[33:]
    ring.land(4, content=1)
    await ring.save()
    assert records(tmp_path, ENTITY) == ring.records[1:]
    await ring.journal.forget(ENTITY)
    assert records(tmp_path, ENTITY) == ring.records[1:]


@pytest.mark.parametrize("size", [1, 5, 6, 12])
async def test_extra_feedback(tmp_path: Path, size: int) -> None:
    """Checkpoints and records of a world with extra feedback come back whole."""
    ring = Ring(tmp_path, extra_size=size)
    for _ in range(5):
        ring.land(7)
        await ring.save()
    assert records(tmp_path, ENTITY, size) == ring.records[1:]
    position = Position(7, bytes(range(97)) + bytes([9]) * (2 * size), bytes(range(32)))
    data = encode(position, b"state")
    assert decode(data) == (position, b"state")
    for kind in (b"1", b"a", bytes((ord("a") + size - 1,)), b"n", b"\0"):
        assert decode(data[:7] + kind + data[8:]) is None


async def test_records_with_a_gap(tmp_path: Path) -> None:
    """A match whose frames the ring lost before a checkpoint is refused with the frames that there are."""
    ring = Ring(tmp_path)
    ring.land(5)
    await ring.save()
    ring.land(20)
    await ring.save()
    with pytest.raises(MatchFileError, match="record 1; expected frame 1, found 16"):
        records(tmp_path, ENTITY)
    with pytest.raises(MatchFileError, match="cannot be read"):
        records(tmp_path, Pubkey(bytes(32)))


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
