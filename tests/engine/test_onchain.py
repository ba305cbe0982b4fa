"""The on-chain engine's packed state, unpacked."""

from __future__ import annotations

import numpy as np
import pytest

from awm_crank.engine.layout import Shape
from awm_crank.engine.onchain import dump_work, state_offset, work_size
from awm_crank.engine.reference import ReferenceEngine, ReferenceState
from awm_crank.engine.seeded import cartridge
from awm_crank.errors import StateError

ODD = Shape(d_model=37, d_inner=51, d_state=10, headdim=17, num_layers=3)


def packed(state: ReferenceState) -> bytes:
    """The run's work of a state, by the description in localnet/programs/engine/work.h, value by value."""
    out = bytearray(state_offset(ODD))
    layers, heads, rows, columns = state.h.shape
    for layer in range(layers):
        for head in range(heads):
            for row in range(0, rows, 2):
                for n in range(columns):
                    low = int(state.h[layer, head, row, n]) + 32768
                    high = (int(state.h[layer, head, row + 1, n]) if row + 1 < rows else 0) + 32768
                    out += (low | high << 32).to_bytes(8, "little")
    for layer in range(layers):
        slots = [b""] * 3
        for age in range(3):  # the oldest input is in slot step mod 3 of the ring
            slots[(state.step + age) % 3] = state.tail[layer, age].astype("<i8").tobytes()
        out += b"".join(slots)
    return bytes(out)


@pytest.mark.parametrize("step", [0, 1, 2, 2**32 - 1])
def test_unpacks_what_the_program_packs(step: int) -> None:
    """States are unpacked correctly for odd numbers of rows, every position of the ring, and the limits of 16 bits."""
    draw = np.random.default_rng(step % 7)
    h = draw.integers(-32768, 32768, (3, 3, 17, 10), dtype=np.int64).astype(np.int32)
    tail = draw.integers(-32768, 32768, (3, 3, ODD.conv_dim), dtype=np.int64).astype(np.int32)
    state = ReferenceState(h, tail, step)
    work = packed(state)
    assert len(work) == work_size(ODD)
    assert dump_work(ODD, work, step) == ReferenceEngine(cartridge(ODD, 1)).dump(state)


def test_refuses_another_length() -> None:
    """Another shape's work is not read wrong."""
    with pytest.raises(StateError, match="work of a run"):
        dump_work(ODD, bytes(work_size(ODD) + 8), 0)
