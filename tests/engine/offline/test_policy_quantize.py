"""A quantized policy presses what the floating-point policy presses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from match.policies import weights

from awm_crank.engine.encoding import Encoding
from awm_crank.engine.offline.policy_quantize import quantize_policy
from awm_crank.engine.policy import PolicyCartridge
from awm_crank.errors import CheckpointError
from awm_crank.match.policy import Policy

RULE: dict[str, Any] = {"whole_frames": True, "sampled": True, "bias": 4.0, "name": "p", "version": 1}
SHIPPED = Path(__file__).resolve().parents[3] / "tools" / "policy" / "spacing.npz"


def quantized(policy: Policy, changes: Mapping[str, np.ndarray] | None = None) -> tuple[PolicyCartridge, np.ndarray]:
    """The policy in integers, and the contexts that it was calibrated on."""
    shape = (60, policy.context_len * policy.frame_dim)
    contexts = np.random.default_rng(1).normal(0, 1.5, shape)
    tensors = {**policy.weights, **(changes or {})}
    made = quantize_policy(tensors, policy.scales, policy.flags, policy.context_len, contexts, **RULE)
    return made, contexts


@pytest.mark.parametrize(
    "policy", [Policy(weights(3, 4, 64, 32, age=True, more=41), {}, 4), Policy.read(SHIPPED.read_bytes())]
)
def test_integers_agree(policy: Policy) -> None:
    """Over random frames the outputs agree: analog within 0.02 on average, buttons' sides in 98 % or more."""
    made, contexts = quantized(policy)
    apart, same = [], []
    for row in contexts:
        frames = row.reshape(policy.context_len, -1)
        analog, logits = policy.forward(frames.astype(np.float32))
        outputs = made.outputs(np.clip(np.rint(frames * 2048), -32768, 32767).astype(np.int64)) / 65536
        apart.append(np.abs(1 / (1 + np.exp(-outputs[:5])) - analog).mean())
        same.append(((outputs[5:] > 0) == (logits > 0)).mean())
    assert np.mean(apart) < 0.02
    assert np.mean(same) >= 0.98
    assert made.total_params == sum(value.size for value in policy.weights.values())
    assert (made.format.bias, made.format.context_len) == (4 << 16, policy.context_len)


def test_frame_vectors_agree() -> None:
    """The integer frame vector is the floating-point one in steps of 1/2,048."""
    policy = Policy(weights(3, 1, more=41), {}, 1)
    made, _ = quantized(policy)
    rng = np.random.default_rng(5)
    world = Encoding(state_flags=True, hitstun=True, stick_range=80)
    block = bytes(64) + bytes(16) + bytes(rng.integers(0, 80, 16).astype(np.uint8)) + bytes((32,)) + bytes(range(12))
    exact = policy.frame_vector(block, 1, world)
    assert made.frame_vector(block, 1, world) / 2048 == pytest.approx(exact, abs=1 / 2048)


def test_what_does_not_fit() -> None:
    """Embeddings beyond ±16 and weights that are absurd are refused by name."""
    policy = Policy(weights(1, 1), {}, 1)
    with pytest.raises(CheckpointError, match=r"policy action_embed\.weight does not fit its format"):
        quantized(policy, {"action_embed.weight": np.full((400, 32), 17.0)})
    with pytest.raises(CheckpointError, match="policy weights do not fit the format"):
        quantized(policy, {"button_head.weight": policy.weights["button_head.weight"] * 1e9})
