"""The engine that a name stands for."""

from __future__ import annotations

import pytest

from awm_crank.engine import ReferenceEngine, choose, frame
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.seeded import SHAPES, cartridge
from awm_crank.errors import ConfigError


def test_names() -> None:
    """Each name gives its engine, native unless another is asked for, and both make the same frame."""
    made = cartridge(SHAPES["tiny"], 1)
    engines = [choose.build(made), choose.build(made, "native"), choose.build(made, "reference")]
    assert [type(engine) for engine in engines] == [NativeEngine, NativeEngine, ReferenceEngine]
    block = frame.start_block(32, (1, 2))
    frames = {engine.heads(engine.backbone(engine.start_state(block), block), block, bytes(16)) for engine in engines}
    assert len(frames) == 1


def test_unknown_name() -> None:
    """A name that is none is refused, with those that are."""
    with pytest.raises(ConfigError, match=r"no engine is called 'gpu'\. Try: one of native, reference"):
        choose.build(cartridge(SHAPES["tiny"], 1), "gpu")
