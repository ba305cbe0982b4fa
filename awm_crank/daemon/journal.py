"""Keeps the last checkpoint of each session on disk, for when the chain has lost it.

A rollup keeps checkpoints in memory only. If it restarts together with the crank, a match that is older than its ring
could not be continued: the recurrent state of its last frames would be nowhere. With a journal it is in a file.

A file is `<entity>.checkpoint`: 8 bytes of magic, frame u32 little-endian, frame block (97), chain hash (32), SHA-256
(32) over frame, block, chain hash and state, and the recurrent state. It is replaced as a whole, so a crash leaves the
old one.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path

from solders.pubkey import Pubkey

from ..config import CheckpointsConfig
from ..engine.position import Position
from ..telemetry import logs
from .files import replace_whole

_MAGIC = b"awmjrnl1"
_HEAD = len(_MAGIC) + 4 + 97 + 32 + 32


class Journal:
    """Files of checkpoints in one folder.

    Args:
        folder: where they are. It is made when it is needed.
        fsync: whether a file is on the disk before it counts, so that it outlives a power failure.
        limit: how many files are kept; the oldest go first.

    Nothing here raises: a disk that is full or gone costs the journal, not the match, and is logged.
    """

    def __init__(self, folder: Path, *, fsync: bool, limit: int) -> None:
        self._folder, self._fsync, self._limit = folder, fsync, limit
        self._lock = asyncio.Lock()

    async def save(self, entity: Pubkey, position: Position, state: bytes) -> None:
        """Writes a session's checkpoint, in a thread."""
        async with self._lock:
            try:
                await asyncio.to_thread(self._write, entity, position, state)
            except OSError as error:
                logs.get().error("cannot write the journal", folder=str(self._folder), problem=str(error))

    async def load(self, entity: Pubkey) -> tuple[Position, bytes] | None:
        """A session's last checkpoint, or None when there is none that can be read."""
        try:
            data = await asyncio.to_thread(self._path(entity).read_bytes)
        except OSError:
            return None
        found = decode(data)
        if found is None:
            logs.get().error("a file of the journal is damaged", file=str(self._path(entity)))
        return found

    async def forget(self, entity: Pubkey) -> None:
        """Removes a session's file: the session is over."""
        async with self._lock:
            try:
                await asyncio.to_thread(self._path(entity).unlink, missing_ok=True)
            except OSError as error:
                logs.get().warning("cannot remove a file of the journal", problem=str(error))

    def _path(self, entity: Pubkey) -> Path:
        return self._folder / f"{entity}.checkpoint"

    def _write(self, entity: Pubkey, position: Position, state: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_whole(self._path(entity), encode(position, state), fsync=self._fsync)
        kept = sorted(self._folder.glob("*.checkpoint"), key=lambda each: each.stat().st_mtime_ns)
        for old in kept[: -self._limit]:
            old.unlink(missing_ok=True)


def encode(position: Position, state: bytes) -> bytes:
    """A file's bytes."""
    body = position.frame.to_bytes(4, "little") + position.block + position.chain_hash
    return _MAGIC + body + sha256(body + state).digest() + state


def decode(data: bytes) -> tuple[Position, bytes] | None:
    """What a file holds, or None when it is damaged or no such file."""
    if len(data) < _HEAD or not data.startswith(_MAGIC):
        return None
    body, digest, state = data[8:141], data[141:_HEAD], data[_HEAD:]
    if sha256(body + state).digest() != digest:
        return None
    return Position(int.from_bytes(body[:4], "little"), body[4:101], body[101:133]), state


def configured(settings: CheckpointsConfig) -> Journal | None:
    """The journal that the configuration asks for, or None when it names no folder."""
    if not settings.journal:
        return None
    return Journal(Path(settings.journal), fsync=settings.journal_fsync, limit=settings.journal_sessions)
