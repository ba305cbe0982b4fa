"""Observations, actions and rewards, compared with the accounts' own codec."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.env import coding
from awm_crank.match.file import player_object
from awm_crank.wire.accounts import ControllerInput, PlayerState
from awm_crank.wire.start import start_players


def player(**changes: int) -> bytes:
    """A PlayerState with these fields, and all others as at the start."""
    fields = {"x": -7680, "shield_strength": 15360, "stocks": 4, "action_state": 14, "character": 3, **changes}
    return PlayerState(**fields).encode()


def block(first: bytes, second: bytes) -> bytes:
    """A frame block of two PlayerStates."""
    return first + second + bytes(33)


def test_layout_is_the_accounts() -> None:
    """The NumPy record reads every field as the account's codec does."""
    data = player(x=-5, y=7, percent=999, speed_y=-300, state_age=65535, hitlag=9, jumps_left=2, on_ground=1)
    record = coding.fighters([block(data, player())])[0, 0]
    state = PlayerState.decode(data)
    assert coding.PLAYER.itemsize == 32
    assert {name: int(record[name]) for name in coding.PLAYER.names or ()} == {
        name: getattr(state, name) for name in coding.PLAYER.names or ()
    }


def test_numbers_are_game_units() -> None:
    """x of 100, shield of 60, a second in a state and 4 stocks are each 1, and categories stay as they are."""
    states = coding.fighters([block(player(x=25_600, state_age=60, percent=50, action_state=399), player())])
    first = dict(zip(coding.SCALES, coding.numbers(states)[0, 0].tolist(), strict=True))
    assert (first["x"], first["shield_strength"], first["state_age"], first["stocks"]) == pytest.approx((1, 1, 1, 1))
    assert first["percent"] == pytest.approx(0.5)
    assert coding.categories(states)[0].tolist() == [[399, 3], [14, 3]]
    units = player_object(player(x=25_600))
    assert units["x"] / 100 == pytest.approx(first["x"])


def test_actions_cover_the_controller() -> None:
    """The middle of each stick is neutral, the ends are full tilts, and each button has its own bit."""
    assert coding.inputs(np.array(coding.NEUTRAL_ACTION)).tobytes() == bytes(8)
    low = ControllerInput.decode(coding.inputs(np.array((0, 8, 0, 2, 1, *[0] * 8))).tobytes())
    assert (low.stick_x, low.stick_y, low.c_stick_x, low.c_stick_y, low.trigger_l) == (-80, 80, -80, 80, 128)
    seen = set()
    for button in range(8):
        action = [*coding.NEUTRAL_ACTION]
        action[5 + button] = 1
        pressed = ControllerInput.decode(coding.inputs(np.array(action)).tobytes())
        seen.add((pressed.buttons, pressed.buttons_ext))
    assert seen == {(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (0, 4), (0, 8), (0, 1)}


ACTIONS = st.tuples(*(st.integers(0, size - 1) for size in coding.ACTION_SIZES))


@given(st.lists(ACTIONS, min_size=1, max_size=4))
def test_actions_in_any_number(actions: list[tuple[int, ...]]) -> None:
    """Many actions at once give the same bytes as one after the other, and two different actions differ."""
    together = coding.inputs(np.array(actions))
    assert [row.tobytes() for row in together] == [coding.inputs(np.array(each)).tobytes() for each in actions]
    assert len({row.tobytes() for row in together}) == len(set(actions))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (({}, {}), ({}, {}), 0.0),
        (({}, {"percent": 10}), ({}, {"percent": 22}), 0.12),
        (({"percent": 10}, {}), ({"percent": 22}, {}), -0.12),
        (({}, {"stocks": 4, "percent": 120}), ({}, {"stocks": 3, "percent": 0}), 1.0),
        (({"stocks": 1}, {}), ({"stocks": 0}, {}), -1.0),
        (({"stocks": 2}, {"stocks": 2}), ({"stocks": 1}, {"stocks": 1}), 0.0),
    ],
)
def test_rewards(before: tuple[dict, dict], after: tuple[dict, dict], expected: float) -> None:  # type: ignore[type-arg]
    """A stock counts 1 and a percent 0.01, a reset of percent counts nothing, and the other player loses the same
    amount.
    """
    states = [coding.fighters([block(player(**first), player(**second))]) for first, second in (before, after)]
    gained = coding.rewards(*states)[0]
    assert gained.tolist() == pytest.approx([expected, -expected])


def test_start_is_the_sessions() -> None:
    """In frame 0 both fighters are 0.3 from the middle and mirror each other."""
    seen = coding.numbers(coding.fighters([start_players(1, 2) + bytes(33)]))[0]
    assert seen[:, 0].tolist() == pytest.approx([-0.3, 0.3])
