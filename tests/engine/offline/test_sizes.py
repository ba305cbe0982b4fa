"""Smaller vocabularies, narrower embeddings and an odd d_state: filled up, and nothing computed changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from awm_crank.engine.encoding import EMBEDDINGS, PLAIN, Encoding
from awm_crank.engine.frame import start_block
from awm_crank.engine.layout import Shape
from awm_crank.engine.offline import checkpoint, seeded_checkpoint, sizes
from awm_crank.engine.offline.quantize import quantize
from awm_crank.engine.offline.torch_model import TorchModel
from awm_crank.engine.reference import ReferenceEngine
from awm_crank.errors import CheckpointError

SHAPE = Shape(64, 96, 8, 24, 1)
WHOLE = checkpoint.read(seeded_checkpoint.checkpoint(SHAPE, 1)).weights
SMALL: dict[str, Any] = {
    "action_vocab": 398, "action_embed_dim": 16, "jumps_vocab": 7, "stage_embed_dim": 3, "ground_vocab": 20,
    "last_attack_vocab": 62, "character_vocab": 26,
}  # fmt: skip


def cut() -> dict[str, np.ndarray]:
    """A checkpoint's weights with the sizes of `SMALL`."""
    weights = dict(WHOLE)
    given = sizes.table_sizes(SMALL)
    columns, at = list(range(2 * PLAIN.player_floats)), 2 * PLAIN.player_floats
    for name in [*PLAIN.player_embeddings * 2, "stage_embed"]:
        columns += range(at, at + given[name][1])
        at += EMBEDDINGS[name][1]
    weights["frame_proj.weight"] = weights["frame_proj.weight"][:, columns]
    for name, (rows, width) in given.items():
        if f"{name}.weight" in weights:
            weights[f"{name}.weight"] = weights[f"{name}.weight"][:rows, :width]
    for feature in ("action", "jumps", "ground", "last_attack"):
        for player in ("p0", "p1"):
            for part in ("weight", "bias"):
                head = f"{player}_{feature}_head.{part}"
                weights[head] = weights[head][: given[f"{feature}_embed"][0]]
    return weights


def test_smaller_sizes_are_filled_up() -> None:
    """Tables keep their rows and columns, a value beyond the vocabulary reads the last row, and padding is counted
    out of the parameters."""
    weights = cut()
    source = checkpoint.from_weights(weights, SMALL)
    assert source.shape == SHAPE
    assert source.total_params == sum(w.size for w in weights.values())
    table = source.weights["action_embed.weight"]
    assert np.array_equal(table[:398, :16], weights["action_embed.weight"])
    assert np.array_equal(table[399], table[397]) and not table[:, 16:].any()


def test_filled_model_computes_the_same() -> None:
    """The filled frame vector gives frame_proj's products, and added classes are never chosen."""
    source = checkpoint.from_weights(cut(), SMALL)
    model = TorchModel.of_checkpoint(source)
    block = start_block(32, (1, 20))
    vector = model.frame_vector(block).numpy()
    given = sizes.table_sizes(SMALL)
    kept, at = list(range(2 * PLAIN.player_floats)), 2 * PLAIN.player_floats
    for name in [*PLAIN.player_embeddings * 2, "stage_embed"]:
        kept += range(at, at + given[name][1])
        at += EMBEDDINGS[name][1]
    wanted = vector[kept] @ cut()["frame_proj.weight"].T
    assert np.allclose(vector @ source.weights["frame_proj.weight"].T, wanted, atol=1e-12)
    out = model.outputs(torch.zeros(64, dtype=torch.float64), bytes(16), bytes(16)).numpy()
    rows = PLAIN.head_slices()["p0_action_head"]
    assert out[rows[398:]].max() < out[rows[:398]].min() - 500


def test_odd_state_gets_a_silent_column() -> None:
    """d_state 7 becomes 8: the model's outputs stay, and the added column of the integer state is 0."""
    odd = dict(WHOLE)
    for name, starts in (("in_proj.weight", (199, 207)), ("conv1d.weight", (103, 111)), ("conv1d.bias", (103, 111))):
        at = f"layers.0.mamba.{name}"
        odd[at] = np.delete(odd[at], starts, 0)
    source = checkpoint.from_weights(odd, {})
    assert source.shape == SHAPE
    silenced = dict(WHOLE)
    for name in ("in_proj.weight", "conv1d.weight", "conv1d.bias"):
        at = f"layers.0.mamba.{name}"
        silenced[at] = silenced[at].copy()
        silenced[at][[199, 207] if name == "in_proj.weight" else [103, 111]] = 0
    assert all(np.array_equal(source.weights[name], silenced[name]) for name in silenced)
    engine = ReferenceEngine(quantize(source, name="odd", frames=20))
    assert not engine.start_state(start_block(32, (1, 2))).h[..., 7].any()
    assert engine.start_state(start_block(32, (1, 2))).h[..., :7].any()


@pytest.mark.parametrize(
    "key,value", [("action_vocab", 401), ("jumps_embed_dim", 5), ("stage_vocab", 0), ("ground_vocab", True)]
)
def test_larger_sizes_are_refused(key: str, value: object) -> None:
    """A vocabulary or a width beyond the engine's is refused by name."""
    with pytest.raises(CheckpointError, match=key):
        sizes.table_sizes({key: value})


def test_state_age_vocabulary_counts_only_with_its_flag() -> None:
    """A shorter table of ages repeats its last row, as the prototype clips ages."""
    shape = Shape(64, 96, 8, 24, 1, encoding=Encoding(state_age_as_embed=True))
    weights = dict(checkpoint.read(seeded_checkpoint.checkpoint(shape, 1)).weights)
    weights["state_age_embed.weight"] = weights["state_age_embed.weight"][:120]
    source = checkpoint.from_weights(weights, {"state_age_as_embed": True, "state_age_embed_vocab": 120})
    table = source.weights["state_age_embed.weight"]
    assert table.shape == (150, 8) and (table[119:] == table[119]).all()
    assert checkpoint.from_weights(WHOLE, {"state_age_embed_vocab": 120}).shape == SHAPE
