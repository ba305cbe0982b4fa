"""Models: cartridges and the integer step.

This room is pure. docs/numerics.md is the contract of its arithmetic, docs/cartridge.md describes the file.
"""

from awm_crank.engine.api import Context, Engine, State
from awm_crank.engine.cartridge import Cartridge
from awm_crank.engine.layout import Shape
from awm_crank.engine.reference import ReferenceEngine

__all__ = ["Cartridge", "Context", "Engine", "ReferenceEngine", "Shape", "State"]
