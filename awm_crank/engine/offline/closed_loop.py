"""Measures for how many frames two worlds that start alike stay alike, each on its own predictions.

Offline; needs torch. Three worlds run with the same inputs: the integer engine, the floating-point model, and a
control, which is that model in a smaller number format.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from awm_crank.engine import frame
from awm_crank.engine.native import NativeEngine
from awm_crank.engine.offline.torch_model import TorchModel

UNIT = 256
"""A position differs when it is further off than one unit: this many of the block's."""


@dataclass(frozen=True)
class Start:
    """The start of a match."""

    context: Sequence[bytes]
    inputs: Sequence[bytes]


@dataclass(frozen=True)
class Divergence:
    """The first differing frame of each start, counted from 1; `horizon` + 1 if no frame within `horizon` differs."""

    engine: NDArray[np.int64]
    control: NDArray[np.int64]
    horizon: int

    @property
    def medians(self) -> tuple[float, float]:
        """Median first divergence of the engine and of the control."""
        return float(np.median(self.engine)), float(np.median(self.control))

    @property
    def ratio(self) -> float:
        """Engine's median over the control's."""
        engine, control = self.medians
        return engine / control


class World(Protocol):
    """Sessions side by side in one engine or model."""

    def consume(self, blocks: Sequence[bytes]) -> Any: ...

    def heads(self, contexts: Any, blocks: Sequence[bytes], inputs: Sequence[bytes]) -> list[bytes]: ...


class IntegerWorld:
    """The integer engine's."""

    def __init__(self, engine: NativeEngine, blocks: Sequence[bytes]) -> None:
        self._engine = engine
        self._states = [engine.start_state(block) for block in blocks]

    def consume(self, blocks: Sequence[bytes]) -> list[bytes]:
        return self._engine.backbone_batch(self._states, list(blocks))

    def heads(self, contexts: list[bytes], blocks: Sequence[bytes], inputs: Sequence[bytes]) -> list[bytes]:
        return self._engine.heads_batch(contexts, list(blocks), list(inputs))


class FloatWorld:
    """A floating-point model's."""

    def __init__(self, model: TorchModel, blocks: Sequence[bytes]) -> None:
        self._model = model
        self._state = model.start_state(*blocks)

    def consume(self, blocks: Sequence[bytes]) -> Any:
        return self._model.advance(self._state, self._model.frame_vectors(blocks)[:, None])[:, 0]

    def heads(self, contexts: Any, blocks: Sequence[bytes], inputs: Sequence[bytes]) -> list[bytes]:
        return self._model.heads_batch(contexts, blocks, inputs)


def diverge(
    engine: NativeEngine,
    model: TorchModel,
    control: TorchModel,
    starts: Sequence[Start],
    *,
    tick: Callable[[str], None] = lambda _what: None,
) -> Divergence:
    """Run every start in the three worlds until more than half of both pairs have differed, or the inputs end.

    Args:
        engine: against the model, the first pair.
        model: the floating-point yardstick.
        control: against the model, the second pair; the same weights in a smaller format.
        starts: equally long contexts and equally many inputs each.
        tick: called now and then with how far it is.
    """
    worlds: list[World] = [IntegerWorld(engine, [start.context[0] for start in starts])]
    worlds += [FloatWorld(m, [start.context[0] for start in starts]) for m in (model, control)]
    for n in range(len(starts[0].context) - 1):
        for world in worlds:
            world.consume([start.context[n] for start in starts])
    blocks = [[start.context[-1] for start in starts] for _ in worlds]
    horizon = len(starts[0].inputs)
    first = np.full((2, len(starts)), horizon + 1)
    for n in range(horizon):
        pads = [start.inputs[n] for start in starts]
        blocks = [w.heads(w.consume(own), own, pads) for w, own in zip(worlds, blocks, strict=True)]
        for pair, own in zip(first, (blocks[0], blocks[2]), strict=True):
            apart = np.array([differ(a, b) for a, b in zip(own, blocks[1], strict=True)])
            pair[apart & (pair > horizon)] = n + 1
        reached = (first <= horizon).sum(1)
        if n % 50 == 49:
            tick(f"closed loop, frame {n + 1}: {reached[0]} and {reached[1]} of {len(starts)} apart")
        if (2 * reached > len(starts) + 1).all():
            break
    return Divergence(first[0], first[1], horizon)


def differ(a: bytes, b: bytes) -> bool:
    """Whether two blocks differ visibly: in an action, or in a position by more than one unit."""
    size = frame.BLOCK_SIZE
    for one, other in zip(frame.unpack(a[:size])[:2], frame.unpack(b[:size])[:2], strict=True):
        if one["action_state"] != other["action_state"]:
            return True
        if abs(one["x"] - other["x"]) > UNIT or abs(one["y"] - other["y"]) > UNIT:
            return True
    return False
