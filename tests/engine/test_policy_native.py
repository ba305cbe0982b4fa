"""The native layers give the reference's numbers, at the limits too, and refuse arguments that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engine.policies import cartridge
from hypothesis import given, settings
from hypothesis import strategies as st

from awm_crank.engine.encoding import Encoding
from awm_crank.engine.native import policy_layer
from awm_crank.engine.policy import Format, PolicyCartridge
from awm_crank.engine.policy_native import NativePolicy


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 300, 32767])
)
def test_reference(seed: int, context_len: int, hidden: int, trunk: int, most: int) -> None:
    """Outputs are the same for any shape and any frame vectors."""
    made = cartridge(seed, context_len=context_len, hidden=hidden, trunk=trunk, flags=Encoding(hitstun=True))
    rng = np.random.default_rng(seed)
    context = rng.integers(-most - 1, most + 1, (context_len, made.format.frame_dim))
    assert NativePolicy(made).outputs(context).tolist() == made.outputs(context).tolist()


def test_largest_numbers() -> None:
    """Sums of 65,280 products of the largest numbers, times the largest multiplier, stay exact."""
    small = cartridge(1)
    form = small.format
    count = 65_280 // form.frame_dim
    wide = Format(**{**form.__dict__, "context_len": min(count, 600), "s_hidden": 60})
    arrays = {**small.arrays}
    shape = (wide.hidden, wide.context_len * wide.frame_dim)
    arrays |= {"hidden.w": np.full(shape, -128), "hidden.mul": np.full(wide.hidden, 1 << 22)}
    made = PolicyCartridge.build(wide, arrays, name="", version=1, total_params=1)
    context = np.full((wide.context_len, wide.frame_dim), -32768)
    sums = 128 * 32768 * shape[1]
    raw = policy_layer(
        arrays["hidden.w"].astype("<i1").tobytes(), arrays["hidden.mul"].astype("<i4").tobytes(),
        arrays["hidden.b"].astype("<i4").tobytes(), context.astype("<i2").tobytes(), 1,
    )  # fmt: skip
    assert np.frombuffer(raw, "<i8").tolist() == [(sums * 2**22 + 1 >> 1) + b for b in arrays["hidden.b"].tolist()]
    assert NativePolicy(made).outputs(context).tolist() == made.outputs(context).tolist()


GOOD: tuple[Any, ...] = (bytes(6), bytes(8), bytes(8), bytes(6), 4)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, bytes(5)), (0, None), (1, bytes(7)), (1, b"\xff" * 8), (1, 3), (2, bytes(4)), (3, bytes(5)), (3, "x"),
        (3, bytes(200_000)), (4, 0), (4, 61), (4, 2**80), (4, "4"), (0, bytearray(6)),
    ],
)  # fmt: skip
def test_refused(at: int, value: object) -> None:
    """Sizes that do not fit, a shift and a multiplier out of range, and other types are refused."""
    assert policy_layer(*GOOD) == bytes(16)
    arguments = [*GOOD]
    arguments[at] = value
    with pytest.raises((TypeError, ValueError, OverflowError)):
        policy_layer(*arguments)
    with pytest.raises(TypeError):
        policy_layer(*GOOD[:4])
