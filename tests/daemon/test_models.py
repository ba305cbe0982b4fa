"""The configured engine computes, or the crank does not start."""

from __future__ import annotations

import pytest
from solders.keypair import Keypair

from awm_crank import config
from awm_crank.daemon.crank import Daemon
from awm_crank.engine.native import choose
from awm_crank.errors import ConfigError, EngineError
from awm_crank.wire.transaction import Signer


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (config.EngineConfig(path="neonx"), "neonx"),
        (config.EngineConfig(path="neon" if choose() != "neon" else "avx2"), "cannot run on this machine"),
        (config.EngineConfig(kernel="reference", path="avx2"), "engine.path"),
    ],
)
def test_no_replacement(settings: config.EngineConfig, says: str) -> None:
    """A path that does not exist, cannot run here, or belongs to the other kernel is refused before anything starts."""
    with pytest.raises((EngineError, ConfigError), match=says):
        Daemon(config.Config(engine=settings), Signer(bytes(Keypair())))
