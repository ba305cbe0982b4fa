"""The contract: the generated files are what it says, and what it says is what the published description says."""

from __future__ import annotations

import struct
import subprocess
import sys

import pytest
from wire.pages import ROOT

from awm_crank.wire.contract import STRUCTS


def generate(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "generate.py"), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_generated_files_are_current() -> None:
    """`tools/generate.py --check` finds every generated file as the contract says."""
    done = generate("--check")
    assert done.returncode == 0, done.stdout + done.stderr


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
    """The published part of a layout comes first and is byte for byte what it was."""
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
    """A struct gives a field by its name, and KeyError for a name it lacks."""
    assert STRUCTS["FrameRecord"]("stage").offset == 22
    with pytest.raises(KeyError):
        STRUCTS["FrameRecord"]("stages")
