"""Brings a checkpoint's tensors to the sizes that the engine has, without changing what the model computes.

The engine's embedding tables and classes have fixed sizes, and its d_state is even. A smaller vocabulary, a narrower
embedding and an odd d_state are filled up: with rows that nothing reads, classes that are never chosen, and columns of
zeros. Whatever is larger is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from awm_crank.engine.encoding import EMBEDDINGS, Encoding
from awm_crank.engine.layout import CLASSES
from awm_crank.errors import CheckpointError

Floats = NDArray[np.float64]

NEVER = -1000.0
"""The bias of a class that fills up a head, below the smallest bias of the head."""


def keys() -> dict[str, int]:
    """The encoding_config's sizes, and what they are where a checkpoint does not name them."""
    out = {}
    for name, (rows, width) in EMBEDDINGS.items():
        # state_age's are `state_age_embed_vocab` and `state_age_embed_dim`, the others' `action_vocab`, …
        out[name + "_vocab" if name == "state_age_embed" else name.removesuffix("_embed") + "_vocab"] = rows
        out[name + "_dim"] = width
    return out


def table_sizes(encoding: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Each table's (vocabulary, width) as the encoding_config has them.

    Raises CheckpointError for one that is no size, or that is larger than the engine's.
    """
    named = keys()
    found = {}
    for key, most in named.items():
        value = encoding.get(key, most)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise CheckpointError(
                f"encoding_config {key}", expected=f"1..{most}", found=value,
                hint="the engine's tables and the chain's ranges hold no more",
            )  # fmt: skip
        found[key] = value
    pairs = list(found.values())
    return dict(zip(EMBEDDINGS, zip(pairs[::2], pairs[1::2], strict=True), strict=True))


def filled(
    weights: Mapping[str, Floats], encoding: Encoding, sizes: Mapping[str, tuple[int, int]]
) -> dict[str, Floats]:
    """The weights with every table, head and d_state at the engine's size.

    A tensor that is missing or has other dimensions than `sizes` say stays as it is, for `checkpoint` to refuse.
    """
    out = dict(weights)
    _even_states(out)
    used = [*encoding.player_embeddings, "stage_embed"]
    if all(sizes[name] == EMBEDDINGS[name] for name in used):
        return out
    _frame_columns(out, encoding, sizes)
    for name in used:
        table, (rows, width) = out.get(f"{name}.weight"), EMBEDDINGS[name]
        if table is None or table.shape != sizes[name]:
            continue
        # a value beyond the vocabulary is clipped to the last one, as the prototype's encoder does
        tall = np.concatenate([table, np.repeat(table[-1:], rows - len(table), 0)])
        out[f"{name}.weight"] = np.pad(tall, ((0, 0), (0, width - table.shape[1])))
    for feature, classes in CLASSES.items():
        for player in ("p0", "p1"):
            _fill_head(out, f"{player}_{feature}_head", sizes[f"{feature}_embed"][0], classes)
    return out


def _fill_head(out: dict[str, Floats], head: str, rows: int, classes: int) -> None:
    weight, bias = out.get(f"{head}.weight"), out.get(f"{head}.bias")
    if rows == classes or weight is None or bias is None or weight.shape[:1] != (rows,) or bias.shape != (rows,):
        return
    more = classes - rows
    out[f"{head}.weight"] = np.pad(weight, ((0, more), (0, 0)))
    out[f"{head}.bias"] = np.concatenate([bias, np.full(more, min(0.0, float(bias.min())) + NEVER)])


def _frame_columns(out: dict[str, Floats], encoding: Encoding, sizes: Mapping[str, tuple[int, int]]) -> None:
    """Spreads frame_proj's columns over the engine's: zeros where an embedding is narrower."""
    tables = [*encoding.player_embeddings * 2, "stage_embed"]
    floats = 2 * encoding.player_floats
    weight = out.get("frame_proj.weight")
    if weight is None or weight.ndim != 2 or weight.shape[1] != floats + sum(sizes[name][1] for name in tables):
        return
    parts, at = [weight[:, :floats]], floats
    for name in tables:
        width = sizes[name][1]
        parts.append(np.pad(weight[:, at : at + width], ((0, 0), (0, EMBEDDINGS[name][1] - width))))
        at += width
    out["frame_proj.weight"] = np.concatenate(parts, 1)


def _even_states(out: dict[str, Floats]) -> None:
    """An odd d_state gets one more column of the state, which nothing drives: it stays 0."""
    layer = 0
    while (at := f"layers.{layer}.mamba.") + "in_proj.weight" in out:
        names = [at + "out_proj.weight", at + "conv1d.bias", at + "conv1d.weight", at + "in_proj.weight"]
        layer += 1
        if any(name not in out for name in names):
            continue
        inner, channels = out[names[0]].shape[-1], len(out[names[1]])
        state = (channels - inner) // 2
        if channels != inner + 2 * state or state % 2 == 0 or out[names[3]].shape[0] < 2 * inner + 2 * state:
            continue
        for name, first in ((names[1], inner), (names[2], inner), (names[3], 2 * inner)):
            value = out[name]
            zero = np.zeros((1, *value.shape[1:]))
            b, c = value[: first + state], value[first + state : first + 2 * state]
            out[name] = np.concatenate([b, zero, c, zero, value[first + 2 * state :]])
