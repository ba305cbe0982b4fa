"""The fidelity table: what a cartridge must reach next to what it reaches, for the command that prints it.

Offline, needs torch. The floating-point side of the choices, numbers and closed loops is the checkpoint where one is
given, else the cartridge's dequantized weights; of the recurrent state it is always the latter, so that the row
measures the arithmetic and not the rounding of weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from awm_crank.engine import frame
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.offline import closed_loop, coherence, fidelity, window
from awm_crank.engine.offline.calibrate import CHARACTERS, STAGES
from awm_crank.engine.offline.checkpoint import TrainedCheckpoint, with_stick_range
from awm_crank.engine.offline.torch_model import TorchModel
from awm_crank.engine.seeded import Stream, random_inputs
from awm_crank.errors import CheckpointError

AGREEMENT, CONFIDENT, REGRESSION, SNR_DB, SNR_LOSS_DB, LOOP_RATIO = 0.99, 0.999, 0.03, 40.0, 1.0, 0.8
SNR_EARLY = 1000
SESSIONS = 8
"""Sessions side by side: the state's energy swings with what happens in one."""
STARTS = 200
WINDOWS = 200
"""Frames that are compared with windows of K frames."""
REPLAYS = 300
"""Pieces of a replay for rollout coherence, at most."""
HORIZON = 1200
CONTEXT = 60
"""Recorded frames that a closed loop starts behind."""


@dataclass(frozen=True)
class Row:
    """One line: `value` must be at least `goal`, or at most where `at_most`; without a goal it is only said. `kind`
    groups rows, `unit` is printed."""

    kind: str
    name: str
    value: float
    goal: float | None
    at_most: bool = False
    unit: str = "%"
    note: str = ""

    @property
    def passed(self) -> bool:
        if self.goal is None:
            return True
        return self.value <= self.goal if self.at_most else self.value >= self.goal


@dataclass(frozen=True)
class Table:
    """All rows, and what they were measured on."""

    about: dict[str, Any]
    rows: list[Row]

    @property
    def passed(self) -> bool:
        return all(row.passed for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """For programs: `about`, `passed`, `rows` (each with its own `passed`)."""
        rows = [asdict(row) | {"passed": row.passed} for row in self.rows]
        return {"about": self.about, "passed": self.passed, "rows": rows}

    def text(self) -> str:
        """For people."""
        lines = [f"{name:<18}{value}" for name, value in self.about.items()]
        kind = ""
        for row in self.rows:
            if row.kind != kind:
                kind = row.kind
                lines += ["", f"{kind:<36}{'found':>11}{'goal':>11}"]
            scale = 100 if row.unit == "%" else 1
            digits = 3 if row.kind.startswith("regression") else 2
            found = f"{row.value * scale:.{digits}f} {row.unit}"
            goal, verdict = "", "pass" if row.passed else "FAIL"
            if row.goal is None:
                verdict = ""
            else:
                goal = f"{'≤' if row.at_most else '≥'} {row.goal * scale:g} {row.unit}"
            lines.append(f"  {row.name:<34}{found:>11}{goal:>11}  {verdict:<4}  {row.note}".rstrip())
        failed = sum(not row.passed for row in self.rows)
        lines += ["", "every row passes" if not failed else f"{failed} of {len(self.rows)} rows FAIL"]
        return "\n".join(lines)


def build(
    engine: NativeEngine,
    checkpoint: TrainedCheckpoint | None = None,
    *,
    frames: int = 10_000,
    starts: int = STARTS,
    sessions: int = SESSIONS,
    seed: int = 0,
    recorded: bytes = b"",
    tick: Callable[[str], None] = lambda _what: None,
) -> Table:
    """Measure everything.

    Args:
        engine: of the cartridge.
        checkpoint: the checkpoint that the cartridge was made from. None: compare with the cartridge's own weights,
            which judges the arithmetic alone.
        frames: how many frames to compare in each session.
        starts: how many closed loops to run.
        sessions: teacher-forced sessions; with `recorded` they share its frames out.
        seed: the seed of the random inputs.
        recorded: frame blocks of the world's size in order, matches one behind the other; without them the engine's own
            matches under random inputs are the frames. Repeated from the beginning where they are too few.
        tick: called with the name of each part as it begins.

    Raises:
        CheckpointError: the checkpoint has another shape than the cartridge, or `recorded` is no whole number of blocks
            or too short for the closed loops.
    """
    cartridge = engine.cartridge
    if checkpoint:  # what a stick's byte means is chosen when a checkpoint is quantized
        checkpoint = with_stick_range(checkpoint, cartridge.stick_range)
    if checkpoint and checkpoint.shape != replace(cartridge.shape, row_gains=False):
        raise CheckpointError(
            "checkpoint and cartridge differ in shape",
            expected=cartridge.shape,
            found=checkpoint.shape,
            hint="name the checkpoint that the cartridge was made of",
        )
    torch.set_num_threads(1)
    own = fidelity.dequantized_model(cartridge)
    model = fidelity.checkpoint_model(checkpoint) if checkpoint else own
    encoding = cartridge.shape.encoding
    blocks = _cut(recorded, encoding.block_size)
    tick("frames to compare on")
    lanes = _recorded_lanes(blocks, sessions, frames) if blocks else _own_lanes(engine, sessions, frames, seed)
    early = min(SNR_EARLY, frames // 2)
    found = fidelity.measure(engine, model, lanes, own=None if model is own else own, report_at=(early,), tick=tick)
    begun = _recorded_starts(blocks, starts) if blocks else _own_starts(starts, seed, encoding.extra_size)
    control = (
        fidelity.checkpoint_model(checkpoint, torch.bfloat16)
        if checkpoint
        else fidelity.dequantized_model(cartridge, torch.bfloat16)
    )
    tick("closed loops")
    loops = closed_loop.diverge(engine, model, control, begun, tick=tick)
    more = _window_rows(engine, model, lanes[0], checkpoint.context_len if checkpoint else None, tick)
    if blocks:
        more += _coherence_rows(engine, model, blocks, tick)
    about = {
        "cartridge": f"{cartridge.name} {cartridge.sha256.hex()[:16]}, {cartridge.total_params:,} parameters",
        "against": "the checkpoint in FP32" if checkpoint else "the cartridge's dequantized weights in FP32",
        "frames": f"{sessions} sessions of {frames:,}, teacher-forced, "
        + ("recorded" if blocks else "the engine's own under random inputs"),
        "closed loops": f"{starts} starts, " + ("recorded" if blocks else "start positions under random inputs"),
        "engine": f"native, {engine.path}",
    }
    return Table(about, [*_rows(found, loops, early, frames), *more])


def _window_rows(
    engine: NativeEngine,
    model: TorchModel,
    lane: Sequence[bytes],
    context_len: int | None,
    tick: Callable[[str], None],
) -> list[Row]:
    """The integers, which never empty their state, against windows of K frames: the forward that training used."""
    if context_len is None:
        return []
    tick("windows of K frames")
    blocks = list(lane[: context_len + WINDOWS])
    windowed = window.outputs(model, blocks, context_len)
    ours = fidelity.integer_outputs(engine, model.units, [blocks])[-len(windowed) :]
    kind, found = f"against windows of {context_len} frames", window.compare(model, windowed, ours)
    return [
        Row(kind, "actions, the lower player", found.action, None),
        Row(kind, "all heads, the lowest", found.least, None),
        Row(kind, "numbers, mean RMS / std", found.regression, None),
    ]


def _coherence_rows(
    engine: NativeEngine, model: TorchModel, blocks: list[bytes], tick: Callable[[str], None]
) -> list[Row]:
    tick("rollout coherence")
    replays = coherence.cut(blocks, CONTEXT + coherence.HORIZONS[-1], REPLAYS)
    if not replays:
        return []
    found = coherence.coherence(engine, model, replays, CONTEXT)
    return [
        Row("rollout coherence, position error", f"K = {k}, {name}", errors[k], None, unit="", note="game units")
        for k in coherence.HORIZONS
        for name, errors in found.items()
    ]


def _rows(found: fidelity.Fidelity, loops: closed_loop.Divergence, early: int, frames: int) -> list[Row]:
    values = found.distinct
    rows = [
        Row("argmax agreement", name, share, AGREEMENT, note=f"{values[name]} values")
        for name, share in found.agreement.items()
    ]
    rows += [
        Row("… above the 10th percentile margin", name, share, CONFIDENT)
        for name, share in found.confident_agreement.items()
    ]
    rows += [
        Row("regression, RMS / std", name, value, REGRESSION, at_most=True) for name, value in found.regression.items()
    ]
    first, last = found.state_snr_db[early], found.state_snr_db[frames]
    kind = "recurrent state, own weights"
    rows += [
        Row(kind, f"SNR at frame {early:,}", first, SNR_DB, unit="dB"),
        Row(kind, f"SNR at frame {frames:,}", last, SNR_DB, unit="dB"),
        Row(kind, "lost between them", first - last, SNR_LOSS_DB, at_most=True, unit="dB"),
    ]
    engine, control = loops.medians
    note = f"median frame {_median(engine, loops)} against {_median(control, loops)}"
    rows.append(Row("closed loop, first divergence", "INT8 / bf16", loops.ratio, LOOP_RATIO, unit="", note=note))
    return rows


def _median(value: float, loops: closed_loop.Divergence) -> str:
    return f"{value:g}" if value <= loops.horizon else f"beyond {loops.horizon}"


def _cut(recorded: bytes, size: int) -> list[bytes]:
    if len(recorded) % size:
        raise CheckpointError("recorded frames", expected=f"a multiple of {size} bytes", found=len(recorded))
    blocks = [recorded[i : i + size] for i in range(0, len(recorded), size)]
    if blocks and len(blocks) < 2 * CONTEXT:
        raise CheckpointError("recorded frames", expected=f"{2 * CONTEXT} or more", found=len(blocks))
    return blocks


def _own_lanes(engine: NativeEngine, sessions: int, frames: int, seed: int) -> list[list[bytes]]:
    stream = Stream(seed)
    inputs = [random_inputs(stream, f"fidelity {i}", frames) for i in range(sessions)]
    return fidelity.play(engine, [_start(i, engine.cartridge.extra_size) for i in range(sessions)], inputs)


def _start(i: int, extra_size: int) -> bytes:
    return frame.start_block(STAGES[-1 - i % len(STAGES)], CHARACTERS[i % len(CHARACTERS)], extra_size)


def _recorded_lanes(blocks: list[bytes], sessions: int, frames: int) -> list[list[bytes]]:
    begins = [i * len(blocks) // sessions for i in range(sessions)]
    return [[blocks[(begin + n) % len(blocks)] for n in range(frames + 1)] for begin in begins]


def _own_starts(count: int, seed: int, extra_size: int) -> list[closed_loop.Start]:
    stream = Stream(seed)
    return [
        closed_loop.Start([_start(i, extra_size)], random_inputs(stream, f"closed loop {i}", HORIZON))
        for i in range(count)
    ]


def _recorded_starts(blocks: list[bytes], count: int) -> list[closed_loop.Start]:
    def at(n: int) -> bytes:
        return blocks[n % len(blocks)]

    starts: Sequence[int] = [i * len(blocks) // count for i in range(count)]
    return [
        closed_loop.Start(
            [at(begin + n) for n in range(CONTEXT)],
            [frame.block_inputs(at(begin + CONTEXT + n)) for n in range(HORIZON)],
        )
        for begin in starts
    ]
