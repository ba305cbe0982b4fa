"""The PettingZoo environment passes the library's own checkers, and keeps the chain's rules."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import numpy as np
import pytest
from demo.cartridges import enduring, knockout
from env.observations import parts_of
from gymnasium.error import ResetNeeded
from pettingzoo.test import parallel_api_test, parallel_seed_test

from awm_crank.engine import ReferenceEngine
from awm_crank.env import MatchEnv, coding, parallel_env
from awm_crank.env.match import Action
from awm_crank.errors import ConfigError
from awm_crank.match import offline
from awm_crank.match.players import agent
from awm_crank.wire import frame_records

NEUTRAL: dict[str, Any] = {player: np.array(coding.NEUTRAL_ACTION) for player in ("player_0", "player_1")}


def test_parallel_api() -> None:
    """PettingZoo's API checker finds nothing, over matches that end by KO and by max_frames."""
    parallel_api_test(parallel_env(knockout()), num_cycles=300)
    parallel_api_test(MatchEnv(enduring(), max_frames=50), num_cycles=300)


def test_seeds() -> None:
    """PettingZoo's seed checker finds that equal seeds and actions give equal matches."""
    parallel_seed_test(lambda: MatchEnv(enduring(), max_frames=200), num_cycles=120)


def test_frames_are_the_sessions() -> None:
    """With the scripted players, the environment equals the offline match frame by frame, from JOIN's start on."""
    made = enduring()
    agents = (agent("random"), agent("spacing"))
    match = offline.play(ReferenceEngine(made), made.sha256, agents, seed=8, max_frames=40, characters=(1, 2))
    env = MatchEnv(made, max_frames=40)
    env.reset()
    assert frame_records.block_players(env.block) == match.start_players
    for frame, record in enumerate(match.records, 1):
        players = env.block[:64]
        given: dict[str, Any] = {name: agents[n](8, n, frame, players) for n, name in enumerate(env.possible_agents)}
        seen, _, terminated, truncated, infos = env.step(given)
        assert env.block[:64] == record[24:88]
        assert infos["player_0"]["frame"] == frame
        assert terminated["player_0"] is False
        assert truncated["player_1"] is (frame == 40)
    assert env.agents == []
    assert parts_of(seen["player_1"])["numbers"][0, 0] == pytest.approx(match.frames[-1]["players"][1]["x"] / 100)


def test_ends_by_ko() -> None:
    """In the frame that takes the last stock, both players are terminated and none is truncated; reset starts over."""
    env = MatchEnv(knockout())
    first, _ = env.reset()
    rewards = 0.0
    while env.agents:
        _, gained, terminated, truncated, _ = env.step(NEUTRAL)
        rewards += gained["player_0"]
        assert gained["player_0"] == -gained["player_1"]
    assert terminated == {"player_0": True, "player_1": True}
    assert truncated == {"player_0": False, "player_1": False}
    assert 0 in (env.block[25], env.block[57])
    with pytest.raises(ConfigError, match=r"the match is over\. Try: call reset"):
        env.step(NEUTRAL)
    again, _ = env.reset()
    assert (parts_of(again["player_0"])["numbers"] == parts_of(first["player_0"])["numbers"]).all()


def test_each_sees_itself_first() -> None:
    """Both observations are of one frame, with the fighters exchanged."""
    env = MatchEnv(enduring())
    env.reset()
    seen, *_ = env.step(NEUTRAL)
    one, other = parts_of(seen["player_0"]), parts_of(seen["player_1"])
    assert (one["numbers"] == other["numbers"][::-1]).all()
    assert (one["categories"] == other["categories"][::-1]).all()
    assert one["numbers"][0, 0] < 0 < other["numbers"][0, 0]
    assert one["categories"][:, 1].tolist() == [1, 2]


def test_render() -> None:
    """`ansi` returns the frame's number and one line for each fighter; without a mode nothing is rendered."""
    env = MatchEnv(enduring(), render_mode="ansi")
    env.reset()
    text = env.render()
    assert text is not None
    assert text.splitlines()[0] == "frame 0"
    assert "x -30.00 y 0.00, 0 %, 4 stocks" in text
    plain = MatchEnv(enduring())
    plain.reset()
    assert plain.render() is None


@pytest.mark.parametrize(
    "action", [None, bytes(7), np.zeros(12, int), np.full(13, 2), np.full(13, -1), np.zeros(13), "up"]
)
def test_actions_that_are_none(action: object) -> None:
    """An action that is missing, out of range, or of another shape or kind is refused, and the match does not
    advance.
    """
    env = MatchEnv(enduring())
    env.reset()
    with pytest.raises(ConfigError, match="action of player_1"):
        env.step({**NEUTRAL, "player_1": action})  # type: ignore[dict-item]
    assert env.frame == 0


def test_settings_that_are_none() -> None:
    """A length of 0 and an unknown render mode are refused."""
    with pytest.raises(ConfigError, match="max_frames of an environment"):
        MatchEnv(enduring(), max_frames=0)
    with pytest.raises(ConfigError, match="render_mode"):
        MatchEnv(enduring(), render_mode="human")


COPIES: dict[str, Callable[[MatchEnv], MatchEnv]] = {
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
    "cloudpickle": lambda env: pickle.loads(cloudpickle.dumps(env)),
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("engine", ["native", "reference"])
def test_copies_continue_the_match(how: str, engine: str) -> None:
    """A copy made in the middle of a match continues it byte for byte, and leaves the original where it is."""
    env = MatchEnv(enduring(), engine=engine, max_frames=20)
    env.reset()
    for _ in range(5):
        env.step(NEUTRAL)
    twin = COPIES[how](env)
    assert (twin.frame, twin.block) == (5, env.block)
    run: dict[str, Action] = {player: np.array([8, 4, 1, 1, 0, *[0] * 8]) for player in env.possible_agents}
    twin.step(run)
    assert env.frame == 5
    env.step(run)
    assert twin.block == env.block
    assert twin.observation_space("player_0") == env.observation_space("player_0")


@pytest.mark.parametrize("how", COPIES)
def test_copies_before_reset(how: str) -> None:
    """A copy of an environment that has no match yet is as good as a new one."""
    twin = COPIES[how](MatchEnv(enduring(), max_frames=20))
    twin.reset()
    assert twin.frame == 0


def test_box_observation() -> None:
    """`box` gives the same observation as one array of its space, and PettingZoo's checker accepts it."""
    box, parts = MatchEnv(enduring(), observation="box", max_frames=30), MatchEnv(enduring(), max_frames=30)
    flat, _ = box.reset()
    seen, _ = parts.reset()
    space = box.observation_space("player_1")
    assert space.shape == (2 * (15 + sum(coding.CATEGORY_SIZES)),)
    assert space.dtype == np.float32
    for player in box.agents:
        row = flat[player]
        assert isinstance(row, np.ndarray)
        assert row in space
        assert row[-30:].tolist() == parts_of(seen[player])["numbers"].ravel().tolist()
        assert np.flatnonzero(row[:-30]).tolist()[0] == parts_of(seen[player])["categories"][0, 0]
    parallel_api_test(box, num_cycles=100)
    with pytest.raises(ConfigError, match="observation; expected dict or box, found image"):
        MatchEnv(enduring(), observation="image")


@pytest.mark.parametrize("error", [ResetNeeded, AssertionError])
def test_before_reset(error: type[Exception]) -> None:
    """Before the first reset, render, step and frame raise what gymnasium and PettingZoo raise there."""
    env = MatchEnv(enduring(), render_mode="ansi")
    for ask in (env.render, lambda: env.step(NEUTRAL), lambda: env.frame, lambda: env.block):
        with pytest.raises(error, match=r"reset\(\) needs to be called before (render|step|frame|block)"):
            ask()
