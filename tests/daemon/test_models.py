"""Which engine computes: the configured one or none."""

from __future__ import annotations

import sys

import pytest
from solders.keypair import Keypair

from awm_crank import config
from awm_crank.daemon.models import engine_path, make_engine
from awm_crank.daemon.path import Daemon
from awm_crank.engine import ReferenceEngine
from awm_crank.engine.frame import start_block
from awm_crank.engine.native import NativeEngine, choose
from awm_crank.engine.seeded import SHAPES, cartridge
from awm_crank.errors import AwmError, ConfigError, EngineError
from awm_crank.wire.transaction import Signer

MADE = cartridge(SHAPES["tiny"], 1)


def test_native() -> None:
    """By default the native kernel computes, on its best path, or on the one that is named."""
    engine = make_engine(MADE, config.Engine())
    assert isinstance(engine, NativeEngine)
    assert engine.path == choose() == engine_path(config.Engine())
    plain = make_engine(MADE, config.Engine(path="plain", threads=2))
    assert isinstance(plain, NativeEngine)
    assert (plain.path, plain.threads) == ("plain", 2)


def test_reference() -> None:
    """The reference computes where it is configured, to the same bits."""
    settings = config.Engine(kernel="reference")
    reference, native = make_engine(MADE, settings), make_engine(MADE, config.Engine())
    assert isinstance(reference, ReferenceEngine)
    assert engine_path(settings) == "reference"
    block = start_block(32, (1, 20))
    assert reference.dump(reference.start_state(block)) == native.dump(native.start_state(block))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (config.Engine(path="neonx"), "neonx"),
        (config.Engine(path="neon" if choose() != "neon" else "avx2"), "cannot run on this machine"),
        (config.Engine(kernel="reference", path="avx2"), "engine.path"),
    ],
)
def test_no_replacement(settings: config.Engine, says: str) -> None:
    """A path that is none, or cannot run here, or belongs to the other kernel, is refused before anything starts."""
    with pytest.raises((EngineError, ConfigError), match=says):
        Daemon(config.Config(engine=settings), Signer(bytes(Keypair())))


def test_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the native module the daemon refuses to start and says what to do; the reference still runs."""
    monkeypatch.setitem(sys.modules, "awm_crank.engine._native", None)
    monkeypatch.delitem(sys.modules, "awm_crank.engine.native")
    monkeypatch.delattr("awm_crank.engine.native", raising=False)
    monkeypatch.delattr("awm_crank.engine._native", raising=False)
    with pytest.raises(AwmError, match="not built") as caught:
        engine_path(config.Engine())
    assert 'engine.kernel = "reference"' in str(caught.value)
    assert engine_path(config.Engine(kernel="reference")) == "reference"
