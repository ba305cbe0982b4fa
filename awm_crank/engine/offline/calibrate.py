"""Calibration: how large every activation of a model gets, measured on the floating-point model.

Offline, needs torch. In float64 (`quantize` asks for it) a last bit's difference between machines decides no integer
of the cartridge: the same checkpoint gives the same file on every processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812

from awm_crank.engine import frame
from awm_crank.engine.offline import synthetic
from awm_crank.engine.offline.torch_model import Probe, TorchModel
from awm_crank.engine.seeded import Stream, random_inputs
from awm_crank.errors import CheckpointError

Ranges = dict[str, torch.Tensor]

KEPT = {"decay": (2,), "h": (1, 2), "push": (2, 3), "y": (2, 3)}
"""Activations that have a range for each head or each row (head, headdim), and the dimensions of those."""
MOST_BITS = 24
"""Fraction bits up to which losses are counted, that many excluded."""
STAGES = (31, 32)
ROUNDS = 4
"""Sessions from each start position."""
LANES, LANE_FRAMES = 8, 1000
"""Real frames are forced in so many lanes, if each gets so many frames: side by side costs less time."""
CHUNK = 250
"""Frames that are teacher-forced at once."""
REPEATS = 16
"""How often the frames come again at most, for heads that hardly forget."""
CHARACTERS = ((1, 2), (18, 22), (7, 20))


def rollout(model: TorchModel, starts: Sequence[bytes], inputs: Sequence[Sequence[bytes]]) -> list[list[bytes]]:
    """Runs the model on its own predictions, one session from each start block. Returns each session's blocks, start
    first.
    """
    state, blocks = model.start_state(*starts), list(starts)
    out = [[block] for block in starts]
    for pads in zip(*inputs, strict=True):
        ctx = model.advance(state, model.frame_vectors(blocks)[:, None])
        blocks = model.heads_batch(ctx[:, 0], blocks, pads)
        for session, block in zip(out, blocks, strict=True):
            session.append(block)
    return out


@dataclass(frozen=True)
class Calibration:
    """The measurements of the floating-point model."""

    ranges: Ranges
    moments: dict[str, NDArray[np.float64]]
    losses: dict[str, NDArray[np.float64]]


class _Moments:
    def __init__(self) -> None:
        self.sums: dict[str, torch.Tensor] = {}
        self.losses: dict[str, torch.Tensor] = {}

    def __call__(self, name: str, value: torch.Tensor) -> None:
        if name.endswith((".y", ".conv")):
            rows = value.flatten(2).flatten(0, 1)
            self.losses[name] = self.losses.get(name, 0) + _losses(F.silu(rows) if name.endswith(".conv") else rows)
        if name in ("frame", "ctrl", "hfin") or name.endswith((".in", ".out")):
            rows = value.reshape(-1, value.shape[-1])
            rows = torch.cat([rows, torch.ones_like(rows[:, :1])], 1)
            self.sums[name] = self.sums.get(name, 0) + (rows.T @ rows).double()

    def means(self) -> dict[str, NDArray[np.float64]]:
        return {name: (total / total[-1, -1]).numpy() for name, total in self.sums.items()}


def _losses(rows: torch.Tensor) -> torch.Tensor:
    weight = 1 / ((rows * rows).mean(1, keepdim=True) + 1e-12)
    largest = rows.abs().amax(0)
    out = []
    for bits in range(MOST_BITS):
        error = weight.sum() * 4.0**-bits / 12 + torch.zeros_like(largest)
        limit = 32767 * 2.0**-bits
        if bool((far := largest > limit).any()):
            error[far] += ((rows[:, far].abs() - limit).clamp(min=0) ** 2 * weight).sum(0)
        out.append(error.double())
    return torch.stack(out)


def calibrate(model: TorchModel, *, frames: int = 400, seed: int = 0, blocks: bytes = b"") -> Calibration:
    """Measure what activations do: in the model's own play, and in real frames; without any, in synthetic ones.

    Args:
        model: the checkpoint's model.
        frames: closed-loop frames of each session, of which there are 24: stages x character pairs x `ROUNDS`.
        seed: of the inputs.
        blocks: real frames to teacher-force as well: concatenated frame blocks of the world's size, one match in order.

    Raises CheckpointError when the activations are not finite, or `blocks` is no whole number of frames.
    """
    block_size = model.encoding.block_size
    if len(blocks) % block_size:
        raise CheckpointError("calibration frames", expected=f"a multiple of {block_size} bytes", found=len(blocks))
    ranges: Ranges = {}
    inner, headdim = model.shape.d_inner, model.shape.headdim
    unit = torch.zeros(0)

    def probe(name: str, value: torch.Tensor) -> None:
        nonlocal unit
        layer, _, kind = name.rpartition(".")
        if kind == "conv":
            largest_x = F.silu(value[..., :inner]).reshape(*value.shape[:2], -1, headdim)
            _widen(ranges, f"{layer}.x", largest_x, (2, 3))
        elif kind == "b":
            unit = torch.exp2(torch.ceil(torch.log2(value.abs().amax(-1) + 1e-30)))[..., None, None]
        elif kind == "dt":
            _widen(ranges, f"{layer}.shortest", 1 / value.clamp(min=torch.finfo(value.dtype).tiny), (2,))
            return
        elif kind == "push":
            _widen(ranges, f"{layer}.drive", value * unit, (2, 3))
        _widen(ranges, name, value, KEPT.get(kind, ()))

    stream = Stream(seed)
    places = [(stage, pair) for stage in STAGES for pair in CHARACTERS]
    names = [f"calibrate {stage} {pair}" + f" {i}" * (i > 0) for i in range(ROUNDS) for stage, pair in places]
    starts = [frame.start_block(stage, pair, model.encoding.extra_size) for stage, pair in places] * ROUNDS
    model.probe = probe
    try:
        played = rollout(model, starts, [random_inputs(stream, name, frames) for name in names])
        lanes = [[block for i in range(ROUNDS) for block in played[i * len(places) + k]] for k in range(len(places))]
        moments = _Moments()
        _repeat(model, lanes, probe, moments)
        cut = [blocks[i : i + block_size] for i in range(0, len(blocks), block_size)]
        if not cut:
            names = [f"calibrate synthetic {stage} {pair}" for stage, pair in places]
            _repeat(model, [
                synthetic.lane(stream, name, frames + 1, stage, pair, model.encoding)
                for name, (stage, pair) in zip(names, places, strict=True)
            ], probe, moments)  # fmt: skip
        elif len(cut) > 1:
            moments = _Moments()
            each = max(min(len(cut), LANE_FRAMES), len(cut) // LANES)
            _repeat(model, [cut[i : i + each] for i in range(0, len(cut) - each + 1, each)], probe, moments)
    finally:
        model.probe = lambda _name, _value: None
    for name, value in ranges.items():
        if not bool(np.isfinite(value.numpy()).all()):
            raise CheckpointError(f"calibration of {name}", expected="finite activations", found="inf or nan")
    losses = {name: total.numpy() for name, total in moments.losses.items()}
    return Calibration(ranges, moments.means(), losses)


def _widen(ranges: Ranges, name: str, value: torch.Tensor, kept: tuple[int, ...]) -> None:
    largest = value.abs().amax([d for d in range(value.ndim) if d not in kept])
    ranges[name] = torch.maximum(ranges[name], largest) if name in ranges else largest


def _repeat(model: TorchModel, lanes: list[list[bytes]], probe: Probe, moments: Probe) -> None:
    """Feeds in sequences of equal length as if each was repeated without end, to see how far slow heads fill.

    A head that forgets within a thousand frames has not filled when a short calibration ends. Over the whole sequence a
    head's state goes from h to a·h + s, a being the product of its decays: from zero, one pass gives s. The state that
    a pass leaves as it found it is s / (1 - a), and the pass from there shows what the head reaches in the end.
    """
    frames = len(lanes[0]) - 1
    state = model.zero_state(len(lanes))
    for last in (False, True):
        logs = torch.zeros(model.shape.num_layers, len(lanes), model.shape.num_heads, dtype=torch.float64)

        def watch(name: str, value: torch.Tensor, logs: torch.Tensor = logs, last: bool = last) -> None:
            probe(name, value)
            if last:
                moments(name, value)
            if name.endswith(".decay"):
                logs[int(name.split(".")[1])] += value.double().log().sum(1)

        model.probe = watch
        for begin in range(0, frames, CHUNK):
            rows = range(begin, min(begin + CHUNK, frames))
            vectors = model.frame_vectors([lane[n] for lane in lanes for n in rows])
            ctx = model.advance(state, vectors.reshape(len(lanes), len(rows), -1))
            before = [frame.block_inputs(lane[n]) for lane in lanes for n in rows]
            pads = [frame.block_inputs(lane[n + 1]) for lane in lanes for n in rows]
            model.outputs_batch(ctx.flatten(0, 1), before, pads)
        if not last:
            # the dt of this head never opens, so its decay is exactly 1: it neither forgets nor takes in anything
            reach = 1 / (-torch.expm1(logs)).clamp(min=1 / REPEATS)
            state.h *= reach[..., None, None].to(model.dtype)
