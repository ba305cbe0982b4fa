"""Fixtures of the localnet's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from localnet.kit import Node

from awm_crank.localnet.rig import EmbeddedLocalnet


@pytest.fixture
def node() -> Node:
    """An in-process bank."""
    return Node()


@pytest.fixture(scope="module")
def net() -> Iterator[EmbeddedLocalnet]:
    """A localnet process with all programs."""
    with EmbeddedLocalnet() as running:
        yield running
