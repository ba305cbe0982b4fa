"""Reports on several checkpoints: whether each can be quantized, how well its integers agree with it, and how much its
window matters.

Offline; needs torch. `awm-crank quantize --report` prints it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from awm_crank.engine.native import NativeEngine
from awm_crank.engine.offline import checkpoint, fidelity, quantize, synthetic, window
from awm_crank.engine.offline.checkpoint import TrainedCheckpoint
from awm_crank.engine.offline.torch_model import TorchModel
from awm_crank.engine.seeded import Stream
from awm_crank.errors import AwmError

FRAMES = 600
"""Teacher-forced frames of an agreement."""
WINDOWS = 120
"""Frames that are compared with windows of K frames."""


@dataclass(frozen=True)
class Agreement:
    """The agreement of the integers with the checkpoint in FP32, over the same given frames.

    Attributes:
        frames: how many frames were compared.
        least, mean: the share of equal choices of the categorical heads: of the lowest head, and of all heads together.
        clear: the mean over the frames whose FP32 margin is above the head's 10th percentile.
        regression: the worst number's RMS difference over its standard deviation.
    """

    frames: int
    least: float
    mean: float
    clear: float
    regression: float


@dataclass(frozen=True)
class Line:
    """The result for one file. `refused` is the sentence of the refusal; it is empty if the file was quantized."""

    file: str
    refused: str = ""
    sha256: str = ""
    parameters: int = 0
    flags: tuple[str, ...] = ()
    agreement: Agreement | None = None
    context_len: int | None = None
    window: window.Difference | None = None


def window_difference(source: TrainedCheckpoint, blocks: list[bytes]) -> window.Difference | None:
    """Compares the endless recurrence with the checkpoint's own window. None if the file does not name a window."""
    if source.context_len is None:
        return None
    model = TorchModel.of_checkpoint(source, torch.float32)
    return window.difference(model, blocks[: source.context_len + WINDOWS], source.context_len)


def frames(source: TrainedCheckpoint, count: int, real: bytes = b"") -> list[bytes]:
    """`count` + 1 blocks to compare on: real ones if there are enough, else synthetic ones that no calibration has
    seen."""
    size = source.shape.encoding.block_size
    if len(real) > count * size:
        return [real[i : i + size] for i in range(0, (count + 1) * size, size)]
    return synthetic.lane(Stream(1), "report", count + 1, 32, (1, 20), source.shape.encoding)


def agreement(engine: NativeEngine, source: TrainedCheckpoint, blocks: list[bytes]) -> Agreement:
    """Compares the engine and the checkpoint over the same frames. Of the last block, only the inputs are used."""
    found = fidelity.measure(engine, TorchModel.of_checkpoint(source, torch.float32), [blocks])
    binary = {f"p{player} {name}" for player, name in source.shape.encoding.binary_names}
    heads = [name for name in found.agreement if name not in binary]
    return Agreement(
        frames=found.frames,
        least=min(found.agreement[name] for name in heads),
        mean=float(np.mean([found.agreement[name] for name in heads])),
        clear=float(np.mean([found.confident_agreement[name] for name in heads])),
        regression=max(found.regression.values()),
    )


def line(
    file: str,
    data: bytes,
    *,
    config: bytes = b"",
    calibration: int,
    count: int = FRAMES,
    tick: Callable[[str], None] = lambda _what: None,
) -> Line:
    """Quantizes one checkpoint and measures it. A refusal is part of the line; nothing is written.

    Args:
        file: the file's name, for the line and the cartridge.
        data: the file's bytes.
        config: see `files.read`.
        calibration: frames of each calibration match.
        count: how many frames to compare.
        tick: called with the name of each part as it begins.
    """
    try:
        source = checkpoint.read(data, config=config)
        made = quantize.quantize(source, name=file.encode()[:32].decode(errors="ignore"), frames=calibration, tick=tick)
    except AwmError as error:
        return Line(file, refused=str(error))
    tick("comparing")
    blocks = frames(source, count)
    encoding = source.shape.encoding
    return Line(
        file=file,
        sha256=made.sha256.hex(),
        parameters=made.total_params,
        flags=tuple(name for name in checkpoint.FLAGS if getattr(encoding, name)),
        agreement=agreement(NativeEngine(made), source, blocks),
        context_len=source.context_len,
        window=window_difference(source, blocks),
    )


def text(each: Line) -> str:
    """Formats a line for people."""
    if each.refused:
        return f"{each.file}: REFUSED: {each.refused}"
    flags = ", ".join(each.flags) or "no flags"
    out = [f"{each.file}: quantized ({flags}; {each.parameters:,} parameters, {each.sha256[:16]})"]
    if each.agreement:
        a = each.agreement
        out.append(
            f"  agreement over {a.frames} frames: {a.mean:.2%} of all choices, {a.clear:.2%} of the clear ones, "
            f"{a.least:.2%} in the lowest head; numbers at most {a.regression:.2%} off"
        )
    if each.window and each.context_len:
        w = each.window
        out.append(
            f"  windows of {each.context_len} frames, as trained, choose the same action in {w.action:.1%} of "
            f"{w.frames} frames; numbers {w.regression:.2%} off"
        )
    return "\n".join(out)
