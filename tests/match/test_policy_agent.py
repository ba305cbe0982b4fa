"""A policy drives a match: its window, its buttons, and its sticks in this world's integers."""

from __future__ import annotations

import numpy as np
import pytest
from match.fakes import CARTRIDGE, FakeEngine
from match.policies import ENCODING, policy, weights

from awm_crank.engine.encoding import Encoding
from awm_crank.errors import CheckpointError
from awm_crank.match import offline
from awm_crank.match.players import BlockAgent, agent, drawn
from awm_crank.match.policy import SIMPLE, Policy, Rule, pressed
from awm_crank.match.policy_agent import PolicyAgent
from awm_crank.match.verify import verify_file
from awm_crank.wire import frame_records
from awm_crank.wire.accounts import ControllerInput, FrameRecord, PlayerState
from awm_crank.wire.start import start_players

STAGE = 32
PLAYERS = start_players(2, 20)
REST = np.array([128, 128, 128, 128, 0], np.float32) / np.float32(255)


def seen(x: int, action: int, stick: int = 0) -> bytes:
    """A frame block with player 1 at x, in that action, and both sticks there."""
    first = PlayerState.decode(PLAYERS[:32])
    state = PlayerState(
        x=x, shield_strength=first.shield_strength, stocks=3, facing=1, action_state=action, jumps_left=1, character=2
    ).encode()  # fmt: skip
    return frame_records.block(state + PLAYERS[32:], bytes(16), bytes((stick, *[0] * 7)) * 2, STAGE)


def test_context_is_the_last_frames() -> None:
    """Only the last K frames decide, and asking again or stepping back gives the same answer."""
    frames = [seen(400 * n, 14 + n, n) for n in range(6)]
    made = policy(context_len=3)
    whole, late = PolicyAgent(made), PolicyAgent(made)
    answers = [whole(0, 0, n + 1, block) for n, block in enumerate(frames)]
    assert len(set(answers)) > 1
    for n in (3, 4):
        late.remember(0, n, frames[n])
    assert late(0, 0, 6, frames[5]) == answers[5]
    assert whole(0, 0, 6, frames[5]) == answers[5]
    assert [whole(0, 0, n + 1, frames[n]) for n in (3, 4, 5)] == answers[3:]
    assert [whole(0, 0, n + 1, block) for n, block in enumerate(frames)] == answers
    first = made.forward(np.stack([made.frame_vector(frames[0], 0)] * 3))
    assert answers[0] == pressed(*first, draw=(0, 0, 1))


def test_players_alone_suffice_for_the_simple_rule() -> None:
    """Such a policy plays the same from both PlayerStates and from whole blocks."""
    made = Policy(weights(1, 2), ENCODING, 2, SIMPLE)
    one, other = PolicyAgent(made, stage=STAGE), PolicyAgent(made)
    assert isinstance(one, BlockAgent)
    assert not one.reads_blocks
    for n in range(4):
        block = seen(900 * n, 14 + n, 70)
        assert one(0, 1, n + 1, block[:64]) == other(0, 1, n + 1, block)


def test_buttons_by_threshold() -> None:
    """Without sampling, a button is pressed when its logit and the bias are above 0 together."""
    rule = Rule(sampled=False, bias=4.0)
    given = ControllerInput.decode(pressed(REST, np.array([-4.1, -3.9, 0, -9, 9, -4, -4, -3], np.float32), rule))
    assert (given.buttons, given.buttons_ext) == (0b10110, 0b1)
    assert pressed(REST, np.zeros(8, np.float32), SIMPLE) == bytes(8)


def test_buttons_are_drawn() -> None:
    """With sampling, a button is held in sigmoid(logit + bias) of all frames, and seed, player and frame decide."""
    logits = np.array([-4, -5, -3, -20, 20, -4, -4, -4], np.float32)
    held = np.array(
        [
            [ControllerInput.decode(pressed(REST, logits, draw=(7, 1, n))).buttons >> bit & 1 for bit in range(5)]
            for n in range(4000)
        ]
    )
    assert held.mean(0) == pytest.approx([0.5, 0.269, 0.731, 0, 1], abs=0.03)
    assert pressed(REST, logits, draw=(7, 1, 5)) == pressed(REST, logits, draw=(7, 1, 5))
    assert len({pressed(REST, logits, draw=(7, 1, n)) for n in range(20)}) > 3
    assert abs(np.corrcoef(held[:, 0], held[:, 1])[0, 1]) < 0.06
    assert drawn(7, 1, 5, 0) != drawn(7, 1, 5, 1)


def test_analog_outputs() -> None:
    """Sticks rest near the centre, and full outputs are the world's full tilt; a light shoulder is not pressed."""
    silent = np.full(8, -99, np.float32)
    assert pressed(REST, silent) == bytes(8)
    assert pressed(REST + np.float32(0.01), silent) == bytes(8)
    outputs = np.array([1, 0, 0.6, 0.4, 0.5], np.float32)
    wide, narrow = (ControllerInput.decode(pressed(outputs, silent, stick_range=each)) for each in (0, 80))
    assert (wide.stick_x, wide.stick_y, wide.c_stick_x, wide.c_stick_y) == (127, -128, 25, -26)
    assert (narrow.stick_x, narrow.stick_y, narrow.c_stick_x, narrow.c_stick_y) == (80, -80, 16, -16)
    assert (wide.trigger_l, wide.trigger_r) == (128, 0)


def test_drives_a_match() -> None:
    """A policy plays against a scripted player, the file verifies, and the same seed gives the same match."""

    def match() -> offline.file.MatchFile:
        return offline.play(FakeEngine(), CARTRIDGE, (PolicyAgent(policy()), agent("random")), seed=6, max_frames=40)

    played = match()
    assert verify_file(played, FakeEngine(), CARTRIDGE).difference is None
    assert len({FrameRecord.decode(raw).input1 for raw in played.records}) > 10
    assert match().records == played.records


def test_worlds_that_lack_something() -> None:
    """A policy that reads hitstun does not play in a world without it."""
    made = Policy(weights(1, 1, more=1), {}, 1)
    assert PolicyAgent(made, Encoding(hitstun=True)).extra_size == 1
    with pytest.raises(CheckpointError, match="the policy reads hitstun"):
        PolicyAgent(made)
