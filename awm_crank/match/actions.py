"""Names of action states for spectators. Action states that the game's own table hardly distinguishes share one name.

The numbers are those of the game's action state table (0..399), which the model uses unchanged.
"""

from __future__ import annotations

from bisect import bisect_right

GROUPS: tuple[tuple[int, str], ...] = (
    (0, "knocked out"),
    (12, "revival"),
    (14, "wait"),
    (15, "walk"),
    (18, "turn"),
    (20, "dash"),
    (21, "run"),
    (23, "brake"),
    (24, "jump squat"),
    (25, "jump"),
    (27, "air jump"),
    (29, "fall"),
    (35, "helpless fall"),
    (38, "tumble"),
    (39, "crouch"),
    (42, "landing"),
    (44, "jab"),
    (50, "dash attack"),
    (51, "tilt"),
    (58, "smash"),
    (65, "aerial"),
    (70, "aerial landing"),
    (75, "hurt"),
    (92, "item"),
    (178, "shield"),
    (183, "knocked down"),
    (199, "tech"),
    (205, "stunned"),
    (212, "grab"),
    (219, "throw"),
    (223, "grabbed"),
    (233, "dodge"),
    (239, "thrown"),
    (252, "ledge"),
    (264, "taunt"),
    (266, "thrown"),
    (322, "entry"),
    (341, "special"),
)
"""The first state of each group and its name, in order. A group ends where the next one begins."""
_STARTS = [start for start, _ in GROUPS]


def action_name(state: int) -> str:
    """The name of an action state, or its number when it is outside 0..399."""
    if not 0 <= state < 400:
        return f"action {state}"
    return GROUPS[bisect_right(_STARTS, state) - 1][1]
