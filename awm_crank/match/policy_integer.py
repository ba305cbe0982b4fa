"""Plays with a policy cartridge: the same frames, seed and world give the same ControllerInput on every machine."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine.encoding import PLAIN, Encoding
from ..engine.policy import ANALOG, PolicyCartridge, analog_byte, is_pressed
from .players import controller, drawn
from .policy import BUTTONS, DEAD_SHOULDER, DEAD_STICK, Rule, check_world


class IntegerPolicy:
    """A policy cartridge that can play (match/policy_agent.py).

    Args:
        cartridge: the policy.
        engine: `native`, or `reference` for NumPy. Both give the same bytes.

    Raises:
        EngineError: the native engine is not built.
    """

    def __init__(self, cartridge: PolicyCartridge, engine: str = "native") -> None:
        self._outputs = cartridge.outputs
        if engine == "native":
            from ..engine.policy_native import NativePolicy

            self._outputs = NativePolicy(cartridge).outputs
        form = cartridge.format
        self.cartridge = cartridge
        self.flags = form.flags
        self.context_len = form.context_len
        self.rule = Rule(form.whole_frames, form.sampled, form.bias / 65536)

    def frame_vector(self, block: bytes, player: int, world: Encoding = PLAIN) -> Any:
        """Like `PolicyCartridge.frame_vector`."""
        return self.cartridge.frame_vector(block, player, world)

    def check_world(self, world: Encoding) -> None:
        """Like `Policy.check_world`."""
        check_world(self.flags, self.rule, world)

    def press(self, vectors: list[Any], stick_range: int, draw: tuple[int, int, int]) -> bytes:
        """The ControllerInput (8 bytes) after K frame vectors, oldest first."""
        outputs = [int(each) for each in self._outputs(np.stack(vectors))]
        steps = [analog_byte(each) for each in outputs[:ANALOG]]
        sticks = [_stick(step, stick_range) for step in steps[:4]]
        bits = [0, 0]
        for row, ((byte, bit), output) in enumerate(zip(BUTTONS, outputs[ANALOG:], strict=True)):
            level = drawn(*draw, row) if self.rule.sampled else None
            bits[byte - 6] |= bit if is_pressed(output, self.cartridge.format.bias, level) else 0
        return controller(
            sticks[0], sticks[1], c_stick_x=sticks[2], c_stick_y=sticks[3],
            trigger_l=steps[4] if steps[4] >= DEAD_SHOULDER else 0, buttons=bits[0], buttons_ext=bits[1],
        )  # fmt: skip


def _stick(step: int, stick_range: int) -> int:
    """The stick byte that means step / 255 in this world, from -128 to 127. Halves are rounded away from the centre."""
    tilt = 2 * step - 255
    if abs(tilt) < 2 * DEAD_STICK:
        return 0
    if not stick_range:
        return step - 128
    size = (2 * abs(tilt) * stick_range + 255) // 510
    return size if tilt > 0 else -size
