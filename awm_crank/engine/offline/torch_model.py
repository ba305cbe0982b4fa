"""FrameStackMamba2 as a recurrence in PyTorch: the exact arithmetic that the integer engines approximate.

Runs a checkpoint's weights or a cartridge's dequantized ones, in any dtype; the yardstick of fidelity and the source of
calibration ranges. Needs torch (the extra `model`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray

from awm_crank.engine import frame
from awm_crank.engine.layout import PLAYER_CONTROLS, Shape
from awm_crank.engine.offline.checkpoint import TrainedCheckpoint, float_units
from awm_crank.engine.offline.dequantize import joined, output_units

EPS = 1e-5
WARMUP_FRAMES = 9

Probe = Callable[[str, torch.Tensor], None]
"""Called with the name of an activation and its values (sessions, frames, …); `h` comes frame by frame, without
the second."""


@dataclass
class TorchState:
    """`h` (layers, sessions, heads, headdim, d_state) and `tail` (layers, sessions, 3, channels)."""

    h: torch.Tensor
    tail: torch.Tensor

    def copy(self) -> TorchState:
        return TorchState(self.h.clone(), self.tail.clone())


class TorchModel:
    """One model in floating point.

    Args:
        weights: state-dict name to array, with `feature_units` and `ctrl_units` (see `dequantize`).
        shape: sizes.
        dtype: float64 for the yardstick, float32 or bfloat16 for controls.
        feature_limit: clamp of the frame vector, encoded units; what the integer frame vector can hold.
    """

    def __init__(
        self,
        weights: Mapping[str, NDArray[np.float64]],
        shape: Shape,
        dtype: torch.dtype = torch.float64,
        feature_limit: float = float("inf"),
    ) -> None:
        self.shape, self.dtype, self.feature_limit = shape, dtype, feature_limit
        self.w = {name: torch.from_numpy(np.array(value, np.float64)).to(dtype) for name, value in weights.items()}
        self.units = np.asarray(weights["feature_units"], np.float64)
        self.ctrl_units = np.asarray(weights["ctrl_units"], np.float64)
        self.encoding = shape.encoding
        self.head_weight = torch.from_numpy(joined(weights, self.encoding, "weight")).to(dtype)
        self.head_bias = torch.from_numpy(joined(weights, self.encoding, "bias")).to(dtype)
        self.a = [-torch.exp(self.w[f"layers.{n}.mamba.A_log"]) for n in range(shape.num_layers)]
        self.probe: Probe = lambda _name, _value: None

    @classmethod
    def of_checkpoint(cls, checkpoint: TrainedCheckpoint, dtype: torch.dtype = torch.float64) -> TorchModel:
        """The model of a checkpoint's own weights."""
        units, ctrl = encoding_units(checkpoint)
        return cls({**checkpoint.weights, "feature_units": units, "ctrl_units": ctrl}, checkpoint.shape, dtype)

    def zero_state(self, sessions: int = 1) -> TorchState:
        s = self.shape
        h = torch.zeros(s.num_layers, sessions, s.num_heads, s.headdim, s.d_state, dtype=self.dtype)
        return TorchState(h, torch.zeros(s.num_layers, sessions, 3, s.conv_dim, dtype=self.dtype))

    def start_state(self, *blocks: bytes) -> TorchState:
        """The state of one session for each block, after the nine synthetic frames."""
        state = self.zero_state(len(blocks))
        self.advance(state, self.frame_vectors(blocks)[:, None].expand(-1, WARMUP_FRAMES, -1))
        return state

    def frame_vector(self, block: bytes) -> torch.Tensor:
        """The `frame_dim` inputs of frame_proj, in the encoding's units."""
        return self.frame_vectors([block])[0]

    def frame_vectors(self, blocks: Sequence[bytes]) -> torch.Tensor:
        """The same for many blocks: an array of (blocks, frame_dim)."""
        encoding = self.encoding
        raws, rows, stages = [], [], []
        for block in blocks:
            first, second, stage = frame.unpack(block, encoding)
            for i, player in enumerate((first, second)):
                pad = frame.controls(frame.block_inputs(block, i), encoding.stick_range)
                raws.append(frame.player_raws(player, encoding) + pad)
                rows.append(frame.embedding_rows(player, encoding))
            stages.append(stage)
        floats = np.clip(np.array(raws, np.float64) * self.units, -self.feature_limit, self.feature_limit)
        parts = [torch.from_numpy(floats).to(self.dtype).reshape(len(blocks), -1)]
        chosen = torch.tensor(rows).reshape(len(blocks), 2, -1)
        for i in (0, 1):
            parts += [
                self.w[f"{name}.weight"][chosen[:, i, column]]
                for column, name in enumerate(self.shape.player_embeddings)
            ]
        return torch.cat([*parts, self.w["stage_embed.weight"][torch.tensor(stages)]], 1)

    def backbone(self, state: TorchState, block: bytes) -> torch.Tensor:
        """Consume a frame of one session, advancing `state` in place; the final norm's output (d_model)."""
        return self.advance(state, self.frame_vectors([block])[None])[0, 0]

    def advance(self, state: TorchState, vectors: torch.Tensor) -> torch.Tensor:
        """Consume frame vectors (sessions, frames, frame_dim); the final norm's outputs (sessions, frames, d_model).

        All frames go through one layer before the next, which is the same arithmetic as frame by frame.
        """
        self.probe("frame", vectors)
        residual = vectors @ self.w["frame_proj.weight"].T + self.w["frame_proj.bias"]
        self.probe("res", residual)
        for n in range(self.shape.num_layers):
            residual = residual + self._layer(n, residual, state)
            self.probe("res", residual)
        final = rms_norm(residual, self.w["final_norm.weight"])
        self.probe("final", final)
        return final

    def outputs(self, ctx: torch.Tensor, before: bytes, inputs: bytes) -> torch.Tensor:
        """All head outputs, encoded units and logits, in the order of the `heads` matrix."""
        return self.outputs_batch(ctx[None], [before], [inputs])[0]

    def outputs_batch(self, ctx: torch.Tensor, before: Sequence[bytes], inputs: Sequence[bytes]) -> torch.Tensor:
        """The same for rows of contexts: (rows, outputs).

        Args:
            ctx: (rows, d_model).
            before: for each row the 16 input bytes of the frame that the context ends with.
            inputs: those of the next frame.
        """
        pairs = zip(before, inputs, strict=True)
        raw = np.array([frame.conditions(old, new, self.encoding) for old, new in pairs], np.float64)
        units = self.ctrl_units[self.encoding.control_columns]
        ctrl = torch.from_numpy(raw * units).to(self.dtype)
        self.probe("ctrl", ctrl)
        hfin = ctx + ctrl @ self.w["ctrl_proj.weight"].T + self.w["ctrl_proj.bias"]
        self.probe("hfin", hfin)
        return hfin @ self.head_weight.T + self.head_bias

    def heads(self, ctx: torch.Tensor, block: bytes, inputs: bytes) -> bytes:
        """The next frame's block, by the same decoding as the integer engines' (docs/numerics.md, section 7)."""
        return self.heads_batch(ctx[None], [block], [inputs])[0]

    def heads_batch(self, ctx: torch.Tensor, blocks: Sequence[bytes], inputs: Sequence[bytes]) -> list[bytes]:
        """The same for rows of contexts."""
        encoding = self.encoding
        out = self.outputs_batch(ctx, [frame.block_inputs(block) for block in blocks], inputs)
        raw = np.ldexp(out.to(torch.float64).numpy(), 8)
        raw[:, encoding.regression_rows] /= output_units(encoding, self.units)
        # A tiny positive logit must stay positive as an integer, and -0.3 must not become 0.
        raw[:, encoding.binary_rows] = np.sign(raw[:, encoding.binary_rows])
        raw = raw[:, encoding.number_rows]
        # A model that overflows continues, so that calibration can name the activation.
        limit = 2.0**40
        integers = np.rint(np.clip(np.nan_to_num(raw), -limit, limit)).astype(np.int64).tolist()
        classes = torch.stack([out[:, begin:end].argmax(1) for _, begin, end in frame.categorical_rows()], 1).tolist()
        rows = zip(blocks, integers, classes, inputs, strict=True)
        frac = [8] * len(encoding.regression_rows)
        return [frame.decode(block, o, chosen, frac, pads, encoding) for block, o, chosen, pads in rows]

    def _layer(self, n: int, residual: torch.Tensor, state: TorchState) -> torch.Tensor:
        s = self.shape
        at = f"layers.{n}."
        mamba = at + "mamba."
        w = self.w
        u = rms_norm(residual, w[at + "norm.weight"])
        self.probe(at + "in", u)
        z, xbc, dt = torch.split(u @ w[mamba + "in_proj.weight"].T, [s.d_inner, s.conv_dim, s.num_heads], -1)
        self.probe(at + "z", z)
        self.probe(at + "xbc", xbc)
        window = torch.cat([state.tail[n], xbc], 1)
        state.tail[n] = window[:, -3:]
        frames = xbc.shape[1]
        taps = w[mamba + "conv1d.weight"][:, 0, :].T
        conv = sum((window[:, k : k + frames] * taps[k] for k in range(4)), w[mamba + "conv1d.bias"])
        self.probe(at + "conv", conv)
        x, b, c = torch.split(F.silu(conv), [s.d_inner, s.d_state, s.d_state], -1)
        x = x.reshape(*x.shape[:2], s.num_heads, s.headdim)
        self.probe(at + "b", b)
        dt = F.softplus(dt + w[mamba + "dt_bias"])
        self.probe(at + "dt", dt)
        decay = torch.exp(self.a[n] * dt)
        push = dt[..., None] * x
        self.probe(at + "push", push)
        self.probe(at + "decay", decay)
        y = self._scan(n, state.h[n], decay, push, b, c) + w[mamba + "D"][:, None] * x
        self.probe(at + "y", y)
        out = rms_norm(y.flatten(2) * F.silu(z), w[mamba + "norm.weight"])
        self.probe(at + "out", out)
        return out @ w[mamba + "out_proj.weight"].T

    def _scan(
        self, n: int, h: torch.Tensor, decay: torch.Tensor, push: torch.Tensor, b: torch.Tensor, c: torch.Tensor
    ) -> torch.Tensor:
        y = torch.empty_like(push)
        for t in range(push.shape[1]):
            h.mul_(decay[:, t, :, None, None]).addcmul_(push[:, t, :, :, None], b[:, t, None, None])
            self.probe(f"layers.{n}.h", h)
            y[:, t] = torch.matmul(h.flatten(1, 2), c[:, t, :, None]).reshape(y[:, t].shape)
        return y


def rms_norm(v: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """RMSNorm with eps 1e-5 over the last dimension."""
    return v * torch.rsqrt((v * v).mean(-1, keepdim=True) + EPS) * weight


def encoding_units(checkpoint: TrainedCheckpoint) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What one raw unit of a player's floats, and of its controller features, weighs in the checkpoint's encoding."""
    encoding = checkpoint.shape.encoding
    units = float_units(checkpoint.scales, encoding)
    more = encoding.player_controls - PLAYER_CONTROLS
    return units, np.concatenate([units[-PLAYER_CONTROLS:], np.ones(more)])
