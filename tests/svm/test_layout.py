"""One truth in three places: awm_layout.h, docs/formats.md and the codecs name the same bytes; so do ids and errors."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from svm.rig import SOURCES, TABLE, Error, load_tool

from awm_crank.wire import ids

ROOT = SOURCES.parents[1]
FORMATS = (ROOT / "docs" / "formats.md").read_text()
IDL = ROOT / "idl"
HEADER: dict[str, dict[str, tuple[int, int]]] = {}
for _struct, _field, _offset, _size in re.findall(
    r"^AT\((\w+), (\w+), (\d+), (\d+)\);", (SOURCES / "include" / "awm_layout.h").read_text(), re.MULTILINE
):
    HEADER.setdefault(_struct, {})[_field] = int(_offset), int(_size)
SIZES = dict(re.findall(r"^SIZE\((\w+), (\d+)\);", (SOURCES / "include" / "awm_layout.h").read_text(), re.MULTILINE))
ACCOUNTS = ["SessionState", "HiddenState", "InputBuffer", "FrameLog", "ModelManifest", "WeightShard", "Checkpoint"]


def documented(struct: str) -> dict[str, tuple[int, int]]:
    """field -> (offset, size) of a struct's table in docs/formats.md, with the header's names."""
    heading = re.search(
        rf"^### {struct} — ([\d,]+) bytes.*?$(.*?)(?=^\S*#|^\*\*|\Z)", FORMATS, re.MULTILINE | re.DOTALL
    )
    assert heading, struct
    assert int(heading.group(1).replace(",", "")) == int(SIZES[struct])
    rows = re.findall(r"^\| (\d+) \| (\d+) \| ([\w.]+) \|", heading.group(2), re.MULTILINE)
    fields = {}
    for offset, size, name in rows:
        metadata = "metadata_authority" if "metadata_authority" in HEADER[struct] else "authority"
        name = metadata if name == "bolt_metadata.authority" else name
        fields["reserved2" if name in fields else name] = int(offset), int(size)
    return fields


@pytest.mark.parametrize("struct", ACCOUNTS)
def test_header_equals_the_docs(struct: str) -> None:
    """Every field of every account stands where its table says, and none is missing on either side."""
    assert documented(struct) == HEADER[struct]


def test_every_field_is_asserted() -> None:
    """The asserted fields of each struct cover it without a gap."""
    for struct, fields in HEADER.items():
        end = 0
        for offset, size in sorted(fields.values()):
            assert offset == end, struct
            end = offset + size
        assert end == int(SIZES[struct])


@pytest.mark.parametrize("struct", ACCOUNTS)
def test_header_equals_the_idl(struct: str) -> None:
    """The IDLs' structs, laid out by Borsh, put the same names at the same offsets."""
    types, found = {}, None
    for path in IDL.glob("*.json"):
        idl = json.loads(path.read_text())
        types = {t["name"]: t["type"] for t in idl.get("types", [])}
        if struct in types:
            found = types
            break
    assert found, f"no IDL has {struct}"

    def size(kind: object) -> int:
        if isinstance(kind, str):
            return {
                "bool": 1,
                "u8": 1,
                "i8": 1,
                "u16": 2,
                "i16": 2,
                "i32": 4,
                "u32": 4,
                "u64": 8,
                "i64": 8,
                "pubkey": 32,
            }[kind]
        assert isinstance(kind, dict)
        if "array" in kind:
            return size(kind["array"][0]) * int(kind["array"][1])
        defined = kind["defined"]
        name = defined["name"] if isinstance(defined, dict) else defined
        return sum(size(f["type"]) for f in found[name]["fields"])

    offset, fields = 8, {}
    for entry in found[struct]["fields"]:
        length = size(entry["type"])
        fields[entry["name"]] = offset, length
        offset += length
    places = list(HEADER[struct].values())[1:]
    assert list(fields.values()) == places
    assert [n for n in fields if n in HEADER[struct]] == [n for n in HEADER[struct] if n in fields]


def test_ids_are_the_codecs() -> None:
    """constants.py, programs.json and wire.ids name the same programs."""
    constants = load_tool("constants")
    assert {n: e["program_id"] for n, e in TABLE.items()} == constants.PROGRAMS
    for name, key in {**constants.PROGRAMS, **constants.OTHER_IDS}.items():
        assert str(getattr(ids, name.upper())) == key
        assert constants.base58_32(key) == bytes(getattr(ids, name.upper()))


def test_generated_headers_are_current() -> None:
    """ids.h and discriminators.h are what constants.py writes; a discriminator is the hash's first eight bytes."""
    constants = load_tool("constants")
    assert (SOURCES / "include" / "ids.h").read_text() == constants.ids_header()
    text = (SOURCES / "include" / "discriminators.h").read_text()
    assert text == constants.discriminators_header()
    expected = hashlib.sha256(b"global:bolt_execute").digest()[:8]
    assert expected.hex() == "4bce3ed234d7686d"
    assert f"IX_BOLT_EXECUTE {int.from_bytes(expected, 'little'):#x}ULL" in text


def test_errors_are_the_docs() -> None:
    """The C enum and the table of docs/formats.md have the same names and numbers."""
    table = re.findall(r"^\| (6\d{3}) \| (\w+)", FORMATS, re.MULTILINE)
    assert {name: int(code) for code, name in table} == {e.name: e.value for e in Error}


def test_errors_are_the_idls() -> None:
    """An error that an IDL names has this number there."""
    seen = set()
    for path in IDL.glob("*.json"):
        if path.stem == "world":
            continue
        for error in json.loads(path.read_text()).get("errors", []):
            assert Error[error["name"]] == error["code"], path.name
            seen.add(error["name"])
    assert seen == {e.name for e in Error}


def test_every_error_is_triggered() -> None:
    """Each numbered error is expected by at least one test here."""
    source = "".join(p.read_text() for p in Path(__file__).parent.glob("test_*.py"))
    assert {e.name for e in Error} - set(re.findall(r"Error\.(\w+)", source)) == set()
