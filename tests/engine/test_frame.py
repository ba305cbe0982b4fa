"""Frame blocks: range checks, features, and decoding of predictions."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.engine import frame
from awm_crank.errors import StateError
from awm_crank.wire.start import start_players

START = frame.start_block(32, (1, 2))
FRAC = [8] * 24
STILL = [0] * 18 + [0, 4 << 8, 0] * 2 + [1, -1, 1, -1, -1, 1]
CLASSES = [14, 2, 0, 0, 0, 0] * 2


def changed(offset: int, value: bytes) -> bytes:
    """The start block with other bytes at an offset."""
    return START[:offset] + value + START[offset + len(value) :]


def test_start_block_is_the_chain_s() -> None:
    """Frame 0 is the start position that JOIN writes (docs/formats.md), for both players."""
    first = struct.pack("<iiHHhhhhhHBBBBHBB", -7680, 0, 0, 15360, 0, 0, 0, 0, 0, 0, 0, 4, 1, 1, 14, 2, 1)
    second = struct.pack("<iiHHhhhhhHBBBBHBB", 7680, 0, 0, 15360, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 14, 2, 2)
    assert START[:64] == first + second == start_players(1, 2)
    assert START[64:96] == bytes(32)
    assert START[96] == 32


@pytest.mark.parametrize(
    ("offset", "value", "field"),
    [
        (0, struct.pack("<i", 2**24 + 1), "player 1, x"),
        (36, struct.pack("<i", -(2**24) - 1), "player 2, y"),
        (8, struct.pack("<H", 1000), "player 1, percent"),
        (10, struct.pack("<H", 15361), "shield_strength"),
        (25, b"\5", "stocks"),
        (26, b"\2", "facing"),
        (27, b"\2", "on_ground"),
        (60, struct.pack("<H", 400), "player 2, action_state"),
        (30, b"\x08", "jumps_left"),
        (31, b"\x21", "character"),
        (65, b"\2", "invulnerable"),
        (67, b"\3", "l_cancel"),
        (68, b"\3", "hurtbox"),
        (69, b"\x20", "ground"),
        (70, b"\x40", "last_attack"),
        (79, b"\1", "player 2, reserved"),
        (96, b"\x21", "stage"),
    ],
)
def test_fields_out_of_range_are_refused(offset: int, value: bytes, field: str) -> None:
    """Each field of section 9 is checked, and the refusal names it."""
    with pytest.raises(StateError, match=field):
        frame.unpack(changed(offset, value))


@given(st.binary(max_size=120))
def test_any_bytes_unpack_or_are_refused(data: bytes) -> None:
    """Noise gives fields or a StateError, and nothing else."""
    try:
        first, _, stage = frame.unpack(data)
    except StateError:
        return
    assert len(data) == 97 and stage <= 32 and first["stocks"] <= 4


def test_controls_read_the_described_bits() -> None:
    """Sticks shift to 0..255, the larger trigger is the shoulder, and only the eight modelled buttons are read."""
    assert frame.controls(bytes(8)) == [128] * 4 + [0] * 9
    raw = struct.pack("<bbbbBBBB", -128, 127, -1, 1, 3, 200, 0b11101010, 0b0110)
    assert frame.controls(raw) == [0, 255, 127, 129, 200, 0, 1, 0, 1, 0, 1, 0, 0]
    assert frame.controls(bytes(7) + b"\x09")[-3:] == [0, 1, 1]


def test_still_prediction_changes_only_ages_and_inputs() -> None:
    """A prediction without deltas and with the same classes changes only state_age and the inputs."""
    block = frame.decode(START, STILL, CLASSES, FRAC, b"\x11" * 16)
    first, second, stage = frame.unpack(block)
    old = frame.unpack(START)
    assert {**first, "state_age": 0} == {**old[0], "invulnerable": 0}
    assert (first["state_age"], second["state_age"], stage) == (1, 1, 32)
    assert block[80:96] == b"\x11" * 16


def test_deltas_add_and_round_half_up() -> None:
    """A delta of 1.5 units at 8 fraction bits adds 2, one of -1.5 subtracts 1, and percent carries its fraction."""
    outputs = list(STILL)
    outputs[0], outputs[1], outputs[5], outputs[8] = 300 << 8, 384, -384, -(5 << 8)
    first, second, _ = frame.unpack(frame.decode(START, outputs, CLASSES, FRAC, bytes(16)))
    assert (first["percent"], first["percent_frac"]) == (1, 44)
    assert first["x"] == -30 * 256 + 2
    assert second["x"] == 30 * 256 - 1
    assert first["speed_air_x"] == -5


@pytest.mark.parametrize("sign", [-1, 1])
def test_everything_is_clamped(sign: int) -> None:
    """Predictions beyond the ranges are clamped to them."""
    outputs = [sign * (2**31 - 1)] * 24 + [sign] * 6
    first, _, _ = frame.unpack(frame.decode(START, outputs, CLASSES, [1] * 24, bytes(16)))
    low = sign < 0
    assert (first["percent"], first["percent_frac"]) == ((0, 0) if low else (999, 0))
    assert first["x"] == (-76800 if low else 76800)
    assert first["y"] == (-51200 if low else 76800)
    assert first["shield_strength"] == (0 if low else 15360)
    assert first["speed_y"] == (-32768 if low else 32767)
    assert (first["hitlag"], first["stocks"], first["combo_count"]) == ((0, 0, 0) if low else (50, 4, 50))
    assert first["facing"] == first["invulnerable"] == first["on_ground"] == (0 if low else 1)


def test_state_age_restarts_with_the_action_and_ends_at_its_limit() -> None:
    """state_age is 0 in a new action, and stops at 65,535."""
    other = [15, *CLASSES[1:]]
    aged = changed(22, struct.pack("<H", 65535))
    assert frame.unpack(frame.decode(aged, STILL, other, FRAC, bytes(16)))[0]["state_age"] == 0
    assert frame.unpack(frame.decode(aged, STILL, CLASSES, FRAC, bytes(16)))[0]["state_age"] == 65535


def test_inputs_of_another_length_are_refused() -> None:
    """The inputs must be exactly sixteen bytes."""
    with pytest.raises(StateError, match="inputs length"):
        frame.decode(START, STILL, CLASSES, FRAC, bytes(15))


def test_categorical_rows_fill_the_heads_matrix() -> None:
    """The twelve categorical heads follow the 30 other rows, without gaps, up to row 1,050."""
    rows = frame.categorical_rows()
    assert [rows[0][1], rows[-1][2]] == [30, 1050]
    assert all(a[2] == b[1] for a, b in pairwise(rows))
    assert rows[6][0] == "p1_action"
