"""Keeps the last checkpoint and the records of each session on disk, in case the chain loses them.

A rollup keeps checkpoints in memory only. If it restarts together with the crank, a match that is older than its ring
could not be continued, because the recurrent state of its last frames would be lost. Nobody could verify or export such
a match either, because the ring holds only the latest frames. The journal keeps both in files.

`<entity>.checkpoint` is 8 bytes of magic, frame u32 little-endian, frame block (97), chain hash (32), SHA-256 (32) over
frame, block, chain hash and state, and the recurrent state. The magic's last byte is "1". A match with extra feedback
has "a" plus its size a player there (6 bytes: "g"), and that many bytes for each player at the end of its frame block.
The file is replaced as a whole, so a crash leaves the old file.

`<entity>.records` holds the records in the ring's format, one after the other: 96 bytes each, and the extra feedback.
It grows with each checkpoint and remains when the session is over. It has no hash, because readers check it by
replaying the match.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from solders.pubkey import Pubkey

from ..config import CheckpointsConfig
from ..engine.position import Position
from ..errors import AccountError, AwmError, MatchFileError
from ..net.rpc import RpcClient
from ..telemetry import logs
from ..wire import ids, jsonrpc
from ..wire.accounts import RECORD_SIZE, FrameLog
from ..wire.bolt import component_pda
from ..wire.contract import MAX_EXTRA_SIZE
from .files import replace_whole

_MAGIC = b"awmjrnl"
_NO_EXTRA = ord("1")
_WITH_EXTRA = ord("a")
"""The magic's last byte for no extra feedback, and the one to which its size a player is added."""
_HEAD = len(_MAGIC) + 1 + 4 + 97 + 32 + 32


class Journal:
    """Files of checkpoints in one folder.

    Args:
        folder: the folder. It is created when the first file is written.
        fsync: whether to wait until a file is on the disk, so that it survives a power failure.
        limit: how many sessions are kept. The oldest are removed first.
        read_ring: reads a session's frame log, for its records. None: keep no records.
        failed: called when a file could not be written.

    Nothing here raises: a full or missing disk costs the journal, not the match. Failures are logged and counted.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fsync: bool,
        limit: int,
        read_ring: Callable[[Pubkey], Awaitable[bytes]] | None = None,
        failed: Callable[[], object] = lambda: None,
    ) -> None:
        self._folder, self._fsync, self._limit, self._read_ring = folder, fsync, limit, read_ring
        self._failed = failed
        self._lock = asyncio.Lock()

    async def save(self, entity: Pubkey, position: Position, state: bytes) -> None:
        """Writes a session's checkpoint, and those records of its ring that are not in the journal yet, in a thread."""
        async with self._lock:
            try:
                await asyncio.to_thread(self._write, entity, position, state)
                if self._read_ring is not None:
                    log = FrameLog.decode(await self._read_ring(entity))
                    await asyncio.to_thread(self._append, entity, log)
            except (OSError, AwmError) as error:
                self._failed()
                logs.get().error("cannot write the journal", folder=str(self._folder), problem=str(error))

    async def load(self, entity: Pubkey) -> tuple[Position, bytes] | None:
        """Returns a session's last checkpoint, or None if there is none or it cannot be read."""
        try:
            data = await asyncio.to_thread(self._path(entity).read_bytes)
        except OSError:
            return None
        found = decode(data)
        if found is None:
            logs.get().error("a file of the journal is damaged", file=str(self._path(entity)))
        return found

    async def forget(self, entity: Pubkey) -> None:
        """Removes a session's checkpoint: the session is over. Its records stay."""
        async with self._lock:
            try:
                await asyncio.to_thread(self._path(entity).unlink, missing_ok=True)
            except OSError as error:
                logs.get().warning("cannot remove a file of the journal", problem=str(error))

    def _path(self, entity: Pubkey) -> Path:
        return self._folder / f"{entity}.checkpoint"

    def _append(self, entity: Pubkey, log: FrameLog) -> None:
        path, held = records_path(self._folder, entity), log.holds()
        with path.open("ab+") as file:
            keep = _agreed(file, log)
            if keep == 0 and held.start > 1:
                # the crank was away for so long that the ring has overwritten records in between
                logs.get().error("the journal misses frames", entity=str(entity), expected=1, found=held.start)
            file.truncate(keep)
            file.seek(keep)
            start = _frame_at(file, keep - log.record_size) + 1 if keep else held.start
            file.write(b"".join(log.record(frame) for frame in range(start, held.stop)))
            if self._fsync:
                file.flush()
                os.fsync(file.fileno())
        self._forget_oldest("*.records")

    def _write(self, entity: Pubkey, position: Position, state: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_whole(self._path(entity), encode(position, state), fsync=self._fsync)
        self._forget_oldest("*.checkpoint")

    def _forget_oldest(self, pattern: str) -> None:
        kept = sorted(self._folder.glob(pattern), key=lambda each: each.stat().st_mtime_ns)
        for old in kept[: -self._limit]:
            old.unlink(missing_ok=True)


def records_path(folder: Path, entity: Pubkey) -> Path:
    """The file that holds a session's records."""
    return folder / f"{entity}.records"


def records(folder: Path, entity: Pubkey, extra_size: int = 0) -> list[bytes]:
    """Returns the journal's records of a session, from frame 1 on.

    Args:
        folder: the journal's.
        entity: the session's.
        extra_size: bytes of extra feedback for each player in this match, as its hidden state says.

    Raises:
        MatchFileError: the journal has none, or they do not begin with frame 1 or are not in order.
    """
    path = records_path(folder, entity)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MatchFileError(
            f"{path} cannot be read: {error.strerror}", hint="name the crank's checkpoints.journal"
        ) from None
    # a crash can leave half a record at the end of the file
    size = RECORD_SIZE + 2 * extra_size
    found = [data[at : at + size] for at in range(0, len(data) - size + 1, size)]
    for number, record in enumerate(found, 1):
        if int.from_bytes(record[:4], "little") != number:
            raise MatchFileError(
                f"{path}: record {number}", expected=f"frame {number}", found=int.from_bytes(record[:4], "little"),
                hint="the crank was away for longer than the ring holds, so the match cannot be had whole",
            )  # fmt: skip
    return found


def _agreed(file: BinaryIO, log: FrameLog) -> int:
    """Returns how many bytes at the start of a records file agree with the ring. 0 if frames are missing in between."""
    one = log.record_size
    size = file.seek(0, os.SEEK_END) // one * one
    held = log.holds()
    while size:
        frame = _frame_at(file, size - one)
        if frame < held.start:
            return size if frame == held.start - 1 else 0
        file.seek(size - one)
        if frame in held and file.read(one) == log.record(frame):
            return size
        # the chain went back, and continued with other frames
        size -= one
    return 0


def _frame_at(file: BinaryIO, at: int) -> int:
    """The frame number of the record that begins at byte `at`."""
    file.seek(at)
    return int.from_bytes(file.read(4), "little")


def encode(position: Position, state: bytes) -> bytes:
    """Returns a checkpoint file's bytes."""
    body = position.frame.to_bytes(4, "little") + position.block + position.chain_hash
    extra = len(position.extra) // 2
    kind = _WITH_EXTRA + extra if extra else _NO_EXTRA
    return _MAGIC + bytes((kind,)) + body + sha256(body + state).digest() + state


def decode(data: bytes) -> tuple[Position, bytes] | None:
    """Returns the checkpoint in a file's bytes, or None if they are damaged or another kind of file."""
    if len(data) < _HEAD or not data.startswith(_MAGIC):
        return None
    extra = 0 if data[7] == _NO_EXTRA else data[7] - _WITH_EXTRA
    if data[7] != _NO_EXTRA and not 0 < extra <= MAX_EXTRA_SIZE:
        return None
    end = 141 + 2 * extra
    body, digest, state = data[8:end], data[end : end + 32], data[end + 32 :]
    if sha256(body + state).digest() != digest:
        return None
    return Position(int.from_bytes(body[:4], "little"), body[4:-32], body[-32:]), state


def configured(settings: CheckpointsConfig, rpc: RpcClient, failed: Callable[[], object]) -> Journal | None:
    """Returns the journal that the configuration asks for, or None if it names no folder."""
    if not settings.journal:
        return None

    async def read_ring(entity: Pubkey) -> bytes:
        key = component_pda(ids.FRAME_LOG, entity)
        account = (await rpc.ask(jsonrpc.get_account_info(key))).value
        if account is None:
            raise AccountError(f"frame log {key} is gone")
        return account.raw

    return Journal(
        Path(settings.journal), fsync=settings.journal_fsync, limit=settings.journal_sessions,
        read_ring=read_ring if settings.journal_records else None, failed=failed,
    )  # fmt: skip
