"""The localnet that this folder's tests share, and a separate place on it for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from daemon.rig import Place

from awm_crank.localnet.rig import EmbeddedLocalnet


@pytest.fixture(scope="session")
def net() -> Iterator[EmbeddedLocalnet]:
    """One localnet for all tests of this folder."""
    with EmbeddedLocalnet() as running:
        yield running


@pytest.fixture
async def place(net: EmbeddedLocalnet, tmp_path: Path) -> AsyncIterator[Place]:
    """A published cartridge, fresh keys, and matches long enough to be disturbed."""
    made = await Place.make(net, tmp_path)
    yield made
    await made.close()
