"""Which engine a command runs: the native kernel, or the NumPy reference where somebody asks for it."""

from __future__ import annotations

from awm_crank.engine.api import Engine
from awm_crank.engine.cartridge import Cartridge
from awm_crank.errors import ConfigError

NAMES = ("native", "reference")


def build(cartridge: Cartridge, name: str = "native") -> Engine:
    """An engine for a cartridge, by name. Both compute the same bytes (docs/numerics.md).

    Raises:
        EngineError: the native engine is not built; never replaced silently by the reference, which is far slower.
        ConfigError: no engine has that name.
    """
    if name == "native":
        from awm_crank.engine.native import NativeEngine

        return NativeEngine(cartridge)
    if name == "reference":
        from awm_crank.engine.reference import ReferenceEngine

        return ReferenceEngine(cartridge)
    raise ConfigError(f"no engine is called {name!r}", hint=f"one of {', '.join(NAMES)}")
