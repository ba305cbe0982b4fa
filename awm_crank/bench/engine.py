"""The native engine against what this machine can stream, and against PyTorch, in one run.

For each shape and each instruction set that runs here, the tables show medians of interleaved calls. One thread is
measured by its CPU time, so that other load on the machine counts little; two threads are measured by the wall clock.

- S: the projections' weights once through the bare matrix loop, plus one pass over the recurrent state (h updated and
  read out, the convolution's tail moved on). A step may take 1.25 S.
- step: backbone, heads and decoding as a session calls them. "inputs on" is the part after the inputs are known.
- 32 sessions: one batch, against the bare batched matrix loop and 32 state passes.

An instruction set that this CPU lacks is listed as NOT RUN, with what is missing.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from awm_crank.engine.frame import start_block
from awm_crank.engine.native import NativeEngine, paths
from awm_crank.engine.seeded import SHAPES, cartridge

GOAL = 1.25
BATCH = 32
PARTS = {"matmul": 1, "scan": 2, "norm": 4, "requantize": 8, "convolution": 16, "gate": 32, "head scalars": 64}
"""Name to AWM_RUN_* of native/awm_engine.h: the parts of a step that the kernel runs by themselves."""
NAMES = ("19.9M", "15.8M", "4.3M")


def _microseconds(call: Callable[[], object], clock: Callable[[], int] = time.thread_time_ns) -> float:
    before = clock()
    call()
    return (clock() - before) / 1e3


def medians(calls: dict[str, Callable[[], float]], seconds: float) -> dict[str, float]:
    """The median result of each call. All are called in turn until the time is over, at least 5 times each."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    turns = 0
    while turns < 5 or time.perf_counter() < end:
        for name, call in calls.items():
            found[name].append(call())
        turns += 1
    return {name: statistics.median(times) for name, times in found.items()}


def measure_path(shape: str, path: str, seconds: float) -> dict[str, Any]:
    """Every figure of one instruction set and shape, in µs. The goals are for `step_ratio` and `batch_ratio`."""
    block, inputs = start_block(32, (1, 20)), bytes(16)
    made = cartridge(SHAPES[shape], 1)
    engine = NativeEngine(made, path)
    state = engine.start_state(block)
    context = engine.backbone(state, block)
    batch = [engine.copy(state) for _ in range(BATCH)]
    blocks, pads, contexts = [block] * BATCH, [inputs] * BATCH, [context] * BATCH

    def bare(states: list[Any], what: int) -> float:
        return engine.bare(states, what) / 1e3

    calls: dict[str, Callable[[], float]] = {
        "step": lambda: _microseconds(lambda: engine.heads(engine.backbone(state, block), block, inputs)),
        "inputs on": lambda: _microseconds(lambda: engine.heads(context, block, inputs)),
    }
    for name, what in PARTS.items():
        calls[name] = lambda what=what: bare([state], what)  # type: ignore[misc]
    one = medians(calls, seconds / 2)
    many = medians(
        {
            "step": lambda: _microseconds(
                lambda: engine.heads_batch(engine.backbone_batch(batch, blocks), blocks, pads)
            ),
            "inputs on": lambda: _microseconds(lambda: engine.heads_batch(contexts, blocks, pads)),
            "matmul": lambda: bare(batch, PARTS["matmul"]),
            "scan": lambda: bare(batch, PARTS["scan"]),
        },
        seconds / 2,
    )
    two = NativeEngine(made, path, threads=2)

    def threaded_step() -> float:
        return _microseconds(lambda: two.heads(two.backbone(state, block), block, inputs), time.perf_counter_ns)

    threaded = medians({"step": threaded_step}, seconds / 8)
    known = sum(one[name] for name in PARTS)
    return {
        "shape": shape,
        "path": path,
        "S": one["matmul"] + one["scan"],
        "step": one["step"],
        "step_ratio": one["step"] / (one["matmul"] + one["scan"]),
        "inputs_on": one["inputs on"],
        "two_threads": threaded["step"],
        "breakdown": {name: one[name] for name in PARTS}
        | {"heads": one["inputs on"], "frame and the rest": max(0.0, one["step"] - one["inputs on"] - known)},
        "batch": {name: value / BATCH for name, value in many.items()},
        "batch_ratio": many["step"] / (many["matmul"] + many["scan"]),
        "sizes": engine.sizes(),
    }


def _line(figures: dict[str, Any]) -> str:
    def ratio(value: float) -> str:
        return f"{value:5.2f}{' ' if value <= GOAL else '!'}"

    batch = figures["batch"]
    return (
        f"{figures['shape']:>6} {figures['path']:<9} {figures['S']:8.1f} {figures['step']:8.1f}"
        f" {ratio(figures['step_ratio'])}"
        f" {figures['inputs_on']:9.1f} {figures['two_threads']:9.1f}"
        f" {batch['matmul'] + batch['scan']:9.1f} {batch['step']:8.1f} {ratio(figures['batch_ratio'])}"
    )


def report(seconds: float) -> tuple[str, dict[str, Any]]:
    """The tables as text, and all figures. `seconds` is the time for each instruction set and shape."""
    known = paths()
    runs = [measure_path(shape, path, seconds) for shape in NAMES for path, lacks in known.items() if not lacks]
    lines = [
        f"Native engine, µs, medians; ! = above {GOAL} (the goal for both ratios); {BATCH} sessions: µs a session",
        " shape path             S     step ratio inputs on 2 threads  bare x32 step x32 ratio",
        *(_line(figures) for figures in runs),
        *(f"       {path:<9} NOT RUN: lacks {lacks}" for path, lacks in known.items() if lacks),
        "",
        "Where the step's time goes, µs:",
    ]
    for figures in runs:
        parts = ", ".join(f"{name} {value:.1f}" for name, value in figures["breakdown"].items())
        lines.append(f"{figures['shape']:>6} {figures['path']:<9} {parts}")
    best = {figures["shape"]: figures for figures in runs}
    lines += ["", "Memory of a further session beyond the weights, bytes:"]
    for shape, figures in best.items():
        lines.append(f"{shape:>6} state {figures['sizes']['state']:,}, scratch {figures['sizes']['scratch_next']:,}")
    off_the_shelf = torch_figures(seconds)
    lines += ["", "PyTorch, one frame of one session, one thread, µs:"]
    for shape, rows in off_the_shelf.items():
        step = best[shape]["step"]
        for name, value in rows.items():
            if isinstance(value, float):
                lines.append(f"{shape:>6} {name:<24} {value:10.1f}  {value / step:6.1f} x ours ({best[shape]['path']})")
            else:
                lines.append(f"{shape:>6} {name:<24} {value}")
    return "\n".join(lines) + "\n", {"paths": known, "runs": runs, "torch": off_the_shelf}


def torch_figures(seconds: float) -> dict[str, dict[str, float | str]]:
    """By shape and way: µs, or why it was NOT RUN."""
    try:
        from awm_crank.bench.torch_engine import ways
    except ImportError:
        reason = "NOT RUN: PyTorch is not installed (pip install 'awm-crank[model]')"
        return {shape: {"PyTorch": reason} for shape in NAMES}
    found: dict[str, dict[str, float | str]] = {}
    for shape in NAMES:
        found[shape] = {}
        for name, make in ways(SHAPES[shape]).items():
            try:
                call = make()
                call()
            except Exception as error:  # the compiler is missing, or the engine is not built
                found[shape][name] = f"NOT RUN: {type(error).__name__}: {str(error).splitlines()[0][:80]}"
                continue
            found[shape][name] = medians({name: lambda call=call: _microseconds(call)}, seconds / 4)[name]  # type: ignore[misc]
    return found
