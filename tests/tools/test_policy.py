"""The policy's training tool uses the player's features and the checkpoint's network, and it learns."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from demo.cartridges import enduring

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "policy"))

import imitate as tool  # noqa: E402

from awm_crank.engine import choose  # noqa: E402
from awm_crank.match import offline  # noqa: E402
from awm_crank.match.players import agent, noop, spacing  # noqa: E402
from awm_crank.match.policy import SIMPLE, Policy, pressed  # noqa: E402
from awm_crank.match.policy_agent import PolicyAgent  # noqa: E402
from awm_crank.match.verify import verify_file  # noqa: E402
from awm_crank.wire.accounts import FrameRecord, PlayerState  # noqa: E402

SHIPPED = ROOT / "tools" / "policy" / "spacing.npz"


def advanced(frames: int) -> tool.Lessons:
    """Lessons from the middle of their matches."""
    lessons = tool.Lessons(6, 2, 3)
    for _ in range(frames):
        lessons.next()
    return lessons


def read(model: tool.PolicyMLP, context: int) -> Policy:
    """The policy in a trained network's .pt file."""
    out = io.BytesIO()
    torch.save(tool.content(model, context), out)
    return Policy.read(out.getvalue(), SIMPLE)


def test_records_are_player_states() -> None:
    """The simulator's fighters are written as the accounts hold them."""
    s = advanced(60).frames
    for match, pair in enumerate(tool.records(s)):
        state = PlayerState.decode(pair[1].tobytes())
        assert (state.x, state.y, state.percent) == (s.x[match, 1], s.y[match, 1], s.percent[match, 1])
        assert (state.action_state, state.stocks) == (s.action[match, 1], s.stocks[match, 1])


def test_network_is_the_policy() -> None:
    """Features, embeddings and layers in PyTorch give what the policy gives for the same frames."""
    torch.manual_seed(5)
    model = tool.PolicyMLP(2, 24, 12).eval()
    policy = read(model, 2)
    states, _ = advanced(90).next()
    floats, rows = tool.features(states)
    with torch.no_grad():
        analog, buttons = model(torch.from_numpy(floats), torch.from_numpy(rows))
    for n, row in enumerate(states):
        context = np.stack([policy.frame_vector(tool.seen(each), 0) for each in row])
        mine = policy.forward(context)
        assert mine[0] == pytest.approx(torch.sigmoid(analog[n]).numpy(), abs=1e-5)
        assert mine[1] == pytest.approx(buttons[n].numpy(), abs=1e-4)


def test_teacher_is_the_scripted_player() -> None:
    """The lessons teach what `spacing` presses, and those targets give the same presses back."""
    lessons = advanced(40)
    state = lessons.history[-1]
    states, said = lessons.next()
    assert said[3].tobytes() == spacing(tool.SEED_OF_THE_TEACHER, 1, int(state["state_age"][1, 1]), state[1].tobytes())
    assert states[3, -1].tobytes() == state[1].tobytes()[32:] + state[1].tobytes()[:32]
    analog, buttons = tool.targets(said)
    for n, row in enumerate(said):
        again = pressed(analog[n], buttons[n] * 2 - 1, SIMPLE)
        assert (again[:5], again[6:]) == (row.tobytes()[:5], row.tobytes()[6:])


def test_learns() -> None:
    """A few steps lower the loss clearly, and the same seed gives the same losses."""
    sizes: dict[str, Any] = {
        "context": 2,
        "hidden": 32,
        "trunk": 16,
        "matches": 24,
        "seed": 2,
        "minutes": 60.0,
        "rate": 5e-3,
    }
    model, losses = tool.train(**sizes, steps=60)
    assert np.mean(losses[-5:]) < 0.75 * losses[0]
    assert tool.train(**sizes, steps=3)[1] == tool.train(**sizes, steps=3)[1]
    assert read(model, 2).context_len == 2


def test_shipped_policy_plays() -> None:
    """spacing.npz moves as the teacher does in new matches, and plays a match against an idle player."""
    data = SHIPPED.read_bytes()
    assert len(data) < 300_000
    policy = Policy.read(data)
    found = tool.agreement(policy, frames=150)
    assert found["direction"] > 0.8
    assert found["buttons"] > 0.85
    made = enduring()
    match = offline.play(choose.build(made), made.sha256, (PolicyAgent(policy, stage=32), noop), seed=1, max_frames=120)
    assert verify_file(match, choose.build(made), made.sha256).difference is None
    assert {FrameRecord.decode(raw).input1 for raw in match.records} != {bytes(8)}
    assert agent("spacing") is spacing
