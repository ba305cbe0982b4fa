"""One localnet for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from client.localnet import Arena
from client.localnet import arena as start


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    """Starts a localnet with a world and a small published model."""
    with start() as made:
        yield made
