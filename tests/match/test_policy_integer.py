"""A policy cartridge plays: the same presses as its checkpoint in most frames, and the same bytes everywhere."""

from __future__ import annotations

import pytest
from engine.policies import cartridge
from match.fakes import CARTRIDGE, FakeEngine

from awm_crank.engine.encoding import Encoding
from awm_crank.engine.policy import PolicyCartridge
from awm_crank.errors import CheckpointError
from awm_crank.match import offline
from awm_crank.match.players import BlockAgent, agent
from awm_crank.match.policy_agent import PolicyAgent
from awm_crank.match.policy_integer import IntegerPolicy, _stick
from awm_crank.match.verify import verify_file
from awm_crank.wire.accounts import ControllerInput, FrameRecord


def player(made: PolicyCartridge) -> PolicyAgent:
    """A seat's agent."""
    return PolicyAgent(IntegerPolicy(made))


def test_drives_a_match() -> None:
    """It plays a match that verifies; the inputs depend on the match, and are these on every machine."""
    agents = (player(cartridge(4)), agent("random"))
    match = offline.play(FakeEngine(), CARTRIDGE, agents, seed=6, max_frames=40)
    assert verify_file(match, FakeEngine(), CARTRIDGE).difference is None
    assert len({FrameRecord.decode(raw).input1 for raw in match.records}) > 10
    assert match.meta.chain_hash == "a1865a0cdbf9674d5e05b8e21aa56c59c14381539c9615543afbe7674986d7e7"


def test_rule() -> None:
    """The rule in the header is followed: the seed matters only if buttons are drawn at random, and whole frames only
    if the policy reads them.
    """
    drawn, fixed = player(cartridge(4)), player(cartridge(4, sampled=False, whole_frames=False))
    assert isinstance(drawn, BlockAgent)
    assert (drawn.reads_blocks, fixed.reads_blocks) == (True, False)
    block = bytes(97)
    assert len({drawn(seed, 0, 1, block) for seed in range(20)}) > 1
    assert len({fixed(seed, 0, 1, block) for seed in range(20)}) == 1
    with pytest.raises(CheckpointError, match="the policy reads hitstun"):
        player(cartridge(1, flags=Encoding(hitstun=True)))


def test_sticks() -> None:
    """A step of 255 is the world's full tilt, the middle is rest, and both sides are alike."""
    assert [_stick(step, 0) for step in (0, 64, 127, 128, 131, 255)] == [-128, -64, 0, 0, 0, 127]
    assert [_stick(step, 80) for step in (0, 64, 127, 128, 191, 255)] == [-80, -40, 0, 0, 40, 80]
    assert all(_stick(step, 80) == -_stick(255 - step, 80) for step in range(256))
    pressed = ControllerInput.decode(player(cartridge(4))(1, 0, 1, bytes(97)))
    assert pressed.trigger_r == 0
