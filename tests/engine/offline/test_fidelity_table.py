"""The table of goals: what passes, what fails, and that damage shows."""

from typing import Any

import numpy as np
import pytest
from engine import golden

from awm_crank.engine import frame
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.layout import Shape
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.offline import checkpoint, fidelity_table, seeded_checkpoint
from awm_crank.engine.offline.fidelity_table import Row, Table
from awm_crank.engine.offline.quantize import quantize
from awm_crank.errors import CheckpointError

SHAPE = Shape(64, 64, 4, 16, 2)
SOURCE = checkpoint.read(seeded_checkpoint.checkpoint(SHAPE, 1))
CART = quantize(SOURCE, name="small", frames=200)
FEW: dict[str, Any] = {"frames": 200, "starts": 12, "sessions": 2}


@pytest.fixture(scope="module")
def sound() -> Table:
    """The table of an undamaged cartridge."""
    return fidelity_table.build(NativeEngine(CART), **FEW)


def failed(table: Table) -> set[str]:
    return {row.kind for row in table.rows if not row.passed}


def rebuilt(**arrays: np.ndarray) -> Cartridge:
    """The cartridge with other tensors."""
    return Cartridge.build(
        name="damaged",
        version=1,
        shape=CART.shape,
        formats=CART.formats,
        luts=CART.luts,
        arrays={**CART.arrays, **arrays},
        total_params=CART.total_params,
    )


def test_every_goal_has_its_row(sound: Table) -> None:
    """The table has 18 heads twice, 24 regressions, three rows of the state and one of the closed loop, and all
    pass.
    """
    kinds = [row.kind for row in sound.rows]
    assert [kinds.count(kind) for kind in dict.fromkeys(kinds)] == [18, 18, 24, 3, 1]
    assert not failed(sound), sound.text()
    assert "every row passes" in sound.text()
    assert sound.as_json()["passed"] is True


def test_flags_and_a_stick_range() -> None:
    """A checkpoint with the base build's flags, quantized for sticks of ±80, passes quantization, integers, floating
    point and closed loops. Against it the table says what windows of its own length would choose."""
    source = checkpoint.read(seeded_checkpoint.checkpoint(Shape(64, 64, 4, 16, 2, encoding=golden.BASE_BUILD), 1))
    cart = quantize(checkpoint.with_stick_range(source, 80), name="flags", frames=200)
    assert cart.arrays["state_age_embed"].any() and cart.stick_range == 80
    assert not failed(fidelity_table.build(NativeEngine(cart), **FEW))
    against = fidelity_table.build(NativeEngine(cart), source, **FEW)
    assert "recurrent state, own weights" not in failed(against)
    assert min(row.value for row in against.rows if row.kind == "argmax agreement") > 0.9
    windows = [row for row in against.rows if row.kind == "against windows of 10 frames"]
    assert len(windows) == 3 and all(row.passed and row.goal is None for row in windows)
    assert 0.5 < windows[0].value <= 1


def test_a_wrong_checkpoint_fails() -> None:
    """With another seed's weights, choices, numbers and closed loop fail; the state, on its own weights, does not."""
    other = checkpoint.read(seeded_checkpoint.checkpoint(SHAPE, 2))
    table = fidelity_table.build(NativeEngine(CART), other, **FEW)
    assert {"argmax agreement", "regression, RMS / std", "closed loop, first divergence"} <= failed(table)
    assert "recurrent state, own weights" not in failed(table)
    assert "FAIL" in table.text()


def test_damaged_weights_fail() -> None:
    """Setting an eighth of one projection's weights to zero fails against the checkpoint."""
    w = CART.arrays["layers.0.out_proj.w"].copy()
    w[:, :8] = 0
    table = fidelity_table.build(NativeEngine(rebuilt(**{"layers.0.out_proj.w": w})), SOURCE, **FEW)
    assert {"argmax agreement", "regression, RMS / std"} <= failed(table)


def test_a_coarse_state_fails() -> None:
    """State formats that are five bits too coarse fail in the state's rows, even against the cartridge's own
    weights.
    """
    low = [2 * lf.f_c + lf.sh_b - 19 for lf in CART.formats.layers]
    coarse = {f"layers.{n}.hs": np.maximum(CART.arrays[f"layers.{n}.hs"] - 5, low[n]) for n in range(2)}
    coarse |= {f"layers.{n}.row_gain": 0 * CART.arrays[f"layers.{n}.row_gain"] for n in range(2)}
    table = fidelity_table.build(NativeEngine(rebuilt(**coarse)), **FEW)
    assert "recurrent state, own weights" in failed(table)


def test_recorded_frames() -> None:
    """Frames from a file are compared, repeated from the start where they are few, and their inputs drive the loops."""
    lane = [frame.start_block(32, (1, 2))] * 150
    table = fidelity_table.build(NativeEngine(CART), recorded=b"".join(lane), **FEW)
    assert "recorded" in table.about["frames"]
    for bad, why in ((b"".join(lane)[:-1], "multiple of 97"), (b"".join(lane[:20]), "120 or more")):
        with pytest.raises(CheckpointError, match=why):
            fidelity_table.build(NativeEngine(CART), recorded=bad, **FEW)


def test_another_shape_is_refused() -> None:
    """A checkpoint that the cartridge cannot come from is refused by name."""
    other = checkpoint.read(seeded_checkpoint.checkpoint(Shape(64, 64, 4, 16, 1), 1))
    with pytest.raises(CheckpointError, match="differ in shape"):
        fidelity_table.build(NativeEngine(CART), other, **FEW)


@pytest.mark.parametrize(("value", "at_most", "passed"), [(1.0, False, True), (0.9, False, False), (1.1, True, False)])
def test_rows_compare_with_their_goal(value: float, at_most: bool, passed: bool) -> None:
    """A goal is a minimum or a maximum, and the goal itself passes."""
    assert Row("k", "n", value, 1.0, at_most=at_most).passed is passed
