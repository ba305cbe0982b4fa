"""A match that is computed here: frames and hashes."""

from __future__ import annotations

from match.fakes import FakeEngine, play

from awm_crank.match.game import Game
from awm_crank.wire.accounts import FrameRecord


def test_records_are_the_sessions() -> None:
    """From a session's inputs and sources, the game computes the session's records and chain hash."""
    match = play(30).file
    game = Game.start(FakeEngine(), match.start_players, match.meta.stage, bytes.fromhex(match.meta.genesis))
    for number, raw in enumerate(match.records, 1):
        record = FrameRecord.decode(raw)
        assert game.advance(raw[4:20], raw[20:22]) == raw
        assert (game.frame, game.players) == (number, record.players)
    assert game.chain_hash.hex() == match.meta.chain_hash
