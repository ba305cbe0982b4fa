"""The C programs' headers agree with the codecs: the same bytes, ids and errors."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from svm.rig import SOURCES, TABLE, Error

from awm_crank.wire.contract import OURS_ERRORS, PROGRAM_IDS, STRUCTS

HEADER: dict[str, dict[str, tuple[int, int]]] = {}
_TEXT = (SOURCES / "include" / "awm_layout.h").read_text()
for _struct, _field, _offset, _size in re.findall(r"^AT\((\w+), (\w+), (\d+), (\d+)\);", _TEXT, re.MULTILINE):
    HEADER.setdefault(_struct, {})[_field] = int(_offset), int(_size)
SIZES = dict(re.findall(r"^SIZE\((\w+), (\d+)\);", _TEXT, re.MULTILINE))


@pytest.mark.parametrize("name", [name for name in STRUCTS if name in HEADER])
def test_header_equals_the_codec(name: str) -> None:
    """The generated header asserts every field of every struct at the place where the codec reads it."""
    fields = {field.name: (field.offset, field.size) for field in STRUCTS[name].fields}
    assert {field: place for field, place in HEADER[name].items() if field != "discriminator"} == fields
    assert int(SIZES[name]) == STRUCTS[name].size


def test_header_has_every_struct() -> None:
    """The header has every struct except those of the cartridge files, which no program but the engine reads."""
    assert set(STRUCTS) - set(HEADER) == {"LayerBlock", "TensorEntry", "CartridgeHeader", "PolicyHeader"}


def test_ids_are_the_contracts() -> None:
    """programs.json names the contract's programs."""
    assert {name: entry["program_id"] for name, entry in TABLE.items()} == PROGRAM_IDS


def test_discriminators_are_their_hashes() -> None:
    """discriminators.h holds the hash's first eight bytes as the little-endian u64 that a load gives."""
    text = (SOURCES / "include" / "discriminators.h").read_text()
    expected = hashlib.sha256(b"global:bolt_execute").digest()[:8]
    assert expected.hex() == "4bce3ed234d7686d"
    assert f"IX_BOLT_EXECUTE {int.from_bytes(expected, 'little'):#x}ULL" in text


def test_errors_are_the_codecs() -> None:
    """The C enum has the contract's names and numbers."""
    assert {error.value: error.name for error in Error} == {code: error.name for code, error in OURS_ERRORS.items()}


def test_every_error_is_triggered() -> None:
    """At least one test in this folder expects each numbered error."""
    source = "".join(p.read_text() for p in Path(__file__).parent.glob("test_*.py"))
    assert {e.name for e in Error} - set(re.findall(r"Error\.(\w+)", source)) == set()
