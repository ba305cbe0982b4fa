"""The engine: reads cartridges and computes the integer step. It does no I/O.

docs/numerics.md specifies the arithmetic, and docs/cartridge.md the file.
"""

from awm_crank.engine.api import Context, Engine, State
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.layout import Shape
from awm_crank.engine.reference import ReferenceEngine

__all__ = ["Cartridge", "Context", "Engine", "ReferenceEngine", "Shape", "State"]
