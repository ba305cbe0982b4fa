"""Reading a trained checkpoint: named float arrays of a world model, or a refusal that says what cannot be run.

A checkpoint has a state dict, an `encoding_config` and a `context_len`; `files.py` takes them out of the file. Nothing
here runs a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from awm_crank.engine.layout import CTRL_DIM, D_CONV, EMBEDDINGS, PLAYER_CONTROLS, Shape
from awm_crank.engine.offline import files
from awm_crank.engine.offline.dequantize import HEAD_SLICES
from awm_crank.errors import CheckpointError

Floats = NDArray[np.float64]

SCALES = {
    "percent_scale": 0.01,
    "xy_scale": 0.05,
    "shield_scale": 0.01,
    "velocity_scale": 0.05,
    "state_age_scale": 0.01,
    "hitlag_scale": 0.1,
    "stocks_scale": 0.25,
    "combo_count_scale": 0.1,
}
"""The encoding's scales and what they are where a checkpoint does not name them."""

_EMBEDDING_SIZES = {
    f"{name.removesuffix('_embed')}_{part}": size
    for name, sizes in EMBEDDINGS.items()
    if name != "state_age_embed"
    for part, size in zip(("vocab", "embed_dim"), sizes, strict=True)
} | {"state_age_embed_vocab": 150, "state_age_embed_dim": 8}
_TRAINING_ONLY = {"hitstun_scale", "focal_offset"}
"""Settings that change nothing in the model that runs (hitstun_scale without the flag `hitstun`)."""


_PLAIN = (bool, int, float, str, type(None))
_OTHER_MODELS = {
    "trunk.": "FrameStackMLP, a model without recurrent state",
    "predictor.": "JEPA, a model that predicts in a latent space",
    "encoder.": "JEPA, a model that predicts in a latent space",
    "projector.": "JEPA, a model that predicts in a latent space",
}
"""How the names of another model's tensors begin, and what that model is."""


@dataclass(frozen=True)
class TrainedCheckpoint:
    """A checkpoint that this project can run.

    Attributes:
        weights: state-dict name to float64 array, shaped as PyTorch holds it; exactly the names of `names(shape)`.
        scales: the encoding's scales, under the names of `SCALES`.
        shape: the sizes, read from the tensors.
        notes: what was changed while reading, in sentences for the person who started the command.
    """

    weights: dict[str, Floats]
    scales: dict[str, float]
    shape: Shape
    notes: tuple[str, ...] = ()

    @property
    def total_params(self) -> int:
        return sum(w.size for w in self.weights.values())


def names(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Every state-dict entry of a model of this shape, and its dimensions."""
    d, i, h, c = shape.d_model, shape.d_inner, shape.num_heads, shape.conv_dim
    out: dict[str, tuple[int, ...]] = {
        f"{n}.weight": s for n, s in EMBEDDINGS.items() if n != "state_age_embed" or shape.state_age_as_embed
    }
    out |= {"frame_proj.weight": (d, shape.frame_dim), "frame_proj.bias": (d,)}
    for n in range(shape.num_layers):
        at = f"layers.{n}."
        out |= {
            at + "norm.weight": (d,),
            at + "mamba.in_proj.weight": (shape.proj_rows, d),
            at + "mamba.conv1d.weight": (c, 1, D_CONV),
            at + "mamba.conv1d.bias": (c,),
            at + "mamba.dt_bias": (h,),
            at + "mamba.A_log": (h,),
            at + "mamba.D": (h,),
            at + "mamba.norm.weight": (i,),
            at + "mamba.out_proj.weight": (d, i),
        }
    out |= {"final_norm.weight": (d,), "ctrl_proj.weight": (d, CTRL_DIM), "ctrl_proj.bias": (d,)}
    for name, (begin, end) in HEAD_SLICES.items():
        out |= {f"{name}.weight": (end - begin, d), f"{name}.bias": (end - begin,)}
    return out


def read(data: bytes, *, key: str = files.WEIGHTS, config: bytes = b"") -> TrainedCheckpoint:
    """Reads a checkpoint file's bytes; the arguments are those of `files.read`.

    Raises:
        CheckpointError: not a checkpoint, another kind of model (named), an unsupported flag of its encoding_config
            (named), a tensor missing, left over, misshapen or not finite; or torch is not installed.
    """
    content = files.read(data, key=key, config=config)
    return replace(from_weights(content.weights, content.encoding), notes=content.notes)


def from_weights(weights: Mapping[str, Floats], encoding: object) -> TrainedCheckpoint:
    """Make a TrainedCheckpoint of named arrays and an encoding_config. Raises CheckpointError as `read` does."""
    _check_kind(weights)
    scales, state_age_as_embed = parse_encoding(encoding)
    shape = _shape(weights, state_age_as_embed)
    expected = names(shape)
    for name, dims in expected.items():
        if name not in weights:
            raise CheckpointError(f"checkpoint tensor {name}", expected=dims, found="none")
        if weights[name].shape != dims:
            raise CheckpointError(f"checkpoint tensor {name}", expected=dims, found=weights[name].shape)
        if not np.isfinite(weights[name]).all():
            raise CheckpointError(f"checkpoint tensor {name}", expected="finite numbers", found="inf or nan")
    left_over = sorted(set(weights) - set(expected))
    if left_over:
        raise CheckpointError(
            f"checkpoint tensor {left_over[0]}",
            expected="only the tensors of FrameStackMamba2",
            found=f"{len(left_over)} more",
            hint="this model has parts that the engine does not run",
        )
    return TrainedCheckpoint({name: np.asarray(weights[name], np.float64) for name in expected}, scales, shape)


def parse_encoding(encoding: object) -> tuple[dict[str, float], bool]:
    """An encoding_config's scales, under the names of `SCALES`, and whether state_age is an embedding.

    Raises CheckpointError for a flag that is not supported, by name, and for a value out of range.
    """
    if not isinstance(encoding, dict):
        raise CheckpointError(
            "checkpoint encoding_config", expected="a dict",
            found="none" if encoding is None else type(encoding).__name__,
            hint="save the encoding's settings with the weights, or name them with --config FILE.json",
        )  # fmt: skip
    for key, value in encoding.items():
        if not isinstance(key, str) or not isinstance(value, _PLAIN):
            raise CheckpointError(
                f"encoding_config {key}", expected="a name with a number, a text or nothing",
                found=type(value if isinstance(key, str) else key).__name__,
            )  # fmt: skip
    scales = dict(SCALES)
    for key, value in encoding.items():
        if key in SCALES:
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1e-4 <= value <= 1:
                raise CheckpointError(f"encoding_config {key}", expected="a number within 0.0001..1", found=value)
            scales[key] = float(value)
        elif key in _EMBEDDING_SIZES:
            if value != _EMBEDDING_SIZES[key]:
                raise CheckpointError(f"encoding_config {key}", expected=_EMBEDDING_SIZES[key], found=value)
        elif key != "state_age_as_embed" and key not in _TRAINING_ONLY and value:
            raise CheckpointError(
                f"encoding_config flag {key} is not supported",
                expected="off",
                found=value,
                hint="train with this flag off, or with the engine that knows it",
            )
    return scales, bool(encoding.get("state_age_as_embed"))


def float_units(scales: Mapping[str, float], state_age_as_embed: bool) -> Floats:
    """What one raw unit of a player's floats (engine/frame.py: player_raws, controls) weighs in the encoding: 28 or 29
    values, the controller's 13 last."""
    s = scales
    units = [s["percent_scale"] / 256, s["xy_scale"] / 256, s["xy_scale"] / 256, s["shield_scale"] / 256]
    units += [s["velocity_scale"] / 256] * 5
    units += [] if state_age_as_embed else [s["state_age_scale"]]
    units += [s["hitlag_scale"], s["stocks_scale"], s["combo_count_scale"], 1.0, 1.0, 1.0]
    return np.array(units + [1 / 255] * 5 + [1.0] * (PLAYER_CONTROLS - 5))


def _check_kind(weights: Mapping[str, Floats]) -> None:
    if any(name.startswith("layers.0.mamba.") for name in weights):
        return
    for name in weights:
        kind = next((what for prefix, what in _OTHER_MODELS.items() if name.startswith(prefix)), "")
        if kind:
            raise CheckpointError(
                f"the checkpoint is of a {kind}", expected="FrameStackMamba2", hint="train with the architecture mamba2"
            )
    raise CheckpointError(
        "the checkpoint has no Mamba2 layer",
        expected="tensors layers.0.mamba.…",
        found=f"{len(weights)} tensors, {', '.join(sorted(weights)[:3])} among them" if weights else "no tensors",
    )


def _shape(weights: Mapping[str, Floats], state_age_as_embed: bool) -> Shape:
    def dims(name: str, rank: int) -> tuple[int, ...]:
        if name not in weights or weights[name].ndim != rank:
            found = weights[name].shape if name in weights else "none"
            raise CheckpointError(f"checkpoint tensor {name}", expected=f"{rank} dimensions", found=found)
        return weights[name].shape

    d_model, d_inner = dims("layers.0.mamba.out_proj.weight", 2)
    heads = dims("layers.0.mamba.A_log", 1)[0]
    channels = dims("layers.0.mamba.conv1d.bias", 1)[0]
    if not heads or d_inner % heads or channels <= d_inner or (channels - d_inner) % 2:
        raise CheckpointError(
            "checkpoint layer 0 sizes",
            expected="d_inner a multiple of the heads, and two d_state channels behind it",
            found=f"d_inner {d_inner}, heads {heads}, conv channels {channels}",
        )
    layers = {name.split(".")[1] for name in weights if name.startswith("layers.")}
    return Shape(d_model, d_inner, (channels - d_inner) // 2, d_inner // heads, len(layers), state_age_as_embed)
