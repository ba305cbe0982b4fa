"""Runs a policy cartridge on the native engine. The layers are in C and give the same numbers as
`PolicyCartridge.outputs`.
"""

from __future__ import annotations

import numpy as np

from .native import policy_layer
from .policy import Ints, PolicyCartridge

_HIGH = 32767


class NativePolicy:
    """The layers of one policy cartridge, ready for the kernel.

    Raises:
        EngineError: the native engine is not built (raised at import).
    """

    def __init__(self, cartridge: PolicyCartridge) -> None:
        form, a = cartridge.format, cartridge.arrays
        shifts = (("hidden", form.s_hidden), ("trunk", form.s_trunk), ("heads", form.s_heads))
        self._layers = [
            (a[f"{name}.w"].astype("<i1").tobytes(), a[f"{name}.mul"].astype("<i4").tobytes(),
             a[f"{name}.b"].astype("<i4").tobytes(), shift)
            for name, shift in shifts
        ]  # fmt: skip

    def outputs(self, context: Ints) -> Ints:
        """Like `PolicyCartridge.outputs`."""
        values = context.ravel()
        for number, (weights, multipliers, biases, shift) in enumerate(self._layers):
            inputs = (np.clip(values, 0, _HIGH) if number else values).astype("<i2").tobytes()
            values = np.frombuffer(policy_layer(weights, multipliers, biases, inputs, shift), "<i8")
        return values.astype(np.int64)
