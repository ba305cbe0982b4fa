"""The encoding's flags: what each adds to columns, rows and bytes, and where."""

from itertools import product

import pytest

from awm_crank.engine import frame
from awm_crank.engine.encoding import FLAGS, PLAIN, Encoding
from awm_crank.engine.layout import HEAD_ROWS

EVERY = [Encoding(**dict(zip(FLAGS, bits, strict=True))) for bits in product((False, True), repeat=len(FLAGS))]
"""All 64 combinations of flags."""


@pytest.mark.parametrize("encoding", EVERY, ids=lambda e: f"{e.flags:#04x}")
def test_sizes_of_every_combination(encoding: Encoding) -> None:
    """Each flag adds its own columns, rows and bytes, whatever the others are."""
    e = encoding
    assert Encoding.of_flags(e.flags) == e
    assert e.extra_size == 5 * e.state_flags + e.hitstun + 6 * e.projectiles <= 12
    assert e.block_size == 97 + 2 * e.extra_size
    assert e.player_floats == 29 - e.state_age_as_embed + e.hitstun + 3 * e.projectiles + 40 * e.state_flags
    assert e.player_floats == len(e.float_names) + 13
    assert e.frame_dim == 2 * (e.player_floats + 60 + 8 * e.state_age_as_embed) + 4
    assert e.ctrl_dim == 26 + 16 * e.press_events + 10 * e.ctrl_threshold_features == len(e.control_columns)
    assert e.head_rows == HEAD_ROWS + 2 * e.hitstun + 80 * e.state_flags
    assert len(e.regression_rows) == len(e.regression_names) == 24 + 2 * e.hitstun
    assert len(e.binary_rows) == len(e.binary_names) == 6 + 80 * e.state_flags
    block = frame.start_block(32, (1, 2), e.extra_size)
    player, _, _ = frame.unpack(block, e)
    assert len(frame.player_raws(player, e)) == len(e.float_names)
    assert len(frame.conditions(bytes(16), bytes(16), e)) == e.ctrl_dim


def test_flags_byte_is_the_cartridge_s() -> None:
    """state_age_as_embed keeps bit 0, and bit 1 (row_gains) is not the encoding's."""
    assert PLAIN.flags == 0
    assert Encoding(state_age_as_embed=True).flags == 1
    assert Encoding(state_flags=True).flags == 4
    assert Encoding(ctrl_threshold_features=True).flags == 64
    assert Encoding.of_flags(0b11) == Encoding(state_age_as_embed=True)


def test_hitstun_comes_before_combo() -> None:
    """Among the inputs and in the dynamics head hitstun is before combo_count; its output rows come last."""
    encoding = Encoding(hitstun=True, state_flags=True)
    names = encoding.float_names
    assert names[names.index("hitstun") + 1] == "combo_count"
    slices = encoding.head_slices()
    assert slices["dynamics_head"] == [18, 19, 1050, 20, 21, 22, 1051, 23]
    assert slices["binary_head"][:4] == [24, 25, 26, 1052] and slices["binary_head"][43:47] == [27, 28, 29, 1092]
    assert encoding.regression_names[-2:] == [(0, "hitstun"), (1, "hitstun")]


def test_press_events_are_new_buttons() -> None:
    """A press event is a button that is down now and was not in the frame before, player by player."""
    before = bytes(6) + bytes([0b11, 0]) + bytes(8)
    now = bytes(6) + bytes([0b10110, 0b101]) + bytes(6) + bytes([1, 0])
    found = frame.conditions(before, now, Encoding(press_events=True))[26:]
    assert found == [0, 0, 1, 0, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("stick_range,least", [(0, -51), (80, -31), (127, -50), (1, 0)])
def test_thresholds_are_above_three_tenths(stick_range: int, least: int) -> None:
    """An axis counts above 0.3 of its span; `least` is the smallest stick byte that does."""
    encoding = Encoding(ctrl_threshold_features=True, stick_range=stick_range)

    def above(stick: int, trigger: int) -> list[int]:
        pad = frame.CONTROLLER.pack(stick, stick, stick, stick, trigger, 0, 0, 0)
        return frame.conditions(bytes(16), pad + bytes(8), encoding)[26:31]

    assert above(least, 77) == [1] * 5
    assert above(least - 1, 76) == [0] * 5


def test_stick_range_is_a_full_tilt() -> None:
    """With a range of 80 a stick of ±80 and beyond is a full tilt, and 0 is the middle; without one, ±127 is."""
    for stick, raw in ((-128, 0), (-80, 0), (0, 80), (79, 159), (80, 160), (127, 160)):
        assert frame.controls(frame.CONTROLLER.pack(stick, 0, 0, 0, 0, 0, 0, 0), 80)[0] == raw
    assert frame.controls(frame.CONTROLLER.pack(-128, 127, 0, 0, 0, 0, 0, 0))[:2] == [0, 255]
    assert frame.spans(80) == [160] * 4 + [255] and frame.spans(0) == [255] * 5
