"""Which engine computes: the native kernel, or the NumPy reference where somebody asks for it."""

from __future__ import annotations

from awm_crank.engine.api import Engine
from awm_crank.engine.cartridge import Cartridge
from awm_crank.errors import ConfigError

NAMES = ("native", "reference")


def path_of(name: str = "native", path: str = "auto") -> str:
    """The path that computes: "reference", or one of the native kernel's.

    Args:
        name: one of `NAMES`.
        path: the native kernel's instruction set; `auto` is the best that this machine has.

    Raises:
        EngineError: the native kernel is not built, or the path cannot run here. Nothing takes its place.
        ConfigError: no engine has that name, or a path is named for the reference, which has none.
    """
    if name == "native":
        # importing it where it is not built raises
        from awm_crank.engine import native

        return native.choose(None if path == "auto" else path)
    if name != "reference":
        raise ConfigError(f"no engine is called {name!r}", hint=f"one of {', '.join(NAMES)}")
    if path != "auto":
        raise ConfigError(
            f"engine.path {path!r}", expected='"auto" with engine.kernel = "reference"',
            hint="paths are the native kernel's",
        )  # fmt: skip
    return "reference"


def build(cartridge: Cartridge, name: str = "native", path: str = "auto", threads: int = 1) -> Engine:
    """An engine for a cartridge. All compute the same bytes (docs/numerics.md).

    Args:
        threads: that work on one step, of the native kernel's.

    Raises:
        EngineError, ConfigError: as `path_of`.
        CartridgeError: the kernel does not take the cartridge.
    """
    chosen = path_of(name, path)
    if chosen == "reference":
        from awm_crank.engine.reference import ReferenceEngine

        return ReferenceEngine(cartridge)
    from awm_crank.engine.native import NativeEngine

    return NativeEngine(cartridge, chosen, threads)
