"""Choosing the engine by its name."""

from __future__ import annotations

import sys

import pytest

from awm_crank.engine import ReferenceEngine, choose, frame, native
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.seeded import SHAPES, cartridge
from awm_crank.errors import ConfigError, EngineError


def test_names() -> None:
    """Each name gives its engine, native by default, and both compute the same frame."""
    made = cartridge(SHAPES["tiny"], 1)
    engines = [choose.build(made), choose.build(made, "native"), choose.build(made, "reference")]
    assert [type(engine) for engine in engines] == [NativeEngine, NativeEngine, ReferenceEngine]
    block = frame.start_block(32, (1, 2))
    frames = {engine.heads(engine.backbone(engine.start_state(block), block), block, bytes(16)) for engine in engines}
    assert len(frames) == 1


def test_unknown_name() -> None:
    """An unknown name is refused with a list of the known ones."""
    with pytest.raises(ConfigError, match=r"no engine is called 'gpu'\. Try: one of native, reference"):
        choose.build(cartridge(SHAPES["tiny"], 1), "gpu")


def test_paths() -> None:
    """The native kernel computes on its best path, or on the path that is named."""
    made = cartridge(SHAPES["tiny"], 1)
    best = choose.build(made)
    assert isinstance(best, NativeEngine)
    assert best.path == native.choose() == choose.path_of()
    plain = choose.build(made, "native", "plain", 2)
    assert isinstance(plain, NativeEngine)
    assert (plain.path, plain.threads) == ("plain", 2)
    assert choose.path_of("reference") == "reference"


@pytest.mark.parametrize(
    ("name", "path", "says"),
    [
        ("native", "neonx", "neonx"),
        ("native", "neon" if native.choose() != "neon" else "avx2", "cannot run on this machine"),
        ("reference", "avx2", "engine.path"),
    ],
)
def test_no_replacement(name: str, path: str, says: str) -> None:
    """A path that does not exist, cannot run here, or belongs to the other engine is refused."""
    with pytest.raises((EngineError, ConfigError), match=says):
        choose.path_of(name, path)


def test_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the native module the error says what to do, and the reference still runs."""
    monkeypatch.setitem(sys.modules, "awm_crank.engine._native", None)
    monkeypatch.delitem(sys.modules, "awm_crank.engine.native")
    monkeypatch.delattr("awm_crank.engine.native", raising=False)
    monkeypatch.delattr("awm_crank.engine._native", raising=False)
    with pytest.raises(EngineError, match="not built") as caught:
        choose.path_of()
    assert 'engine.kernel = "reference"' in str(caught.value)
    assert choose.path_of("reference") == "reference"
