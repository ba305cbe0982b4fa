"""Offline matches are complete and repeatable, and verify."""

from __future__ import annotations

import pytest
from match.fakes import CARTRIDGE, FakeEngine

from awm_crank.errors import ConfigError, LayoutError
from awm_crank.match import file, offline
from awm_crank.match.players import agent
from awm_crank.match.verify import verify_file
from awm_crank.wire import bolt, ids
from awm_crank.wire.accounts import FrameRecord

AGENTS = (agent("random"), agent("spacing"))


def played(seed: int = 4, max_frames: int = 25, **more: object) -> file.MatchFile:
    """A match of the fake engine."""
    return offline.play(FakeEngine(), CARTRIDGE, AGENTS, seed=seed, max_frames=max_frames, **more)  # type: ignore[arg-type]


def test_file_verifies() -> None:
    """A match that is played, written and read back is recomputed without a difference."""
    match = file.parse(played(characters=(2, 20)).encode())
    verdict = verify_file(match, FakeEngine(), CARTRIDGE)
    assert (verdict.difference, verdict.last) == (None, 25)
    assert [match.start_players[31], match.start_players[63]] == [2, 20]


def test_inputs_are_the_agents() -> None:
    """Every input is the agent's choice for its frame and the players before it, and counts as fresh."""
    match = played()
    before = match.start_players
    for raw in match.records:
        record = FrameRecord.decode(raw)
        assert record.sources == b"\0\0"
        assert record.input1 == AGENTS[0](4, 0, record.frame, before)
        assert record.input2 == AGENTS[1](4, 1, record.frame, before)
        before = record.players


def test_same_match_same_file() -> None:
    """The same arguments give the same bytes; another seed, length or character gives another session."""
    assert played().encode() == played().encode()
    others = [played(), played(seed=5), played(max_frames=26), played(characters=(1, 0))]
    assert len({other.meta.session for other in others}) == len(others)


def test_what_only_a_chain_has() -> None:
    """Model and players are the zero key, and the entity determines the session."""
    meta = played().meta
    zero = str(ids.ZERO_KEY)
    assert (meta.model, meta.player1, meta.player2) == (zero, zero, zero)
    entity = offline.entity(CARTRIDGE, 32, 4, 25, bytes.fromhex(meta.start_players))
    assert (meta.entity, meta.session) == (str(entity), str(bolt.component_pda(ids.SESSION_STATE, entity)))


def test_ends_by_ko() -> None:
    """The frame in which a player loses the last stock is the last one."""
    match = offline.play(FakeEngine(ko_at=7), CARTRIDGE, AGENTS, seed=1, max_frames=600)
    assert match.meta.frames == 7
    assert match.frames[-1]["players"][1]["stocks"] == 0
    assert verify_file(match, FakeEngine(ko_at=7), CARTRIDGE).difference is None


def test_refusals() -> None:
    """A match without an end, and numbers that no account could hold, are refused."""
    with pytest.raises(ConfigError, match="max_frames of an offline match; expected at least 1, found 0"):
        played(max_frames=0)
    with pytest.raises(LayoutError, match="seed"):
        played(seed=1 << 64)
    with pytest.raises(LayoutError, match="character"):
        played(characters=(33, 0))


def test_progress() -> None:
    """The callback gets each frame's number, and the last one's."""
    told: list[tuple[int, int]] = []
    played(max_frames=3, progress=lambda *step: told.append(step))
    assert told == [(1, 3), (2, 3), (3, 3)]
