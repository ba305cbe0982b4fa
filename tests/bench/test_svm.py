"""The kernel inside the SVM gives the same bytes as outside, and its table shows what each part costs."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from engine import golden, kernels

from awm_crank.bench.svm import FRAME, Sandbox, figures, program, report
from awm_crank.engine.frame import start_block
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.seeded import SHAPES, cartridge

ROOT = Path(__file__).resolve().parent.parent.parent


def test_program_is_what_the_sources_build() -> None:
    """tools/build_kernel_program.py rebuilds the shipped program byte for byte."""
    build = runpy.run_path(str(ROOT / "tools" / "build_kernel_program.py"))["build"]
    assert build() == program()


@pytest.mark.parametrize("name", ["tiny", "odd", "demo", *(name for name in golden.RUNS if name.startswith("flags"))])
def test_golden_in_the_svm(name: str) -> None:
    """The first frames of a golden run, executed by the VM, give the committed run's blocks, contexts and state."""
    made, (_, seed, _) = golden.make(name), golden.RUNS[name]
    engine = NativeEngine(made, "plain")
    box = Sandbox(made, program())
    block = golden.start(made, seed)
    for _ in range(9):
        box.run(FRAME, block)
    state = engine.start_state(block)
    assert box.state() == engine.raw(state)
    wanted = golden.expected()[name]["first_blocks"]
    for n, pads in enumerate(golden.inputs(seed, golden.RUNS[name][2])[:4]):
        box.run(FRAME, block, pads)
        context = engine.backbone(state, block)
        block = engine.heads(context, block, pads)
        assert box.next_block() == block == bytes.fromhex(wanted[n])
        assert box.context(made.shape.d_model) == context[: 2 * made.shape.d_model]
        assert box.state() == engine.raw(state)


def test_extreme_in_the_svm() -> None:
    """With weights at the loader's bounds, the VM's 64-bit machine gives the host's 32-bit sums."""
    made = kernels.extreme(SHAPES["tiny"], 3)
    engine = NativeEngine(made, "plain")
    box = Sandbox(made, program())
    block = start_block(32, (1, 20))
    state = engine.start_state(bytes(97))
    for n in range(9 + 3):
        given = block if n > 8 else bytes(97)
        box.run(FRAME, given, bytes([n]) * 16)
        if n > 8:
            engine.backbone(state, block)
    assert box.state() == engine.raw(state)


def test_table() -> None:
    """Packing pays seven times in the shipped world, the syscall's price is above the packed loop's, units repeat."""
    tiny, shipped = figures()
    assert tiny.packed < tiny.plain / 4
    assert shipped.packed < shipped.plain / 6.5
    assert shipped.packed < shipped.syscall < shipped.plain
    assert (tiny.transactions, shipped.transactions) == (1, 2)
    text, again = report(1)
    assert again["shipped"]["plain"] == shipped.plain
    assert f"{shipped.packed:,}" in text


def test_refuses_another_image() -> None:
    """An image that was made for another instruction set is refused before anything is read from it."""
    box = Sandbox(cartridge(SHAPES["tiny"], 1), program())
    box._put(box.image, bytes(4096))
    with pytest.raises(RuntimeError, match="failed"):
        box.run(FRAME, start_block(32, (1, 20)))
