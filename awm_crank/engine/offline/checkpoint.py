"""Reading a trained checkpoint: a `.pt` file's bytes to named float arrays, or a refusal that says what it cannot run.

The file is a dict of `model_state_dict`, `encoding_config`, `context_len` (reference: the system's description of
FrameStackMamba2). Needs torch, which is the extra `model`; nothing here runs a model.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from awm_crank.engine.layout import CTRL_DIM, D_CONV, EMBEDDINGS, PLAYER_CONTROLS, Shape
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


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that this project can run.

    Attributes:
        weights: state-dict name to float64 array, shaped as PyTorch holds it; exactly the names of `names(shape)`.
        scales: the encoding's scales, under the names of `SCALES`.
        shape: the sizes, read from the tensors.
    """

    weights: dict[str, Floats]
    scales: dict[str, float]
    shape: Shape

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


def read(data: bytes) -> Checkpoint:
    """Read a `.pt` file's bytes.

    Raises:
        CheckpointError: not a checkpoint, an unsupported flag of its encoding_config (named), a tensor missing, left
            over, misshapen or not finite; or torch is not installed.
    """
    content = load_torch(data)
    return from_weights(content.weights, content.encoding)


@dataclass(frozen=True)
class Content:
    """What stands in a `.pt` file: state-dict name to float64 array, and encoding_config and context_len unchecked."""

    weights: dict[str, Floats]
    encoding: object
    context_len: object


def load_torch(data: bytes) -> Content:
    """Reads a `.pt` file's bytes, of a world model or of a policy. Raises CheckpointError as `read` does."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise CheckpointError("reading a checkpoint needs torch", hint="pip install 'awm-crank[model]'") from error
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        # torch's unpickler lets whatever its bytes provoke out: struct.error, TypeError, KeyError, …
        raise CheckpointError(
            "checkpoint file cannot be read",
            expected="a .pt file of tensors and plain values (torch.load, weights_only)",
            found=str(error).split("\n")[0],
            hint="save it with torch.save({'model_state_dict': …, 'encoding_config': …, 'context_len': 10})",
        ) from error
    if not isinstance(content, dict) or "model_state_dict" not in content or "encoding_config" not in content:
        found = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(
            "checkpoint file", expected="a dict with model_state_dict and encoding_config", found=found
        )
    state = content["model_state_dict"]
    if not isinstance(state, dict) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise CheckpointError("checkpoint model_state_dict", expected="a dict of tensors", found=type(state).__name__)
    weights = {str(k): t.to(torch.float64).numpy() for k, t in state.items()}
    return Content(weights, content["encoding_config"], content.get("context_len"))


def from_weights(weights: Mapping[str, Floats], encoding: object) -> Checkpoint:
    """Make a Checkpoint of named arrays and an encoding_config. Raises CheckpointError as `read` does."""
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
    return Checkpoint({name: np.asarray(weights[name], np.float64) for name in expected}, scales, shape)


def parse_encoding(encoding: object) -> tuple[dict[str, float], bool]:
    """An encoding_config's scales, under the names of `SCALES`, and whether state_age is an embedding.

    Raises CheckpointError for a flag that is not supported, by name, and for a value out of range.
    """
    if not isinstance(encoding, dict):
        raise CheckpointError("checkpoint encoding_config", expected="a dict", found=type(encoding).__name__)
    scales = dict(SCALES)
    for key, value in encoding.items():
        if key in SCALES:
            if not isinstance(value, (int, float)) or not 1e-4 <= value <= 1:
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
