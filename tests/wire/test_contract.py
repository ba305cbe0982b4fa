"""The contract agrees with the published description, and its structs are packed."""

from __future__ import annotations

import struct

import pytest

from awm_crank.wire.contract import STRUCTS

# reference/system.md: the layouts that existed before this project, in the notation of Python's struct
DESCRIBED = {
    "PlayerState": "iiHHhhhhhHBBBBHBB",
    "ControllerInput": "bbbbBBBB",
    "SessionState": "BII32s32sB64s32sqqQ",
    "HiddenState": "BHHIIB",
    "InputBuffer": "I8s8sBB",
    "FrameLog": "HI32s",
    "ModelManifest": "32sHHHHBBB128s16s32s32s1024sBHBH32sBII",
    "WeightShard": "BI32sB32s",
}


@pytest.mark.parametrize("name", DESCRIBED)
def test_described_fields_never_move(name: str) -> None:
    """The published part of a layout comes first, and is byte for byte unchanged."""
    described = struct.Struct("<" + DESCRIBED[name])
    assert STRUCTS[name].format.startswith("<" + DESCRIBED[name])
    ends = [field.offset + field.size - len(STRUCTS[name].discriminator) for field in STRUCTS[name].fields]
    assert described.size in ends


def test_fields_are_packed() -> None:
    """Every struct's fields follow each other without a gap, and its format is as long as its fields."""
    for each in STRUCTS.values():
        at = len(each.discriminator)
        assert struct.calcsize(each.format) + at == each.size
        for field in each.fields:
            assert field.offset == at, f"{each.name}.{field.name}"
            at += field.size
        assert at == each.size


def test_field_by_name() -> None:
    """A struct returns a field by its name, and raises KeyError for an unknown name."""
    assert STRUCTS["FrameRecord"]("stage").offset == 22
    with pytest.raises(KeyError):
        STRUCTS["FrameRecord"]("stages")
