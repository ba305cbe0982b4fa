"""A policy cartridge: its file, its arithmetic, and the same numbers on every machine."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from engine.policies import cartridge
from hypothesis import given, settings
from hypothesis import strategies as st

from awm_crank.engine.encoding import Encoding
from awm_crank.engine.policy import HEADER, PolicyCartridge, analog_byte, is_pressed
from awm_crank.engine.seeded import Stream
from awm_crank.errors import CartridgeError, StateError
from awm_crank.wire import frame_records
from awm_crank.wire.start import start_players

MADE = cartridge(1)
BLOCK = frame_records.block(start_players(2, 20), bytes(16), bytes((80, 40, *[0] * 6)) * 2, 32)


def context(made: PolicyCartridge, seed: int) -> np.ndarray:
    """Frame vectors of noise, with the largest allowed values."""
    shape = (made.format.context_len, made.format.frame_dim)
    return Stream(seed).uniform("context", shape, -32768, 32767)


def test_round_trip() -> None:
    """A file that is built is parsed to the same parts."""
    again = PolicyCartridge.parse(MADE.data)
    assert (again.name, again.version, again.total_params) == ("noise 1", 2, 5)
    assert again.format == MADE.format
    assert all((again.arrays[name] == values).all() for name, values in MADE.arrays.items())
    assert again.sha256 == hashlib.sha256(MADE.data).digest()


@pytest.mark.parametrize("flags", [Encoding(), Encoding(state_age_as_embed=True, state_flags=True, hitstun=True)])
def test_outputs_are_exact(flags: Encoding) -> None:
    """Layers are sums, multipliers, shifts that round to the nearest, biases and cuts, as Python has them."""
    made = cartridge(7, flags=flags)
    form, a = made.format, made.arrays
    inputs = [int(v) for v in context(made, 3).ravel()]
    for layer, shift in (("hidden", form.s_hidden), ("trunk", form.s_trunk), ("heads", form.s_heads)):
        rows = zip(a[f"{layer}.w"].tolist(), a[f"{layer}.mul"].tolist(), a[f"{layer}.b"].tolist(), strict=True)
        inputs = [
            (sum(w * x for w, x in zip(row, inputs, strict=True)) * mul + 2 ** (shift - 1) >> shift) + b
            for row, mul, b in rows
        ]
        if layer != "heads":
            inputs = [min(max(v, 0), 32767) for v in inputs]
    assert made.outputs(context(made, 3)).tolist() == inputs
    assert len({*inputs}) > 8


def test_golden() -> None:
    """Policies made from fixed seeds give the same outputs on every machine; their SHA-256 is listed here."""
    digest = hashlib.sha256()
    for seed in range(4):
        made = cartridge(seed, context_len=1 + seed)
        digest.update(made.outputs(context(made, seed)).astype("<i8").tobytes())
        digest.update(made.frame_vector(BLOCK, seed & 1).astype("<i8").tobytes())
    assert digest.hexdigest() == "90a37c7026f096f6b28e2c1a11ac489d4f8ef0a2bced6ccb0a2e5c5c328844cc"


def test_analog_steps() -> None:
    """A byte is 255 · sigmoid, to the nearest, for every output."""
    for output in range(-600_000, 600_000, 997):
        exact = 255 / (1 + math.exp(-output / 65536))
        assert abs(analog_byte(output) - exact) <= 0.5001
    assert [analog_byte(v) for v in (-(1 << 40), 1 << 40)] == [0, 255]


def test_buttons() -> None:
    """Drawn buttons are held in sigmoid of all draws, in steps of 1/4,096; without a draw it is the side of 0."""
    for output in (-200_000, -65_536, 0, 30_000, 150_000):
        held = sum(is_pressed(output, 1000, draw << 52) for draw in range(4096)) / 4096
        assert held == pytest.approx(1 / (1 + math.exp(-(output + 1000) / 65536)), abs=1 / 4096)
    assert [is_pressed(v, 500, None) for v in (-501, -500, -499)] == [False, False, True]


def test_frame_vector() -> None:
    """Numbers are multiplied, shifted and cut; sticks mean what the world says; player 1 sees itself first."""
    one = 1 << MADE.format.f_in
    first, wide = MADE.frame_vector(BLOCK, 0), MADE.frame_vector(BLOCK, 0, Encoding(stick_range=80))
    names = Encoding().float_names
    x = -7680 * int(MADE.arrays["frame_mul"][names.index("x")]) + (1 << 15) >> 16
    assert first[names.index("x")] == max(x, -32768)
    at = len(names)
    assert wide[at : at + 3].tolist() == [one, one * 3 // 4, one // 2]
    assert first[at] == round(208 / 255 * one)
    other = MADE.frame_vector(BLOCK, 1)
    half = MADE.format.flags.player_floats
    assert (first[:half] == other[half : 2 * half]).all()
    blind = cartridge(1, whole_frames=False).frame_vector(BLOCK, 0)
    assert blind[at : at + 2].tolist() == [round(128 / 255 * one)] * 2
    with pytest.raises(StateError, match="frame block length"):
        MADE.frame_vector(BLOCK + bytes(2), 0)


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, 66, "magic at offset 0"), (8, 2, "format_version at offset 8; expected 1..1, found 2"),
        (12, 1, "file length"), (20, 9, "digest at offset 16"), (200, 1, "digest"),
    ],
)  # fmt: skip
def test_damage(at: int, value: int, message: str) -> None:
    """If any byte is changed, the error names the check that fails."""
    data = bytearray(MADE.data)
    data[at] = value
    with pytest.raises(CartridgeError, match=message):
        PolicyCartridge.parse(bytes(data))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(48, 255), st.integers(0, 255)), max_size=6), st.integers(0, 200))
def test_any_header(changes: list[tuple[int, int]], cut: int) -> None:
    """A header that says anything, with a digest that fits, is read or refused by one error."""
    data = bytearray(MADE.data[: len(MADE.data) - cut])
    for at, value in changes:
        data[at] = value
    data[12:16] = len(data).to_bytes(4, "little")
    digest = HEADER.span("digest")
    data[digest.offset : 48] = hashlib.sha256(data[48:]).digest()
    try:
        PolicyCartridge.parse(bytes(data))
    except CartridgeError as error:
        assert str(error).startswith("policy cartridge: ")
