"""Recomputes a match frame by frame, and names the first byte that differs from the recomputation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from solders.pubkey import Pubkey

from ..engine.api import Engine
from ..engine.position import checkpoint_position
from ..errors import LayoutError, VerifyError
from ..wire import bolt, frame_records, ids
from ..wire.accounts import (
    FRESH,
    HELD,
    NEUTRAL,
    NEUTRAL_INPUT,
    FrameLog,
    HiddenState,
    InputBuffer,
    SessionState,
)
from ..wire.accounts import Checkpoint as CheckpointAccount
from . import stages
from .difference import BLOCK, CHECKPOINT, RECORD, Difference
from .file import MatchFile, frame_object
from .game import Game

Progress = Callable[[int, int], object]
"""Called with the number of the frame just checked, and of the last one."""


class Verdict(msgspec.Struct, frozen=True):
    """The frames that were recomputed: `first` to `last`, starting from the state of frame `start` (0: the match's
    start).

    `difference` is None if every byte agrees.
    """

    start: int
    last: int
    chain_hash: bytes
    difference: Difference | None

    def check(self) -> None:
        """Raises VerifyError with frame, field and byte if there is a difference."""
        if self.difference is not None:
            raise self.difference.error()


class _Differs(Exception):  # noqa: N818
    """Ends the recomputation and carries the first difference."""

    def __init__(self, difference: Difference | None) -> None:
        super().__init__()
        self.difference = difference


def _same(frame: int, place: str, field: str, expected: object, found: object) -> None:
    if expected != found:
        raise _Differs(Difference(frame, place, field, None, _text(expected), _text(found)))


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


class Recomputation:
    """A match as it should be, one frame at a time.

    Args:
        game: the match at the frame where the recomputation begins.
        fresh: each player's last fresh input, which a held input must repeat; None if it is not known.
    """

    def __init__(self, game: Game, fresh: Sequence[bytes | None]) -> None:
        self.game = game
        self.frame = game.frame
        """The last frame that agreed."""
        self._fresh = list(fresh)
        self._over = False

    @classmethod
    def from_start(cls, engine: Engine, players: bytes, stage: int, genesis: bytes) -> Recomputation:
        """A replay from frame 0, with `players` (64 bytes) in their start position."""
        return cls(Game.start(engine, players, stage, genesis), (NEUTRAL_INPUT, NEUTRAL_INPUT))

    @property
    def chain_hash(self) -> bytes:
        """The chain hash after the last frame that was computed."""
        return self.game.chain_hash

    def step(self, record: bytes, max_frames: int) -> None:
        """Recomputes the next frame from the record's inputs, and compares the whole record.

        Raises:
            _Differs: with the first byte that differs.
        """
        game, frame = self.game, self.game.frame + 1
        if self._over:
            raise _Differs(Difference(frame, "record", "frame", None, "no frame after the match's end", str(frame)))
        inputs, sources = record[4:20], record[20:22]
        for player in (0, 1):
            self._check_input(frame, player, inputs[8 * player : 8 * player + 8], sources[player])
        expected = game.advance(inputs, sources)
        self._must(RECORD.first(frame, "record", expected, record))
        self.frame = frame
        self._over = game.position.is_last(max_frames)

    def compare_checkpoint(self, checkpoint: CheckpointAccount, place: str) -> None:
        """Compares a checkpoint with the state that the replay has reached. Raises _Differs."""
        game = self.game
        expected = game.position.checkpoint_header() + game.engine.dump(game.state) + game.position.extra
        self._must(CHECKPOINT.first(game.frame, place, expected, checkpoint.hashed))

    def _check_input(self, frame: int, player: int, given: bytes, source: int) -> None:
        name = f"input{player + 1}"
        if source == FRESH:
            self._fresh[player] = given
        elif source == HELD:
            last = self._fresh[player]
            if last is None:
                self._fresh[player] = given
            else:
                _same(frame, "record", f"{name} (held)", last, given)
        elif source == NEUTRAL:
            _same(frame, "record", f"{name} (neutral)", NEUTRAL_INPUT, given)
        else:
            raise _Differs(Difference(frame, "record", f"source{player + 1}", 20 + player, "0, 1 or 2", str(source)))

    @staticmethod
    def _must(difference: Difference | None) -> None:
        if difference is not None:
            raise _Differs(difference)


def verify_file(
    match: MatchFile, engine: Engine, cartridge_sha256: bytes, *, progress: Progress | None = None
) -> Verdict:
    """Recomputes a whole match from frame 1, with the chain hash from genesis on.

    Args:
        match: from `file.parse`.
        engine: the engine of the cartridge whose hash is `cartridge_sha256`.

    Raises:
        VerifyError: the file names another cartridge, so nothing can be verified.
    """
    meta = match.meta
    if meta.cartridge_sha256 != cartridge_sha256.hex():
        raise VerifyError(
            "this match was played with another cartridge", expected=meta.cartridge_sha256,
            found=cartridge_sha256.hex(), hint="name the match's own with --cartridge",
        )  # fmt: skip
    replay = None
    try:
        _check_meta(match)
        players = match.start_players
        replay = Recomputation.from_start(engine, players, meta.stage, bytes.fromhex(meta.genesis))
        _same(0, "match file", "frames[0]", frame_object(players, meta.stage), match.frames[0])
        for number, record in enumerate(match.records, 1):
            replay.step(record, meta.max_frames)
            shown = frame_object(replay.game.players, meta.stage)
            _compare_frame(number, shown, match.frames[number])
            if progress is not None:
                progress(number, meta.frames)
        _same(meta.frames, "match file", "meta.chain_hash", replay.chain_hash.hex(), meta.chain_hash)
    except _Differs as found:
        return Verdict(0, replay.frame if replay else 0, replay.chain_hash if replay else b"", found.difference)
    return Verdict(0, replay.frame, replay.chain_hash, None)


def _check_meta(match: MatchFile) -> None:
    meta = match.meta
    entity, session = Pubkey.from_string(meta.entity), Pubkey.from_string(meta.session)
    _same(0, "match file", "meta.session", str(bolt.component_pda(ids.SESSION_STATE, entity)), meta.session)
    players = match.start_players
    model = Pubkey.from_string(meta.model)
    # an offline match names its cartridge in its entity; files of an earlier release name none
    plain, named = (
        frame_records.genesis(session, model, meta.stage, match.seed, meta.max_frames, players, cartridge).hex()
        for cartridge in (b"", bytes.fromhex(meta.cartridge_sha256))
    )
    if meta.genesis != plain:
        _same(0, "match file", "meta.genesis", plain if model == ids.ZERO_KEY else named, meta.genesis)
    _same(0, "match file", "stage_geometry", stages.geometry(meta.stage), match.stage_geometry)


def _compare_frame(number: int, expected: dict[str, Any], found: Any) -> None:
    if expected == found:
        return
    place = "match file"
    if not isinstance(found, dict) or not isinstance(found.get("players"), list) or len(found["players"]) != 2:
        raise _Differs(Difference(number, place, f"frames[{number}]", None, "two players and a stage", str(found)[:80]))
    for index, player in enumerate(expected["players"]):
        other = found["players"][index]
        for name, value in player.items():
            shown = other.get(name) if isinstance(other, dict) else None
            _same(number, place, f"frames[{number}].players[{index}].{name}", value, shown)
    _same(number, place, f"frames[{number}].stage", expected["stage"], found.get("stage"))
    raise _Differs(Difference(number, place, f"frames[{number}]", None, "no further keys", str(found)[:80]))


class Snapshot(msgspec.Struct, frozen=True):
    """A session's accounts at one slot."""

    address: Pubkey
    session: SessionState
    hidden: HiddenState
    inputs: InputBuffer
    log: FrameLog
    checkpoints: tuple[CheckpointAccount | None, CheckpointAccount | None]
    start_players: bytes
    journal: tuple[bytes, ...] = ()
    """Records of frames 1, 2, … that a crank kept; they replace those that the ring no longer has."""


def verify_session(snapshot: Snapshot, engine: Engine, *, progress: Progress | None = None) -> Verdict:
    """Recomputes the part of a session that the chain still holds.

    It begins at frame 0 if the ring still holds the first record, or if the journal has the records that the ring has
    lost. Otherwise it begins at the oldest finalized checkpoint whose following records are all in the ring. It
    compares every account: the records, the later checkpoint, and at the end the session, hidden state, inputs and log.

    Raises:
        VerifyError: there is no state to begin from, or the match has not begun.
        StateError: the checkpoint's state does not belong to this cartridge.
    """
    log, session = snapshot.log, snapshot.session
    if session.player2 == ids.ZERO_KEY:
        raise VerifyError(f"session {snapshot.address} never began", hint="verify it once player 2 has joined")
    held = log.holds()
    finalized = sorted(
        (each.frame, side) for side, each in enumerate(snapshot.checkpoints) if each is not None and each.finalized
    )
    if session.frame and not log.capacity:
        raise VerifyError(f"session {snapshot.address}: its ring is gone", hint="verify a match file of it instead")
    start = 0
    replay = None
    try:
        _same(session.frame, "hidden state", "frame", session.frame, snapshot.hidden.frame)
        _same(session.frame, "frame log", "total_frames", session.frame, log.total_frames)
        _same(session.frame, "hidden state", "extra_size", engine.extra_size, snapshot.hidden.extra_size)
        for _, side in finalized:
            _check_checkpoint(snapshot, side)
        if held.start <= 1 + len(snapshot.journal):
            replay = _from_start(snapshot, engine)
        else:
            usable = [side for frame, side in finalized if held.start - 1 <= frame <= session.frame]
            if not usable:
                raise VerifyError(
                    f"session {snapshot.address}: no finalized checkpoint that the ring still follows",
                    expected=f"one of frame {held.start - 1} or later",
                    found=", ".join(f"frame {frame}" for frame, _ in finalized) or "none",
                    hint="verify a match file of it, which reaches back to frame 1",
                )
            replay = _from_checkpoint(snapshot, usable[0], engine)
        start = replay.frame
        for frame in range(start, session.frame + 1):
            if frame > start:
                replay.step(_record(snapshot, frame), session.max_frames)
            for checkpoint_frame, side in finalized:
                if checkpoint_frame == frame:
                    replay.compare_checkpoint(_checkpoint(snapshot, side), f"checkpoint {'AB'[side]}")
            if progress is not None:
                progress(frame, session.frame)
        _check_end(snapshot, replay)
    except _Differs as found:
        return Verdict(start, replay.frame if replay else 0, replay.chain_hash if replay else b"", found.difference)
    return Verdict(start, replay.frame, replay.chain_hash, None)


def _checkpoint(snapshot: Snapshot, side: int) -> CheckpointAccount:
    checkpoint = snapshot.checkpoints[side]
    assert checkpoint is not None
    return checkpoint


def _check_checkpoint(snapshot: Snapshot, side: int) -> None:
    """Checks a finalized checkpoint's own hash, entity and side, and the hidden state's fields about the last one."""
    checkpoint, hidden, place = _checkpoint(snapshot, side), snapshot.hidden, f"checkpoint {'AB'[side]}"
    frame = checkpoint.frame
    _same(frame, place, "data_hash", sha256(checkpoint.hashed).digest(), checkpoint.data_hash)
    _same(frame, place, "entity", snapshot.session.entity, checkpoint.entity)
    _same(frame, place, "side", side, checkpoint.side)
    if hidden.initialized and hidden.checkpoint_side == side:
        _same(frame, "hidden state", "checkpoint_frame", frame, hidden.checkpoint_frame)
        _same(frame, "hidden state", "checkpoint_hash", checkpoint.data_hash, hidden.checkpoint_hash)


def _from_start(snapshot: Snapshot, engine: Engine) -> Recomputation:
    session = snapshot.session
    genesis = frame_records.genesis(
        snapshot.address, session.model, session.stage, session.seed, session.max_frames, snapshot.start_players,
        snapshot.hidden.cartridge_hash,
    )  # fmt: skip
    return Recomputation.from_start(engine, snapshot.start_players, session.stage, genesis)


def _from_checkpoint(snapshot: Snapshot, side: int, engine: Engine) -> Recomputation:
    checkpoint = _checkpoint(snapshot, side)
    position = checkpoint_position(checkpoint, snapshot.session.stage)
    _same(checkpoint.frame, f"checkpoint {'AB'[side]}", "bytes of extra feedback", 2 * engine.extra_size,
          len(checkpoint.extra))  # fmt: skip
    replay = Recomputation(Game(engine, engine.load(checkpoint.recurrent), position), (None, None))
    if checkpoint.frame in snapshot.log.holds():
        # the record of the checkpoint's own frame can only be checked against its header, since earlier frames are
        # unknown
        record = _record(snapshot, checkpoint.frame)
        difference = RECORD.first(checkpoint.frame, "record", position.record(record[20:22]), record)
        if difference is not None:
            raise _Differs(difference)
    return replay


def _record(snapshot: Snapshot, frame: int) -> bytes:
    if frame not in snapshot.log.holds() and frame <= len(snapshot.journal):
        return snapshot.journal[frame - 1]
    try:
        return snapshot.log.record(frame)
    except LayoutError as error:
        raise _Differs(Difference(frame, "frame log", "record", None, f"frame {frame}", str(error.found))) from None


def _check_end(snapshot: Snapshot, replay: Recomputation) -> None:
    session, hidden, frame = snapshot.session, snapshot.hidden, replay.frame
    expected = replay.game.block
    # inputs and extra feedback are in the frame's record, which was compared
    inputs, extra = frame_records.block_inputs(expected), frame_records.block_extra(expected)
    found = frame_records.block(session.players, hidden.feedback, inputs, session.stage, extra)
    difference = BLOCK.first(frame, "session state and hidden state", expected, found)
    if difference is not None:
        raise _Differs(difference)
    _same(frame, "hidden state", "chain_hash", replay.chain_hash, hidden.chain_hash)
    _same(frame, "frame log", "write_index", frame % snapshot.log.capacity if snapshot.log.capacity else 0,
          snapshot.log.write_index)  # fmt: skip
    _same(frame, "frame log", "session", snapshot.address, snapshot.log.session)
    _same(frame, "input buffer", "frame", frame + 1, snapshot.inputs.frame)
