"""The image, built once."""

from __future__ import annotations

import pytest
from deploy.machine import Image, build


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The files of the Docker image, built on this machine without Docker."""
    return build(tmp_path_factory.mktemp("image"))
