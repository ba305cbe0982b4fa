"""When worlds that start alike first diverge."""

import numpy as np
import pytest
import torch
from engine import golden

from awm_crank.engine import frame
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.offline import fidelity
from awm_crank.engine.offline.closed_loop import Divergence, Start, differ, diverge
from awm_crank.engine.seeded import Stream, random_inputs

START = frame.start_block(32, (1, 2))


def changed(at: int, kind: str, value: int) -> bytes:
    out = bytearray(START)
    size = {"x": 4, "action": 2}[kind]
    out[at : at + size] = value.to_bytes(size, "little", signed=kind == "x")
    return bytes(out)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (START, False),
        (changed(0, "x", -30 * 256 + 256), False),
        (changed(0, "x", -30 * 256 + 257), True),
        (changed(36, "x", -257), True),
        (changed(28, "action", 20), True),
        (START[:12] + b"\x00\x01" + START[14:], False),
    ],
    ids=["same", "x by one unit", "x by more", "y of the other", "action", "shield alone"],
)
def test_what_counts_as_apart(other: bytes, expected: bool) -> None:
    """Two frames differ if either player's action does, or a position by more than one unit; nothing else counts."""
    assert differ(START, other) is expected


def test_medians_and_ratio() -> None:
    """A divergence gives medians and their ratio; a world that never differs counts as longer than the horizon."""
    found = Divergence(np.array([4, 8, 11]), np.array([2, 4, 5]), 10)
    assert (found.medians, found.ratio) == ((8.0, 4.0), 2.0)


def test_integers_outlast_bfloat16() -> None:
    """From 16 starts, the INT8 world follows FP32 longer than the bf16 world does, and the numbers are frames."""
    cart = golden.seeded_world()
    stream = Stream(2)
    starts = [Start([START], random_inputs(stream, f"loop {i}", 120)) for i in range(16)]
    model, control = fidelity.dequantized_model(cart), fidelity.dequantized_model(cart, torch.bfloat16)
    found = diverge(NativeEngine(cart), model, control, starts)
    assert found.engine.min() >= 1
    assert found.control.max() <= found.horizon == 120
    assert found.ratio >= 1.5


def test_context_is_consumed_first() -> None:
    """After a match as context, worlds go on from its last frame, and the first difference is not inside the
    context.
    """
    cart = golden.seeded_world()
    engine = NativeEngine(cart)
    lane = fidelity.play(engine, [START], [random_inputs(Stream(5), "context", 60)])[0]
    model = fidelity.dequantized_model(cart)
    start = Start(lane[:30], [block[80:96] for block in lane[30:50]])
    seen = diverge(engine, model, model, [start, start])
    assert (seen.control == 21).all()
    assert (seen.engine > 2).all()
