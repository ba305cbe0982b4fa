"""Reads a trained checkpoint: named float arrays of a world model. If it cannot be run, the error says why.

A checkpoint has a state dict, an `encoding_config` and a `context_len`; `files.py` reads them from the file. This
module does not run the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from awm_crank.engine import frame
from awm_crank.engine.encoding import BUTTONS, FLAGS, Encoding
from awm_crank.engine.layout import D_CONV, EMBEDDINGS, MAX_LAYERS, Shape
from awm_crank.engine.offline import files, sizes
from awm_crank.errors import CheckpointError
from awm_crank.wire.contract import MAX_COLUMNS, MAX_STATE, OUTPUTS

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
    "hitstun_scale": 0.02,
}
"""The encoding's scales and what they are where a checkpoint does not name them."""

PROJECTILE_COUNT_SCALE = 0.1
"""What one projectile weighs; encoding_config has no name for it."""
MAX_CONTEXT = 600
"""The longest window of frames that a checkpoint may say it was trained on."""
TRAINING_ONLY = frozenset((
    "multi_position", "ctrl_residual_to_action", "character_conditioning", "focal_offset", "action_change_weight",
    "scheduled_sampling", "ss_true", "ss_anneal_epochs", "self_forcing", "self_forcing_rate", "self_forcing_steps",
    "dropout", "label_smoothing",
))  # fmt: skip
"""Settings of an encoding_config that change nothing in the model that runs. Where one of them changed a tensor after
all (a head that also reads the controllers), the tensor's dimensions are refused."""


_SIZES = sizes.keys()
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
        context_len: the frames of the windows that it was trained on, None where the file does not say.
        padding: how many numbers of the weights are not the checkpoint's own, but fill up the engine's sizes
            (`sizes.py`).
        notes: what was changed while reading, in sentences for the person who started the command.
    """

    weights: dict[str, Floats]
    scales: dict[str, float]
    shape: Shape
    notes: tuple[str, ...] = ()
    context_len: int | None = None
    padding: int = 0

    @property
    def total_params(self) -> int:
        return sum(w.size for w in self.weights.values()) - self.padding


def names(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Every state-dict entry of a model of this shape, and its dimensions."""
    d, i, h, c = shape.d_model, shape.d_inner, shape.num_heads, shape.conv_dim
    out: dict[str, tuple[int, ...]] = {f"{n}.weight": EMBEDDINGS[n] for n in [*shape.player_embeddings, "stage_embed"]}
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
    out |= {"final_norm.weight": (d,), "ctrl_proj.weight": (d, shape.encoding.ctrl_dim), "ctrl_proj.bias": (d,)}
    for name, rows in shape.encoding.head_slices().items():
        out |= {f"{name}.weight": (len(rows), d), f"{name}.bias": (len(rows),)}
    return out


def read(data: bytes, *, key: str = files.WEIGHTS, config: bytes = b"") -> TrainedCheckpoint:
    """Reads a checkpoint file's bytes; the arguments are those of `files.read`.

    Raises:
        CheckpointError: not a checkpoint, another kind of model (named), an unsupported flag of its encoding_config
            (named), a tensor missing, left over, misshapen or not finite; or torch is not installed.
    """
    content = files.read(data, key=key, config=config)
    length = content.context_len
    made = replace(from_weights(content.weights, content.encoding), notes=content.notes)
    if isinstance(length, int) and not isinstance(length, bool) and 1 <= length <= MAX_CONTEXT:
        made = replace(made, context_len=length)
    return made


def from_weights(weights: Mapping[str, Floats], encoding: object) -> TrainedCheckpoint:
    """Make a TrainedCheckpoint of named arrays and an encoding_config. Raises CheckpointError as `read` does."""
    _check_kind(weights)
    scales, flags = parse_encoding(encoding)
    assert isinstance(encoding, dict)  # parse_encoding has checked this already
    own, weights = weights, sizes.filled(weights, flags, sizes.table_sizes(encoding))
    shape = _shape(weights, flags)
    expected = names(shape)
    for name, dims in expected.items():
        if name not in weights:
            raise CheckpointError(f"checkpoint tensor {name}", expected=dims, found="none")
        if weights[name].shape != dims:
            on = sorted(key for key, value in encoding.items() if value is True)
            hint = f"encoding_config sets {', '.join(on)}: are these the settings it was trained with?" if on else ""
            raise CheckpointError(f"checkpoint tensor {name}", expected=dims, found=weights[name].shape, hint=hint)
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
    kept = {name: np.asarray(weights[name], np.float64) for name in expected}
    padding = sum(kept[name].size - own[name].size for name in expected)
    return TrainedCheckpoint(kept, scales, shape, padding=padding)


def with_stick_range(source: TrainedCheckpoint, stick_range: int) -> TrainedCheckpoint:
    """The same checkpoint, its sticks being at full tilt at ±`stick_range` on chain (`Encoding.stick_range`)."""
    encoding = replace(source.shape.encoding, stick_range=stick_range)
    return replace(source, shape=replace(source.shape, encoding=encoding))


def parse_encoding(encoding: object) -> tuple[dict[str, float], Encoding]:
    """An encoding_config's scales, under the names of `SCALES`, and its flags.

    Raises CheckpointError for a setting that is not known or cannot run in a live match, by name, and for a value out
    of range.
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
        elif key == "lookahead":
            if value:
                raise CheckpointError(
                    "encoding_config lookahead: the model reads controllers of frames to come, which a live match does "
                    "not know yet", expected=0, found=value, hint="train with lookahead 0",
                )  # fmt: skip
        elif key not in FLAGS and key not in TRAINING_ONLY and key not in _SIZES and value:
            raise CheckpointError(
                f"encoding_config flag {key} is not supported",
                expected="off",
                found=value,
                hint="train with this flag off, or with the engine that knows it",
            )
    sizes.table_sizes(encoding)
    return scales, Encoding(**{name: bool(encoding.get(name)) for name in FLAGS})


def float_units(scales: Mapping[str, float], encoding: Encoding) -> Floats:
    """What one raw unit of a player's floats (engine/frame.py: player_raws, controls) weighs in the encoding, the
    controller's 13 last."""
    s = scales
    units = {
        "percent": s["percent_scale"] / 256, "x": s["xy_scale"] / 256, "y": s["xy_scale"] / 256,
        "shield_strength": s["shield_scale"] / 256, "state_age": s["state_age_scale"], "hitlag": s["hitlag_scale"],
        "stocks": s["stocks_scale"], "hitstun": s["hitstun_scale"], "combo_count": s["combo_count_scale"],
        "projectile_x": s["xy_scale"] / 256, "projectile_y": s["xy_scale"] / 256,
        "projectile_count": PROJECTILE_COUNT_SCALE / 256,
    }  # fmt: skip
    units |= dict.fromkeys(OUTPUTS["velocity"], s["velocity_scale"] / 256)
    axes = [1 / span for span in frame.spans(encoding.stick_range)]
    return np.array([units.get(name, 1.0) for name in encoding.float_names] + axes + [1.0] * BUTTONS)


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


def _shape(weights: Mapping[str, Floats], encoding: Encoding) -> Shape:
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
    shape = Shape(
        d_model, d_inner, (channels - d_inner) // 2, d_inner // heads, len(layers), encoding=encoding
    )  # fmt: skip
    for name, most in (("num_layers", MAX_LAYERS), ("d_model", MAX_COLUMNS), ("d_inner", MAX_COLUMNS),
                       ("d_state", MAX_STATE), ("num_heads", 255)):  # fmt: skip
        if not 1 <= getattr(shape, name) <= most:
            raise CheckpointError(
                f"the model's {name} is outside of what a cartridge holds", expected=f"1..{most}",
                found=getattr(shape, name), hint="train a model of another shape (docs/cartridge.md)",
            )  # fmt: skip
    return shape
