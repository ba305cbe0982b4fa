"""A localnet for this folder's tests, and a place on it for each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from daemon.rig import Place

from awm_crank.localnet.rig import EmbeddedLocalnet


@pytest.fixture(scope="session")
def net() -> Iterator[EmbeddedLocalnet]:
    """One localnet for all."""
    with EmbeddedLocalnet() as running:
        yield running


@pytest.fixture
async def place(net: EmbeddedLocalnet, tmp_path: Path) -> AsyncIterator[Place]:
    """A published cartridge whose matches last, and fresh keys."""
    made = await Place.make(net, tmp_path)
    yield made
    await made.close()
