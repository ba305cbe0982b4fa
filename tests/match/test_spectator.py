"""The messages around a match have the site's names, and agree with the session."""

from __future__ import annotations

import msgspec
import pytest
from match.fakes import play

from awm_crank.match import spectator
from awm_crank.wire import layouts
from awm_crank.wire.start import start_players

SESSION = msgspec.structs.replace(
    play(5).snapshot.session, players=start_players(1, 18), stage=31, frame=600, max_frames=600
)


def players(first: tuple[int, int], second: tuple[int, int]) -> bytes:
    """Both PlayerStates of the start, with these (stocks, percent)."""
    changed = []
    for at, (stocks, percent) in ((0, first), (32, second)):
        fields = layouts.PLAYER_STATE.unpack(SESSION.players[at : at + 32])
        values = dict(zip(layouts.PLAYER_STATE.names, fields, strict=True)) | {"stocks": stocks, "percent": percent}
        changed.append(layouts.PLAYER_STATE.body.pack(*values.values()))
    return b"".join(changed)


def test_match_start() -> None:
    """match_start names both characters and the stage, and gives its geometry."""
    message = spectator.match_start(SESSION, "the address", 3)
    assert (message["type"], message["match_id"], message["stage"], message["max_frames"]) == (
        "match_start",
        3,
        31,
        600,
    )
    assert message["p0"] == {"character": 1, "character_name": "Fox"}
    assert message["p1"] == {"character": 18, "character_name": "Marth"}
    assert message["meta"]["session"] == "the address"
    assert message["meta"]["stage"] == {"id": 31, "name": "Battlefield"}
    assert message["meta"]["characters"]["p1"] == {"id": 18, "name": "Marth"}
    geometry = message["stage_geometry"]
    assert geometry["ground_x_range"] == [-68.4, 68.4]
    assert geometry["platforms"][0] == {"x_range": [-57.6, -20], "y": 27.2}
    assert geometry["blast_zones"]["top"] == 200
    assert geometry["camera_bounds"]["left"] < -68.4


@pytest.mark.parametrize(
    ("first", "second", "frame", "reason", "winner"),
    [
        ((0, 0), (2, 30), 400, "ko", 1),
        ((2, 0), (0, 30), 400, "ko", 0),
        ((2, 40), (2, 30), 600, "timeout", 1),
        ((2, 40), (2, 40), 600, "timeout", None),
        ((2, 40), (1, 0), 400, "ended", None),
    ],
)
def test_match_end(
    first: tuple[int, int], second: tuple[int, int], frame: int, reason: str, winner: int | None
) -> None:
    """match_end says why the match ended, who won, and both players' final stocks and percent."""
    over = msgspec.structs.replace(SESSION, players=players(first, second), frame=frame)
    assert spectator.match_end(over, 2) == {
        "type": "match_end", "match_id": 2, "reason": reason, "total_frames": frame, "winner": winner,
        "final_stocks": [first[0], second[0]], "final_percent": [first[1], second[1]],
    }  # fmt: skip


def test_unknown_names() -> None:
    """A character or stage without a name gets its number, and no ground is invented."""
    assert spectator.character_name(32) == "character 32"
    assert spectator.stage_geometry(7) == {"name": "stage 7"}
