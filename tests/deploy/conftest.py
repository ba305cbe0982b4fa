"""The image, built once."""

from __future__ import annotations

import pytest
from deploy.machine import Image, build


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """What the Dockerfile builds, on this machine."""
    return build(tmp_path_factory.mktemp("image"))
