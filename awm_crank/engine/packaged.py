"""The demo's cartridge, which comes with the package."""

from __future__ import annotations

from importlib.resources import files

from .cartridge import Cartridge

DEMO_CARTRIDGE_SHA256 = "7d646f7bd10ebd03352e61673b9aef69f3310a09e81913365b60d6f63ad98ffa"


def demo_cartridge() -> Cartridge:
    """The cartridge of the demo's world.

    Raises:
        CartridgeError: the file in the package is not the one that was released.
    """
    data = (files("awm_crank") / "engine" / "data" / "demo.awm").read_bytes()
    return Cartridge.parse(data, sha256=bytes.fromhex(DEMO_CARTRIDGE_SHA256))
