"""In a batch, each match is what it would be alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from demo.cartridges import enduring, knockout
from env.observations import parts_of

from awm_crank.env import Batch, MatchEnv, coding
from awm_crank.errors import ConfigError

COUNT = 5


def drawn(rng: np.random.Generator) -> np.ndarray:
    """Random actions for every match and player."""
    return rng.integers(0, np.array(coding.ACTION_SIZES), (COUNT, 2, len(coding.ACTION_SIZES)))


@pytest.mark.parametrize(("name", "max_frames"), [("enduring", 12), ("knockout", 28_800)])
def test_matches_are_those_of_the_environment(name: str, max_frames: int) -> None:
    """Each match's observations, rewards and ends equal those of a single environment, new matches included."""
    made = {"enduring": enduring, "knockout": knockout}[name]()
    batch = Batch(made, COUNT, max_frames=max_frames)
    alone = [MatchEnv(made, max_frames=max_frames) for _ in range(COUNT)]
    first = batch.reset()
    for env in alone:
        seen, _ = env.reset()
        assert (first.numbers[0, 0] == parts_of(seen["player_0"])["numbers"]).all()
    rng, ends = np.random.default_rng(1), 0
    for _ in range(30):
        actions = drawn(rng)
        step = batch.step(actions)
        for n, env in enumerate(alone):
            seen, gained, terminated, truncated, _ = env.step(dict(zip(env.possible_agents, actions[n], strict=True)))
            assert step.rewards[n].tolist() == pytest.approx(list(gained.values()))
            assert (step.terminated[n], step.truncated[n]) == (terminated["player_0"], truncated["player_0"])
            if not env.agents:
                ends += 1
                seen, _ = env.reset()
            assert batch.blocks[n] == env.block
            for player, name_of in enumerate(env.possible_agents):
                assert (step.numbers[n, player] == parts_of(seen[name_of])["numbers"]).all()
                assert (step.categories[n, player] == parts_of(seen[name_of])["categories"]).all()
    assert ends >= COUNT


def test_bytes_are_actions() -> None:
    """ControllerInput bytes have the same effect as the choices that they encode."""
    actions = drawn(np.random.default_rng(2))
    by_choice, by_bytes = Batch(enduring(), COUNT), Batch(enduring(), COUNT)
    for _ in range(3):
        by_choice.step(actions)
        by_bytes.step(coding.inputs(actions))
    assert by_choice.blocks == by_bytes.blocks
    assert by_choice.frames.tolist() == [3] * COUNT


def test_refusals() -> None:
    """Invalid sizes and actions are refused."""
    with pytest.raises(ConfigError, match="count and max_frames"):
        Batch(enduring(), 0)
    batch = Batch(enduring(), COUNT)
    wrongs: list[Any] = [np.zeros((COUNT, 2, 8), np.int64), np.zeros((COUNT, 13), np.int64), np.zeros((COUNT, 2, 13))]
    for wrong in wrongs:
        with pytest.raises(ConfigError, match="actions of a batch"):
            batch.step(wrong)
    with pytest.raises(ConfigError, match="choices below"):
        batch.step(np.full((COUNT, 2, 13), 3))
    assert batch.frames.tolist() == [0] * COUNT
