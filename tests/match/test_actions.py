"""Action states have names for people."""

from __future__ import annotations

import pytest

from awm_crank.match.actions import action_name


@pytest.mark.parametrize(
    ("state", "name"),
    [
        (14, "wait"),
        (20, "dash"),
        (24, "jump squat"),
        (25, "jump"),
        (29, "fall"),
        (42, "landing"),
        (44, "jab"),
        (57, "tilt"),
        (75, "hurt"),
        (91, "hurt"),
        (178, "shield"),
        (179, "shield"),
        (0, "knocked out"),
        (399, "special"),
    ],
)
def test_known_states(state: int, name: str) -> None:
    """The states that the reference names have those names, and groups keep their bounds."""
    assert action_name(state) == name


@pytest.mark.parametrize("state", [-1, 400])
def test_state_outside_the_table(state: int) -> None:
    """A number that is not an action state is shown as it is."""
    assert action_name(state) == f"action {state}"
