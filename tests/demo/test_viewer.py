"""Pictures show what the observer has seen, over all matches."""

from __future__ import annotations

import pytest
from solders.pubkey import Pubkey

from awm_crank.demo.accounting import MatchAccounting, Tally
from awm_crank.demo.viewer import fighter, frames_per_second, picture, stage_of
from awm_crank.wire.accounts import ACTIVE, PlayerState, SessionState
from awm_crank.wire.start import start_players


def played(frames: int) -> MatchAccounting:
    """A match with one tick a second, in which every frame takes a quarter of a second."""
    accounting = MatchAccounting(1.0)
    accounting.set_schedule(0.0)
    for frame in range(1, frames + 1):
        accounting.landed(frame, frame + 0.25)
    return accounting


def test_fighter_is_in_game_units() -> None:
    """Positions are converted from fixed point, and everything else stays as it is."""
    state = PlayerState(x=-30 * 256, y=384, percent=42, stocks=3, facing=1, action_state=44).encode()
    shown = fighter(state)
    assert (shown.x, shown.y, shown.percent, shown.stocks, shown.facing, shown.action) == (-30.0, 1.5, 42, 3, 1, 44)


def test_rate_is_that_of_the_last_frames() -> None:
    """The frame rate is computed from the times at which the last frames landed. It is 0 with fewer than two frames."""
    assert frames_per_second(played(1)) == 0.0
    assert frames_per_second(played(100)) == pytest.approx(1.0)


@pytest.mark.parametrize(("stage", "ground", "platforms"), [(32, 85.57, 0), (31, 68.4, 3), (7, 80.0, 0)])
def test_stage_is_drawn_as_it_is_known(stage: int, ground: float, platforms: int) -> None:
    """Known stages have their ground and platforms, and an unknown one has a plain ground."""
    parts = stage_of(stage)
    assert parts["ground"] == ground
    assert len(parts.get("platforms", ())) == platforms


def test_counts_run_over_all_matches() -> None:
    """Earlier matches' counts are added, and the frame number is the running match's."""
    zero = Pubkey.default()
    state = SessionState(
        status=ACTIVE, frame=3, max_frames=0, player1=zero, player2=zero, stage=32, players=start_players(1, 2),
        model=zero, created_at=0, last_update=0, seed=0, entity=zero, payer=zero, invited=zero,
        last_fresh=0, challenge_s=300, bolt_metadata=zero,
    )  # fmt: skip
    before = Tally(frames=10, on_time=8, late=2, missed=1)
    shown = picture(session="S", state=state, match=2, seed=6, wanted=20, before=before, now=played(3))
    assert (shown.done, shown.frame, shown.on_time, shown.late, shown.missed) == (13, 3, 11, 2, 1)
    assert shown.p50_ms == pytest.approx(250)
