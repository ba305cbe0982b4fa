"""The cartridge in the package."""

from __future__ import annotations

import pytest

from awm_crank.engine import packaged
from awm_crank.errors import CartridgeError


def test_the_demos_cartridge_is_the_released_one() -> None:
    """The file has the pinned hash and the trained world's shape."""
    cartridge = packaged.demo_cartridge()
    assert cartridge.sha256.hex() == packaged.DEMO_CARTRIDGE_SHA256
    shape = cartridge.shape
    assert (shape.num_layers, shape.d_model, shape.d_state, shape.state_age_as_embed) == (3, 160, 16, True)
    assert len(cartridge.data) < 1_000_000


def test_another_cartridge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose cartridge has other bytes refuses to return it."""
    monkeypatch.setattr(packaged, "DEMO_CARTRIDGE_SHA256", "00" * 32)
    with pytest.raises(CartridgeError, match="SHA-256"):
        packaged.demo_cartridge()
