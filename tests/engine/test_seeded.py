"""Seeded cartridges."""

import numpy as np
import pytest

from awm_crank.engine import frame
from awm_crank.engine.encoding import Encoding
from awm_crank.engine.layout import Shape
from awm_crank.engine.reference import ReferenceEngine
from awm_crank.engine.seeded import SHAPES, Stream, cartridge, random_inputs


def test_stream_is_named_and_uniform() -> None:
    """A name always gives the same numbers, another name gives others, and all are in the range asked for."""
    stream = Stream(7)
    first = stream.uniform("a", (1000,), -3, 3)
    assert np.array_equal(first, Stream(7).uniform("a", (1000,), -3, 3))
    assert not np.array_equal(first, stream.uniform("b", (1000,), -3, 3))
    assert not np.array_equal(first, Stream(8).uniform("a", (1000,), -3, 3))
    assert set(first.tolist()) == set(range(-3, 4))
    assert stream.bell("a", (4000,)).std() == pytest.approx(37837, rel=0.05)


@pytest.mark.parametrize(
    "shape",
    [
        SHAPES["tiny"],
        Shape(33, 45, 6, 15, 1),
        Shape(64, 64, 256, 64, 1),
        Shape(16, 16, 2, 1, 2, encoding=Encoding(state_age_as_embed=True)),
    ],
)
def test_activations_stay_alive(shape: Shape) -> None:
    """Seeded models neither die nor stick: frames keep changing, and the state is neither zero nor saturated."""
    engine = ReferenceEngine(cartridge(shape, 11))
    block = frame.start_block(32, (1, 2))
    state = engine.start_state(block)
    blocks = set()
    for pads in random_inputs(Stream(1), "alive", 24):
        block = engine.heads(engine.backbone(state, block), block, pads)
        blocks.add(block[:80])
    assert len(blocks) == 24
    assert state.h.std() > 3
    assert (np.abs(state.h) >= 32767).mean() < 0.05


def test_random_inputs_are_controllers() -> None:
    """Random inputs have sticks within ±80 and known buttons only, hold for six frames, and are as many as
    asked for.
    """
    pads = random_inputs(Stream(1), "pads", 100)
    assert len(pads) == 100
    assert pads[0] == pads[5]
    assert len(set(pads)) == 17
    for pad in pads:
        values = frame.CONTROLLER.unpack(pad[:8])
        assert all(-80 <= v <= 80 for v in values[:4])
        assert values[6] < 32 and values[7] & ~0b1101 == 0
