"""Collects every record of a session from its frame log, over its own connection.

It reads only the slices of the ring that are new, so each record travels once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from solders.pubkey import Pubkey

from ..errors import AccountError, MatchFileError, RpcError
from ..match import file
from ..net.rpc import RpcClient
from ..wire import bolt, ids, jsonrpc
from ..wire.accounts import ENDED, RECORD_SIZE, FrameLog, HiddenState, SessionState
from ..wire.start import start_players

_HEAD = FrameLog.LAYOUT.size
_PATIENCE = 5


class Recorder:
    """The records of one session, frame by frame in order.

    Args:
        rpc: the rollup's endpoint.
        entity: the session's entity.
        records: those of frames 1, 2, … that are known already, from a crank's journal.

    `records[i]` is the record of frame `first + i`. `first` is 1 unless the ring had already overwritten that
    frame when recording began.
    """

    def __init__(
        self, rpc: RpcClient, entity: Pubkey, *, commitment: jsonrpc.Commitment = "processed",
        records: Sequence[bytes] = (),
    ) -> None:  # fmt: skip
        self.session_key, self.hidden_key, _, self.log_key = (
            bolt.component_pda(program, entity) for program in ids.SESSION_COMPONENTS
        )
        self.first = 1
        self.records = list(records)
        self._rpc = rpc
        self._commitment = commitment
        self._size = 0
        """Bytes of a record; 0 until the hidden state was read."""

    @property
    def last(self) -> int:
        """The last frame recorded."""
        return self.first + len(self.records) - 1

    async def poll(self) -> int:
        """Reads the new records; returns how many there were.

        Raises:
            AccountError: the session has no frame log (any more).
            MatchFileError: the ring overwrote frames between two polls; they are lost.
            RpcError: the endpoint does not answer.
        """
        for _ in range(_PATIENCE):
            head = FrameLog.decode_head(await self._slice(0, _HEAD), address=self.log_key)
            if not head.capacity or head.total_frames <= self.last:
                return 0
            oldest = max(1, head.total_frames - head.capacity + 1)
            if oldest > self.last + 1:
                if self.records:
                    raise MatchFileError(
                        f"the ring of session {self.session_key} overwrote frames before they were recorded",
                        expected=f"frame {self.last + 1}", found=f"frames {oldest}..{head.total_frames}",
                        hint="record again, with a shorter interval",
                    )  # fmt: skip
                self.first = oldest
            if not self._size:
                # fixed before the ring was made
                hidden = HiddenState.decode(await self._account(self.hidden_key), address=self.hidden_key)
                self._size = RECORD_SIZE + 2 * hidden.extra_size
            fresh = await self._read(head, self.last + 1, head.total_frames)
            if fresh is not None:
                self.records += fresh
                return len(fresh)
        raise RpcError(f"the ring of session {self.session_key} changes faster than it can be read", recoverable=True)

    async def follow(self, over: asyncio.Event | None = None, *, interval_s: float = 1.0) -> SessionState:
        """Polls until the session has ended and every record is read; returns the session's last state.

        Args:
            over: set by the caller when it knows that the session has ended, which saves a wait.

        Raises:
            as `poll`.
        """
        while True:
            session = await self.session()
            await self.poll()
            if session.status == ENDED and self.last >= session.frame:
                return session
            try:
                async with asyncio.timeout(interval_s):
                    if over is None or over.is_set():
                        await asyncio.sleep(interval_s if over is None else 0.01)
                    else:
                        await over.wait()
            except TimeoutError:
                continue

    async def session(self) -> SessionState:
        """The session's account as it is now. Raises AccountError when it is gone."""
        return SessionState.decode(await self._account(self.session_key), address=self.session_key)

    async def match_file(self, cartridge_sha256: bytes) -> file.MatchFile:
        """The match so far as a file. Polls once more and takes the chain hash of the last record.

        Args:
            cartridge_sha256: of the model's cartridge, 32 bytes.

        Raises:
            MatchFileError: the records do not reach back to frame 1.
        """
        for _ in range(_PATIENCE):
            await self.poll()
            session, hidden = await self.pair()
            # a frame may have landed between poll and read: try again
            if session.frame == hidden.frame == self.last:
                return build(self, session, hidden, cartridge_sha256)
        raise RpcError(
            f"session {self.session_key} goes on while it is exported",
            hint="export it with --follow, or after its end", recoverable=True,
        )  # fmt: skip

    async def pair(self) -> tuple[SessionState, HiddenState]:
        """The session and its hidden-state account, both as of one moment. Raises AccountError when one is gone."""
        keys = [self.session_key, self.hidden_key]
        values = (await self._rpc.ask(jsonrpc.get_multiple_accounts(keys, self._commitment))).value
        session, hidden = (_data(value, key) for value, key in zip(values, keys, strict=True))
        return (
            SessionState.decode(session, address=self.session_key),
            HiddenState.decode(hidden, address=self.hidden_key),
        )

    async def _read(self, head: FrameLog, start: int, stop: int) -> list[bytes] | None:
        """Records of frames start..stop; None if the ring overwrote some of them in the meantime."""
        begin, end = (start - 1) % head.capacity, (stop - 1) % head.capacity
        spans = [(begin, end + 1)] if begin <= end else [(begin, head.capacity), (0, end + 1)]
        raw, size = b"", self._size
        for low, high in spans:
            raw += await self._slice(_HEAD + low * size, (high - low) * size)
        records = [raw[at : at + size] for at in range(0, len(raw), size)]
        frames = [int.from_bytes(record[:4], "little") for record in records]
        return records if frames == list(range(start, stop + 1)) else None

    async def _slice(self, offset: int, length: int) -> bytes:
        return await self._account(self.log_key, (offset, length))

    async def _account(self, key: Pubkey, part: tuple[int, int] | None = None) -> bytes:
        return _data((await self._rpc.ask(jsonrpc.get_account_info(key, self._commitment, part))).value, key)


def build(recorder: Recorder, session: SessionState, hidden: HiddenState, cartridge_sha256: bytes) -> file.MatchFile:
    """Makes the match file from a recorder's records and the accounts as of the last record.

    Raises:
        MatchFileError: nobody has joined, or the records do not reach back to frame 1.
    """
    if session.player2 == ids.ZERO_KEY:
        raise MatchFileError(f"session {recorder.session_key} never began", hint="export it once player 2 has joined")
    if recorder.first != 1:
        raise MatchFileError(
            f"session {recorder.session_key}: the ring has lost frame 1", expected="frame 1",
            found=f"frames {recorder.first}..{recorder.last}",
            hint="record a match from its start with `awm-crank export --follow`",
        )  # fmt: skip
    return file.build(
        session=recorder.session_key, entity=session.entity, player1=session.player1, player2=session.player2,
        model=session.model,
        # the manifest may have been replaced under its key since the match was played
        cartridge_sha256=hidden.cartridge_hash if any(hidden.cartridge_hash) else cartridge_sha256,
        seed=session.seed, stage=session.stage,
        max_frames=session.max_frames, start_players=start_players(session.players[31], session.players[63]),
        records=recorder.records, chain_hash=hidden.chain_hash,
    )  # fmt: skip


def _data(account: jsonrpc.RpcAccount | None, key: Pubkey) -> bytes:
    if account is None:
        raise AccountError(f"account {key} is gone", hint="check the address and --rpc")
    return account.raw
