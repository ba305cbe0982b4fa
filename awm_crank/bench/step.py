"""One model step at the demo's shape, against the same step in FP32 PyTorch."""

from __future__ import annotations

from awm_crank.bench.report import Comparison, median_us
from awm_crank.engine.reference import ReferenceEngine
from awm_crank.engine.seeded import SHAPES, cartridge
from awm_crank.wire import frame_records
from awm_crank.wire.start import start_players

_SHAPE = "demo"


def torch_us(shape: tuple[int, int, int, int, int], seconds: float) -> tuple[float | None, str]:
    """The time of a PyTorch FP32 step in µs, and what was run. Without PyTorch, no time and the reason.

    Args:
        shape: layers, d_model, d_inner, d_state, heads.
    """
    try:
        from awm_crank.bench.torch_step import TorchSizes, step
    except ImportError:
        return None, "NOT RUN: PyTorch is not installed (pip install 'awm-crank[model]')"
    return median_us(step(TorchSizes(*shape)), seconds), "PyTorch FP32, nn modules, one thread, state carried"


def measure(seconds: float) -> list[Comparison]:
    """Median times, in µs, of a whole step and of the part after the inputs are known."""
    shape = SHAPES[_SHAPE]
    engine = ReferenceEngine(cartridge(shape, 1))
    block = frame_records.block(start_players(1, 2), bytes(16), bytes(16), 32)
    state = engine.start_state(block)
    context = engine.backbone(state, block)
    inputs = bytes(16)

    def step() -> bytes:
        return engine.heads(engine.backbone(state, block), block, inputs)

    share = seconds / 3
    sizes = (shape.num_layers, shape.d_model, shape.d_inner, shape.d_state, shape.num_heads)
    theirs, how = torch_us(sizes, share)
    return [
        Comparison(
            name="step",
            unit="µs",
            ours=median_us(step, share),
            ours_how=f"integer NumPy reference, {sizes[0]} layers, d_model {sizes[1]}: backbone, heads, decoding",
            other=theirs,
            other_how=how,
        ),
        Comparison(
            name="step, from inputs on",
            unit="µs",
            ours=median_us(lambda: engine.heads(context, block, inputs), share),
            ours_how="heads and decoding only: the backbone ran before the inputs came",
            other=theirs,
            other_how=f"{how}; it takes the inputs at its beginning",
        ),
    ]
