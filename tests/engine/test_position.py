"""The step from one frame to the next, and where a match ends."""

from __future__ import annotations

import pytest
from match.fakes import FakeEngine, play
from solders.pubkey import Pubkey

from awm_crank.engine.position import Position, first_block, out_of_stocks, start_of_session
from awm_crank.errors import LayoutError
from awm_crank.wire.accounts import Checkpoint
from awm_crank.wire.start import start_players

STOCKS = (25, 57)


def at(frame: int, players: bytes) -> Position:
    """A position with these players."""
    return Position(frame, first_block(players, 32), bytes(32))


def test_steps_make_the_records_of_a_session() -> None:
    """Frame 0 and the records' inputs give every record and the last chain hash of a session."""
    match = play(30).file
    meta, engine = match.meta, FakeEngine()
    position = start_of_session(
        Pubkey.from_string(meta.entity), Pubkey.from_string(meta.model), meta.stage, match.seed, meta.max_frames,
        match.start_players, bytes.fromhex(meta.cartridge_sha256),
    )  # fmt: skip
    assert position.chain_hash.hex() == meta.genesis
    state = engine.start_state(position.block)
    for number, record in enumerate(match.records, 1):
        context = engine.backbone(state, position.block)
        position = position.next(engine, context, record[4:20], record[20:22])
        assert (position.frame, position.record(record[20:22])) == (number, record)
    assert position.chain_hash.hex() == meta.chain_hash


def test_checkpoint_header() -> None:
    """The header is the beginning of that frame's Checkpoint account, after its fixed fields."""
    snapshot = play(30, checkpoints=(20, 0)).snapshot
    checkpoint = snapshot.checkpoints[0]
    assert checkpoint is not None
    block = checkpoint.players + checkpoint.feedback + checkpoint.inputs + bytes([32])
    position = Position(20, block, checkpoint.chain_hash)
    assert position.checkpoint_header() == checkpoint.hashed[:136] == checkpoint.encode()[112:248]
    assert Checkpoint.decode(checkpoint.encode()).frame == 20


def test_sizes_are_checked() -> None:
    """Inputs and sources of another size are refused instead of hashed."""
    position, engine = at(0, start_players(1, 2)), FakeEngine()
    context = engine.backbone(engine.start_state(position.block), position.block)
    with pytest.raises(LayoutError):
        position.next(engine, context, bytes(16), bytes(3))


@pytest.mark.parametrize("player", [0, 1])
def test_ko_ends_it(player: int) -> None:
    """A player without stocks ends the match, whatever max_frames says."""
    players = bytearray(start_players(1, 2))
    assert not out_of_stocks(bytes(players))
    assert not at(5, bytes(players)).is_last(0)
    assert players[STOCKS[player]] == 4
    players[STOCKS[player]] = 0
    assert out_of_stocks(bytes(players))
    assert at(5, bytes(players)).is_last(0)


@pytest.mark.parametrize(
    ("frame", "max_frames", "last"), [(9, 10, False), (10, 10, True), (11, 10, True), (9, 0, False)]
)
def test_max_frames_ends_it(frame: int, max_frames: int, last: bool) -> None:
    """The match is over when max_frames is reached, and 0 means never."""
    assert at(frame, start_players(1, 2)).is_last(max_frames) is last
