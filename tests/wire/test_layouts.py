"""The layouts: offsets, sizes, packing and unpacking, and what they refuse."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire.pages import layout_rows

from awm_crank.errors import AccountError, LayoutError
from awm_crank.wire import ids, layouts
from awm_crank.wire.layouts import Layout

ACCOUNTS = {
    "SessionState": layouts.SESSION_STATE,
    "HiddenState": layouts.HIDDEN_STATE,
    "InputBuffer": layouts.INPUT_BUFFER,
    "FrameLog": layouts.FRAME_LOG,
    "ModelManifest": layouts.MODEL_MANIFEST,
    "WeightShard": layouts.WEIGHT_SHARD,
    "Checkpoint": layouts.CHECKPOINT,
}
BLOCKS = {
    "PlayerState": layouts.PLAYER_STATE,
    "ControllerInput": layouts.CONTROLLER_INPUT,
    "Feedback": layouts.FEEDBACK,
    "FrameBlock": layouts.FRAME_BLOCK,
    "FrameRecord": layouts.FRAME_RECORD,
}


@pytest.mark.parametrize("name", sorted(ACCOUNTS))
def test_offsets_are_the_pages(name: str) -> None:
    """Every field has the offset that docs/formats.md gives, there are no gaps, and the size equals the one in the
    heading.
    """
    size, rows = layout_rows(name)
    layout = ACCOUNTS[name]
    assert layout.size == size
    assert rows[0] == (0, 8, "discriminator")
    seen = [(offset, width, field.removesuffix(".authority")) for offset, width, field in rows[1:]]
    assert [(span.offset, span.size, field) for field, span in layout.fields.items()] == seen


def test_player_state_is_the_described_struct() -> None:
    """PlayerState's codec is the `<iiHHhhhhhHBBBBHBB` of reference/system.md."""
    assert layouts.PLAYER_STATE.body.format == "<iiHHhhhhhHBBBBHBB"


def test_sizes_of_blocks() -> None:
    """The blocks without an account have the sizes of docs/formats.md."""
    assert {name: layout.size for name, layout in BLOCKS.items()} == {
        "PlayerState": 32,
        "ControllerInput": 8,
        "Feedback": 8,
        "FrameBlock": 97,
        "FrameRecord": 96,
    }
    args = (layouts.LIFECYCLE_ARGS, layouts.INPUT_ARGS, layouts.FRAME_ARGS)
    assert [layout.size for layout in args] == [151, 45, 107]
    spans = layouts.FRAME_BLOCK.fields
    assert {name: span.offset for name, span in spans.items()} == {
        "players": 0,
        "feedback": 64,
        "inputs": 80,
        "stage": 96,
    }


def test_part_reads_adjacent_fields() -> None:
    """A part reads adjacent fields raw, and those in a tuple as one piece; a gap or another order is refused."""
    data = bytes(range(144))
    part = layouts.INPUT_BUFFER.part("frame", ("player1", "player2"), "p1_ready", "p2_ready")
    assert part.unpack(data) == (0x0B0A0908, bytes(range(12, 28)), 28, 29)
    with pytest.raises(LayoutError, match="InputBuffer; expected at least 30 bytes, found 29"):
        part.unpack(data[:29])
    for fields in (("frame", "player2"), ("player2", "player1"), ("nothing",)):
        with pytest.raises(LayoutError):
            layouts.INPUT_BUFFER.part(*fields)


def test_offset_by_name() -> None:
    """A memcmp filter finds its offset by field name, and an unknown name is refused with the known ones."""
    assert layouts.HIDDEN_STATE.offset("writer") == 54
    assert layouts.SESSION_STATE.span("players") == (82, 64)
    with pytest.raises(LayoutError, match="writer"):
        layouts.HIDDEN_STATE.offset("wirter")


def test_cut() -> None:
    """A field's bytes are cut out of the data, and data that ends earlier is refused."""
    data = bytes(range(256))
    assert layouts.HIDDEN_STATE.cut(data, "epoch") == bytes(range(86, 90))
    with pytest.raises(LayoutError, match=r"HiddenState.epoch; expected at least 90 bytes, found 89"):
        layouts.HIDDEN_STATE.cut(data[:89], "epoch")


def test_layouts_are_packed() -> None:
    """No layout has padding: the struct's format is as long as its fields."""
    for layout in {**ACCOUNTS, **BLOCKS}.values():
        assert layout.body.format.startswith("<")
        assert len(layout.discriminator) + layout.body.size == layout.size


def test_check_account() -> None:
    """Owner, discriminator and length are checked, and errors name the account."""
    layout = layouts.INPUT_BUFFER
    good = layout.discriminator.ljust(144, b"\0")
    layout.check_account(good, ids.INPUT_BUFFER, "here")
    layout.check_account(good + b"x", ids.INPUT_BUFFER, "here", tail=True)
    with pytest.raises(AccountError, match="InputBuffer here: owner; expected 3R2R"):
        layout.check_account(good, ids.WORLD, "here")
    with pytest.raises(AccountError, match="InputBuffer here: discriminator"):
        layout.check_account(bytes(144), ids.INPUT_BUFFER, "here")
    for wrong in (good[:-1], good + b"x"):
        with pytest.raises(
            LayoutError, match=f"InputBuffer here: length; expected 144 bytes, found {len(wrong)} bytes"
        ):
            layout.check_account(wrong, ids.INPUT_BUFFER, "here")
    with pytest.raises(AccountError, match="no data"):
        layout.check_account(b"", ids.INPUT_BUFFER, None)


@pytest.mark.parametrize("layout", [*ACCOUNTS.values(), *BLOCKS.values()], ids=[*ACCOUNTS, *BLOCKS])
@given(data=st.data())
def test_unpack_is_total(layout: Layout, data: st.DataObject) -> None:
    """Any bytes either unpack and pack to the same bytes, or raise LayoutError."""
    raw = layout.discriminator + data.draw(st.binary(min_size=layout.body.size, max_size=layout.body.size))
    try:
        values = layout.unpack(raw)
    except LayoutError:
        return
    assert layout.pack(values) == raw


@pytest.mark.parametrize("layout", [*ACCOUNTS.values(), *BLOCKS.values()], ids=[*ACCOUNTS, *BLOCKS])
def test_unpack_refuses_short_data(layout: Layout) -> None:
    """Data that ends early is refused, and never read past its end."""
    for size in (0, len(layout.discriminator), layout.size - 1):
        with pytest.raises(LayoutError):
            layout.unpack(bytes(size))


def test_pack_refuses_what_does_not_fit() -> None:
    """A value that is too large, or of another length or type, is refused with its field's or layout's name."""
    record = list(layouts.FRAME_RECORD.read(bytes(layouts.FRAME_RECORD.size)).values())
    assert len(layouts.FRAME_RECORD.pack(record)) == layouts.FRAME_RECORD.size
    for index, value, name in (
        (0, 1 << 32, "FrameRecord"),
        (1, bytes(7), "input1"),
        (3, 3, "source1"),
        (8, bytes(33), "player2"),
    ):
        with pytest.raises(LayoutError, match=name):
            layouts.FRAME_RECORD.pack([*record[:index], value, *record[index + 1 :]])


def test_numbers_are_little_endian() -> None:
    """A u32 has its low byte first."""
    data = bytearray(layouts.SESSION_STATE.discriminator.ljust(336, b"\0"))
    data[9:13] = struct.pack("<I", 0x01020304)
    assert layouts.SESSION_STATE.unpack(bytes(data))[1] == 0x01020304
