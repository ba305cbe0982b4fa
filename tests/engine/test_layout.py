"""Sizes and offsets of a cartridge."""

from awm_crank.engine import layout
from awm_crank.engine.encoding import Encoding
from awm_crank.engine.layout import HEADER, HEADER_SIZE, LAYER, Shape
from awm_crank.engine.seeded import SHAPES


def test_header_and_layer_have_the_documented_sizes() -> None:
    """The header is 2,048 bytes, and 16 layer blocks of 40 bytes fit where docs/cartridge.md puts them."""
    assert HEADER.size == HEADER_SIZE == 2048
    assert LAYER.size == 40
    assert 1264 + 16 * LAYER.size == 1904


def test_derived_sizes_of_the_trained_shape() -> None:
    """The trained checkpoint's sizes are those of the system's description."""
    shape = SHAPES["4.3M"]
    assert (shape.num_heads, shape.conv_dim, shape.proj_rows) == (12, 896, 1676)
    assert shape.state_values == 207_360
    assert shape.state_size == 2 * 207_360 + 4
    assert shape.frame_dim == 182


def test_state_age_as_embed_moves_a_column() -> None:
    """With the flag, each player has one float less and eight embedding columns more."""
    assert Shape(64, 128, 16, 64, 1, encoding=Encoding(state_age_as_embed=True)).frame_dim == 196


def test_readout_shift_keeps_the_sum_in_int32() -> None:
    """N/2 pair products below 2^31, shifted by e, add up to less than 2^31."""
    for d_state in range(2, 258, 2):
        shift = Shape(64, 128, d_state, 64, 1).read_shift
        largest = (2 * 32768 * 32766 >> shift) + 1
        assert d_state // 2 * largest < 2**31


def test_tensors_stand_behind_each_other_aligned() -> None:
    """Offsets are multiples of 64, do not overlap, and end at the file's size."""
    specs = layout.tensors(SHAPES["demo"])
    places, size = layout.offsets(specs)
    assert len(specs) == 16 + 14 * 2
    end = HEADER_SIZE + 8 * len(specs)
    for spec, offset in zip(specs, places, strict=True):
        assert offset % 64 == 0
        assert 0 <= offset - end < 64
        end = offset + spec.size
    assert end == size
