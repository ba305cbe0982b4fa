"""Chooses the engine: the native kernel, or the NumPy reference if the user asks for it."""

from __future__ import annotations

from awm_crank.engine.api import Engine
from awm_crank.engine.cartridge import Cartridge
from awm_crank.errors import ConfigError

NAMES = ("native", "reference")


def path_of(name: str = "native", path: str = "auto") -> str:
    """Returns what will compute: "reference", or the name of the native kernel's instruction set.

    Args:
        name: one of `NAMES`.
        path: the native kernel's instruction set; `auto` means the best that this machine has.

    Raises:
        EngineError: the native kernel is not built, or cannot run with this instruction set. No other engine is tried.
        ConfigError: no engine has that name, or an instruction set is named for the reference, which has none.
    """
    if name == "native":
        # the import raises if the module is not built
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
    """Builds an engine for a cartridge. All engines compute the same bytes (docs/numerics.md).

    Args:
        threads: how many threads of the native kernel work on one step.

    Raises:
        EngineError, ConfigError: as `path_of`.
        CartridgeError: the kernel refuses the cartridge.
    """
    chosen = path_of(name, path)
    if chosen == "reference":
        from awm_crank.engine.reference import ReferenceEngine

        return ReferenceEngine(cartridge)
    from awm_crank.engine.native import NativeEngine

    return NativeEngine(cartridge, chosen, threads)
