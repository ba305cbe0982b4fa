"""Scripted players are pure and seeded, and stay within a controller's ranges."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.errors import ConfigError
from awm_crank.match import players
from awm_crank.wire.layouts import PLAYER_STATE

STATE = PLAYER_STATE.body
U64 = st.integers(0, 2**64 - 1)


def state(x: float, y: float = 0.0, *, on_ground: int = 1) -> bytes:
    """A PlayerState at a position in game units."""
    return STATE.pack(int(x * 256), int(y * 256), 0, 15360, 0, 0, 0, 0, 0, 0, 0, 4, 1, on_ground, 14, 2, 0)


START = state(-30) + state(30)


@pytest.mark.parametrize(
    ("seed", "expected"),
    [(0, 0xE220A8397B1DCDAF), (0x9E3779B97F4A7C15, 0x6E789E6AA1B965F4), (1234567, 6457827717110365317)],
)
def test_splitmix_vectors(seed: int, expected: int) -> None:
    """SplitMix64 gives the published sequence: outputs 1 and 2 of seed 0, and output 1 of seed 1234567."""
    assert players.splitmix64(seed) == expected


@given(
    st.sampled_from(sorted(players.AGENTS)), U64, st.integers(0, 1), st.integers(1, 2**32 - 1),
    st.floats(-300, 300), st.floats(-300, 300), st.floats(-200, 300), st.integers(0, 1),
)  # fmt: skip
def test_agents_are_pure_and_in_range(
    name: str, seed: int, player: int, frame: int, x0: float, x1: float, y: float, on_ground: int
) -> None:
    """Every agent returns 8 bytes, the same every time, with sticks within a full tilt and no undefined button bit."""
    view = state(x0, y, on_ground=on_ground) + state(x1)
    first = players.agent(name)(seed, player, frame, view)
    assert first == players.agent(name)(seed, player, frame, view)
    *sticks, _, _, _, extra = struct.unpack("<bbbbBBBB", first)
    assert max(map(abs, sticks)) <= players.FULL_TILT
    assert extra < 16


def test_noop_is_neutral() -> None:
    """noop returns eight zero bytes."""
    assert players.noop(1, 0, 1, START) == bytes(8)


def test_hold_forward_walks_at_the_opponent() -> None:
    """Player 0 starts on the left and holds right; player 1 does the opposite."""
    assert struct.unpack_from("<b", players.hold_forward(1, 0, 1, START))[0] == 80
    assert struct.unpack_from("<b", players.hold_forward(1, 1, 1, START))[0] == -80


def test_random_depends_on_seed_player_and_frame_only() -> None:
    """Another seed or player gives another sequence, and other PlayerStates give the same one."""

    def sequence(seed: int, player: int, view: bytes) -> list[bytes]:
        return [players.random(seed, player, frame, view) for frame in range(1, 601)]

    base = sequence(5, 0, START)
    assert base == sequence(5, 0, state(100) + state(-3))
    assert base != sequence(6, 0, START)
    assert base != sequence(5, 1, START)
    assert len(set(base)) > 50


def test_random_presses_everything() -> None:
    """Within 1,000 choices the random player uses each of A, B, X, Y, Z, a shield, the C-stick and D-up."""
    inputs = [struct.unpack("<bbbbBBBB", players.random(1, 0, 6 * n, START)) for n in range(1000)]
    for bit in (players.A, players.B, players.X, players.Y, players.Z):
        assert any(i[6] & bit for i in inputs)
    assert any(i[4] for i in inputs)
    assert any(i[2] for i in inputs)
    assert any(i[7] for i in inputs)


@pytest.mark.parametrize(("mine", "theirs", "sign"), [(-30, 30, 1), (30, -30, -1), (0, 5, -1), (5, 0, 1)])
def test_spacing_approaches_and_retreats(mine: float, theirs: float, sign: int) -> None:
    """The spacing player walks towards a far opponent and away from a near one, as either player."""
    for player in (0, 1):
        pair = [state(mine), state(theirs)]
        view = b"".join(pair if player == 0 else pair[::-1])
        stick = struct.unpack_from("<b", players.spacing(1, player, 7, view))[0]
        assert stick == sign * 80


def test_fighter_comes_home() -> None:
    """Beyond the stage's edge the fighter holds towards the middle, and jumps while it has a jump left."""
    view = state(-110, -5, on_ground=0) + state(10)
    inputs = [struct.unpack("<bbbbBBBB", players.fighter(3, 0, frame, view)) for frame in range(1, 61)]
    assert {i[0] for i in inputs} == {players.FULL_TILT}
    assert {i[6] for i in inputs} == {0, players.X}


@pytest.mark.parametrize("player", [0, 1])
def test_fighter_fights(player: int) -> None:
    """The fighter runs at a far opponent, and strikes, guards and turns next to a near one."""
    far = state(-50) + state(50)
    sticks = {struct.unpack_from("<b", players.fighter(1, player, frame, far))[0] for frame in range(1, 61)}
    assert sticks == {80 if player == 0 else -80}
    near = [players.fighter(1, player, frame, state(-5) + state(5)) for frame in range(1, 1200)]
    assert any(i[6] & players.A for i in near)
    assert any(i[4] for i in near)
    assert {struct.unpack_from("<b", i)[0] for i in near} == {-80, 0, 80}


def test_spacing_attacks_at_reach() -> None:
    """In reach, the spacing player presses A in some frames and lets it go in others."""
    view = state(0) + state(14)
    pressed = [players.spacing(3, 0, frame, view)[6] for frame in range(1, 61)]
    assert set(pressed) == {0, players.A}


def test_unknown_agent() -> None:
    """An unknown agent is refused with a list of the known ones."""
    with pytest.raises(ConfigError) as caught:
        players.agent("fox")
    assert str(caught.value) == "no agent is called 'fox'. Try: one of noop, random, hold-forward, spacing, fighter"
