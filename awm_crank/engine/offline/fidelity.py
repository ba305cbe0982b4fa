"""Measures fidelity: compares the native engine with a floating-point model over the same frames.

Both read the same recorded frames, and not their own predictions. Offline; needs torch. `measure` gives the figures,
and `fidelity_table` says what they must reach.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from awm_crank.engine import frame
from awm_crank.engine.bounds import ACT_MAX
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.offline.checkpoint import TrainedCheckpoint
from awm_crank.engine.offline.dequantize import dequantize, output_scale
from awm_crank.engine.offline.torch_model import TorchModel
from awm_crank.engine.reference import ReferenceContext, ReferenceEngine

Floats = NDArray[np.float64]
_SHORT = {"shield_strength": "shield", "combo_count": "combo"}

SNR_WINDOW, SNR_STRIDE = 900, 5
"""Frames whose signal-to-noise ratios (dB) are averaged, and how many are left out between two that count: what happens
in a match moves the ratio of one frame by several dB, and the dither its noise."""
MATCH_FRAMES = 900
"""How long a match of `play` lasts. 1,000 and 10,000 are then the same moment of one, so that the two SNR compare."""
CHUNK = 500
"""Frames that the floating-point models take at once."""


@dataclass
class Fidelity:
    """The results of `measure`."""

    frames: int = 0
    agreement: dict[str, float] = field(default_factory=dict)
    confident_agreement: dict[str, float] = field(default_factory=dict)
    distinct: dict[str, int] = field(default_factory=dict)
    regression: dict[str, float] = field(default_factory=dict)
    state_snr_db: dict[int, float] = field(default_factory=dict)


def dequantized_model(cartridge: Cartridge, dtype: torch.dtype = torch.float32) -> TorchModel:
    """The model that the cartridge's integers represent."""
    limit = (ACT_MAX + 127 / 128) * 2.0**-cartridge.formats.f_frame
    return TorchModel(dequantize(cartridge), cartridge.shape, dtype, feature_limit=limit)


def checkpoint_model(checkpoint: TrainedCheckpoint, dtype: torch.dtype = torch.float32) -> TorchModel:
    """The model of the checkpoint itself."""
    return TorchModel.of_checkpoint(checkpoint, dtype)


def row_bits(cartridge: Cartridge, layer: int) -> NDArray[np.int64]:
    """Fraction bits of each row of a layer's recurrent state (heads, headdim)."""
    shape, at = cartridge.shape, f"layers.{layer}."
    bits = np.repeat(cartridge.arrays[at + "hs"].astype(np.int64), shape.headdim)
    if shape.row_gains:
        bits += cartridge.arrays[at + "row_gain"]
    return bits.reshape(shape.num_heads, shape.headdim)


def play(engine: NativeEngine, starts: Sequence[bytes], inputs: Sequence[Sequence[bytes]]) -> list[list[bytes]]:
    """Makes frames for the comparison: the engine's own matches, one after the other, without resetting the state.

    A match ends when a player has no stocks left, or after `MATCH_FRAMES`, because an untrained world and its state
    drift for thousands of frames.

    Args:
        engine: the integer engine.
        starts: frame 0 of each session.
        inputs: for each session 16 bytes for each frame from 1 on, equally many.

    Returns: each session's blocks, one more than its inputs.
    """
    states = [engine.start_state(block) for block in starts]
    now = list(starts)
    out = [[block] for block in starts]
    for n, pads in enumerate(zip(*inputs, strict=True), 1):
        now = engine.heads_batch(engine.backbone_batch(states, now), now, list(pads))
        over = [n % MATCH_FRAMES == 0 or 0 in frame.block_stocks(block) for block in now]
        now = [start if ended else block for start, block, ended in zip(starts, now, over, strict=True)]
        for blocks, block in zip(out, now, strict=True):
            blocks.append(block)
    return out


def measure(
    engine: NativeEngine,
    model: TorchModel,
    sessions: Sequence[Sequence[bytes]],
    *,
    own: TorchModel | None = None,
    report_at: Sequence[int] = (),
    tick: Callable[[str], None] = lambda _what: None,
) -> Fidelity:
    """Runs both models over the same frames and compares them.

    Args:
        engine: the integer engine.
        model: the floating-point model that gives the reference values.
        sessions: for each session, the same number of frame blocks in a row. The heads read the inputs that they hold.
            Of the last block, only the inputs are used.
        own: the model with the cartridge's dequantized weights, with which the state is compared. None: `model`.
        report_at: frames at which the state's signal-to-noise ratio is measured, besides the last.
        tick: called with the name of each part as it begins.
    """
    cartridge, frames = engine.cartridge, len(sessions[0]) - 1
    ends = sorted({n for n in report_at if n < frames} | {frames})
    kept = {n for end in ends for n in _window(end)}
    pads = [[frame.block_inputs(following) for _, following in pairwise(blocks)] for blocks in sessions]

    tick("integers")
    contexts, states = _integer_run(engine, sessions, kept)
    tick("integer heads")
    mine, heads = _integer_outputs(cartridge, contexts, sessions, pads), frame.categorical_rows()
    scale, encoding = output_scale(cartridge, model.units), cartridge.shape.encoding
    watch = _StateWatch(cartridge, states)
    tick("floating point")
    theirs = _float_run(model, sessions, pads, None if own else watch)
    if own:
        tick("floating point, on the cartridge's own weights")
        _float_run(own, sessions, pads, watch)

    result = Fidelity(frames=len(mine))
    for name, begin, end in heads:
        logits = theirs[:, begin:end]
        first, second = -np.partition(-logits, 1, axis=1)[:, :2].T
        chosen = mine[:, begin:end].argmax(1), logits.argmax(1)
        _choice(result, name.replace("_", " ", 1), *chosen, first - second)
    for k, (player, feature) in zip(encoding.binary_rows, encoding.binary_names, strict=True):
        _choice(result, f"p{player} {feature}", mine[:, k] > 0, theirs[:, k] > 0, np.abs(theirs[:, k]))
    for k, (player, feature) in zip(encoding.regression_rows, encoding.regression_names, strict=True):
        name = f"p{player} {_SHORT.get(feature, feature)}"
        rms = float(np.sqrt(((mine[:, k] * scale[k] - theirs[:, k]) ** 2).mean()))
        spread = float(theirs[:, k].std())
        result.regression[name] = rms / spread if spread else float(rms > 0)
    for end in ends:
        signal, noise = (np.array([energy[n] for n in _window(end)]) for energy in (watch.signal, watch.noise))
        result.state_snr_db[end] = float(_decibels(signal.sum(1), noise.sum(1)).mean())
    return result


def _window(end: int) -> range:
    return range(end - 1, max(0, end - SNR_WINDOW) - 1, -SNR_STRIDE)


def _integer_run(
    engine: NativeEngine, sessions: Sequence[Sequence[bytes]], kept: set[int]
) -> tuple[NDArray[np.int16], dict[int, list[bytes]]]:
    """Contexts (sessions, frames, d_model), and each session's dumped state after the frames of `kept`."""
    width = engine.cartridge.shape.d_model
    states = [engine.start_state(blocks[0]) for blocks in sessions]
    contexts = np.empty((len(sessions), len(sessions[0]) - 1, width), np.int16)
    dumps = {}
    for n in range(contexts.shape[1]):
        for i, ctx in enumerate(engine.backbone_batch(states, [blocks[n] for blocks in sessions])):
            contexts[i, n] = np.frombuffer(ctx, np.int16, width)
        if n in kept:
            dumps[n] = [engine.dump(state) for state in states]
    return contexts, dumps


def _integer_outputs(
    cartridge: Cartridge,
    contexts: NDArray[np.int16],
    sessions: Sequence[Sequence[bytes]],
    pads: Sequence[Sequence[bytes]],
) -> NDArray[np.int64]:
    """The engine returns only blocks. The reference engine, which computes the same, gives the head outputs before
    decoding.
    """
    oracle = ReferenceEngine(cartridge)
    rows = [
        oracle.outputs(ReferenceContext(values.astype(np.int32)), frame.block_inputs(block), given)
        for session, blocks, inputs in zip(contexts, sessions, pads, strict=True)
        for values, block, given in zip(session, blocks[:-1], inputs, strict=True)
    ]
    return np.stack(rows)


def integer_outputs(engine: NativeEngine, units: Floats, sessions: Sequence[Sequence[bytes]]) -> Floats:
    """Head outputs (sessions x frames, rows of `heads`) of the integers, in encoded units and logits.

    `units` are the floating-point model's (`TorchModel.units`). The last block of a session only gives its inputs.
    """
    cartridge = engine.cartridge
    pads = [[frame.block_inputs(following) for _, following in pairwise(blocks)] for blocks in sessions]
    contexts, _ = _integer_run(engine, sessions, set())
    return _integer_outputs(cartridge, contexts, sessions, pads) * output_scale(cartridge, units)


class _StateWatch:
    """Compares a floating-point model's state with dumped ones, by frame and layer."""

    def __init__(self, cartridge: Cartridge, dumps: dict[int, list[bytes]]) -> None:
        self._cartridge, self._dumps = cartridge, dumps
        layers = cartridge.shape.num_layers
        self.signal = {n: np.zeros((layers, len(each))) for n, each in dumps.items()}
        self.noise = {n: np.zeros((layers, len(each))) for n, each in dumps.items()}
        self._seen = [0] * layers

    def __call__(self, name: str, h: torch.Tensor) -> None:
        if not name.endswith(".h"):
            return
        layer = int(name.split(".")[1])
        n = self._seen[layer]
        self._seen[layer] += 1
        for i, dump in enumerate(self._dumps.get(n, ())):
            real = h[i].double().numpy()
            found = np.ldexp(self._layer(dump, layer), -row_bits(self._cartridge, layer)[:, :, None])
            self.signal[n][layer, i] = float((real**2).sum())
            self.noise[n][layer, i] = float(((found - real) ** 2).sum())

    def _layer(self, dump: bytes, layer: int) -> Floats:
        s = self._cartridge.shape
        size, each = s.d_inner * s.d_state, s.d_inner * s.d_state + 3 * s.conv_dim
        high = np.frombuffer(dump, np.int8, size, layer * each).astype(np.float64)
        low = np.frombuffer(dump, np.uint8, size, s.state_values + layer * each)
        return (256 * high + low).reshape(s.num_heads, s.headdim, s.d_state)


def _float_run(
    model: TorchModel, sessions: Sequence[Sequence[bytes]], pads: Sequence[Sequence[bytes]], watch: _StateWatch | None
) -> Floats:
    """Head outputs (sessions x frames, rows of `heads`) in encoded units and logits."""
    frames = len(pads[0])
    state = model.start_state(*(blocks[0] for blocks in sessions))
    parts = []
    if watch:
        model.probe = watch
    try:
        for begin in range(0, frames, CHUNK):
            rows = range(begin, min(begin + CHUNK, frames))
            vectors = model.frame_vectors([blocks[n] for blocks in sessions for n in rows])
            ctx = model.advance(state, vectors.reshape(len(sessions), len(rows), -1))
            before = [frame.block_inputs(blocks[n]) for blocks in sessions for n in rows]
            given = [inputs[n] for inputs in pads for n in rows]
            parts.append(model.outputs_batch(ctx.flatten(0, 1), before, given).reshape(len(sessions), len(rows), -1))
    finally:
        model.probe = lambda _name, _value: None
    whole: Floats = torch.cat(parts, 1).flatten(0, 1).double().numpy()
    return whole


def _choice(
    result: Fidelity, name: str, mine: NDArray[np.generic], theirs: NDArray[np.generic], margin: Floats
) -> None:
    same = mine == theirs
    confident = margin > np.percentile(margin, 10)
    result.agreement[name] = float(same.mean())
    result.confident_agreement[name] = float(same[confident].mean()) if confident.any() else 1.0
    result.distinct[name] = len(np.unique(theirs))


def _decibels(signal: Floats, noise: Floats) -> Floats:
    ratio: Floats = np.maximum(signal, 1e-30) / np.maximum(noise, 1e-30)
    return 10 * np.log10(ratio)
