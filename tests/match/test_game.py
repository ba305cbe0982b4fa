"""A match computed here: frames, hashes and its end."""

from __future__ import annotations

import pytest
from match.fakes import FakeEngine, play

from awm_crank.match.game import Game, is_last, out_of_stocks
from awm_crank.wire.accounts import FrameRecord
from awm_crank.wire.start import start_players

STOCKS = (25, 57)


def test_records_are_the_sessions() -> None:
    """Given a session's inputs and sources, it makes the session's records and chain hash."""
    match = play(30).file
    game = Game.start(FakeEngine(), match.start_players, match.meta.stage, bytes.fromhex(match.meta.genesis))
    for number, raw in enumerate(match.records, 1):
        record = FrameRecord.decode(raw)
        assert game.advance(raw[4:20], raw[20:22]) == raw
        assert (game.frame, game.players) == (number, record.players)
    assert game.chain_hash.hex() == match.meta.chain_hash


@pytest.mark.parametrize("player", [0, 1])
def test_ko_ends_it(player: int) -> None:
    """A player without stocks ends the match, whatever max_frames says."""
    players = bytearray(start_players(1, 2))
    assert not out_of_stocks(bytes(players))
    assert not is_last(5, bytes(players), 0)
    assert players[STOCKS[player]] == 4
    players[STOCKS[player]] = 0
    assert out_of_stocks(bytes(players))
    assert is_last(5, bytes(players), 0)


@pytest.mark.parametrize(
    ("frame", "max_frames", "last"), [(9, 10, False), (10, 10, True), (11, 10, True), (9, 0, False)]
)
def test_max_frames_ends_it(frame: int, max_frames: int, last: bool) -> None:
    """The match is over when max_frames is reached; 0 means never."""
    assert is_last(frame, start_players(1, 2), max_frames) is last
