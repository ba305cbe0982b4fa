"""The linker lays out and relocates sections, and refuses unsuitable objects. The build is reproducible."""

from __future__ import annotations

import hashlib
import io
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.transaction_metadata import FailedTransactionMetadata
from svm.rig import PROGRAMS, TABLE, Chain, load_tool

from awm_crank.wire import bolt

build, linker = load_tool("build"), load_tool("link")
LinkError = build.link.__globals__["LinkError"]

GOOD = """
typedef unsigned char u8; typedef unsigned long long u64;
extern u64 sol_set_return_data(const u8 *, u64);
extern u64 sol_log_(const char *, u64);
static const u8 TABLE[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
__attribute__((noinline)) static u64 third(const u8 *p, u64 i) { return p[i * 3]; }
__attribute__((noinline)) static u64 pick(u64 i) { return third(TABLE, i) + TABLE[i + 1]; }
u64 entrypoint(const u8 *in) {
    u8 out[2] = {pick(*(u64 *)in & 7), pick(4)};
    sol_log_("hello", 5);
    sol_set_return_data(out, 2);
    return 0;
}
"""


def compiled(tmp_path: Path, source: str) -> Path:
    """Compiles the source, and returns the object file."""
    path = tmp_path / "program.c"
    path.write_text(source)
    return path


def sections(program: bytes) -> tuple[Any, dict[str, Any]]:
    """The ELF, and its sections by name."""
    elf = ELFFile(io.BytesIO(program))
    return elf, {s.name: s for s in elf.iter_sections()}


def test_layout_that_the_loader_takes(tmp_path: Path) -> None:
    """Addresses equal file offsets, .text is at 0x1000 with the entry inside, and each syscall and address has one
    relocation.
    """
    elf, found = sections(build.compile_program(compiled(tmp_path, GOOD)))
    assert (elf["e_type"], elf["e_machine"], elf["e_flags"]) == ("ET_DYN", "EM_BPF", 0)
    assert list(found) == ["", ".text", ".rodata", ".dynsym", ".dynstr", ".rel.dyn", ".dynamic", ".shstrtab"]
    for section in list(found.values())[1:-1]:
        assert section["sh_addr"] == section["sh_offset"]
        assert not section["sh_offset"] % 8
    text = found[".text"]
    assert text["sh_addr"] == 0x1000
    assert text["sh_addr"] <= elf["e_entry"] < text["sh_addr"] + text["sh_size"]
    assert not elf["e_entry"] % 8
    names = [s.name for s in found[".dynsym"].iter_symbols()]
    assert names == ["", "sol_log_", "sol_set_return_data"]
    kinds = sorted((r["r_info_type"], names[r["r_info_sym"]]) for r in found[".rel.dyn"].iter_relocations())
    assert kinds[-2:] == [(10, "sol_log_"), (10, "sol_set_return_data")]
    assert {kind for kind, _ in kinds[:-2]} == {8}
    tags = {t["d_tag"]: t["d_val"] for t in found[".dynamic"].iter_tags()}
    assert tags["DT_REL"] == found[".rel.dyn"]["sh_addr"]
    assert tags["DT_SYMTAB"] == found[".dynsym"]["sh_addr"]
    assert (tags["DT_RELENT"], tags["DT_SYMENT"]) == (16, 24)


def test_relocations_lead_where_they_should(tmp_path: Path) -> None:
    """In the VM, calls reach their functions and addresses their constants."""
    chain, key = Chain(), Pubkey.from_bytes(bytes([8]) * 32)
    chain.svm.add_program(key, build.compile_program(compiled(tmp_path, GOOD)))
    meta = chain.ok(Instruction(key, b"", []))
    assert bytes(meta.return_data().data) == bytes([1 + 2, 13 + 6])
    assert "hello" in str(meta.logs())


def test_addresses_point_into_rodata(tmp_path: Path) -> None:
    """Each relocated 64-bit load has two 32-bit immediates. Together they are an address inside .rodata."""
    program = build.compile_program(compiled(tmp_path, GOOD))
    _, found = sections(program)
    rodata = range(found[".rodata"]["sh_addr"], found[".rodata"]["sh_addr"] + found[".rodata"]["sh_size"])
    addresses = 0
    for rel in found[".rel.dyn"].iter_relocations():
        if rel["r_info_type"] == 8:
            low, high = (struct.unpack_from("<I", program, rel["r_offset"] + at)[0] for at in (4, 12))
            assert low | high << 32 in rodata
            addresses += 1
    assert addresses >= 2


REFUSED = {
    "u64 g; u64 entrypoint(u8 *in) { return g += *in; }": "writable data",
    "u64 g = 5; u64 entrypoint(u8 *in) { return g += *in; }": "writable data",
    "u64 missing(u64); u64 entrypoint(u8 *in) { return missing(*in); }": "undefined symbol missing",
    "extern u64 g; u64 entrypoint(u8 *in) { return g + *in; }": "not in the program",
    "u64 other(u8 *in) { return *in; }": "entrypoint",
    'static const char *const t[2] = {"a", "b"}; u64 entrypoint(u8 *in) { return t[*in & 1][0]; }': "constant data",
    '__attribute__((section("x"))) u64 f(u8 *a) { return *a; } u64 entrypoint(u8 *a) { return f(a) + 1; }': "outside",
}


@pytest.mark.parametrize("source", REFUSED)
def test_refusals(tmp_path: Path, source: str) -> None:
    """Writable data, unknown undefined symbols, pointer tables, code in other sections and a missing entry are refused
    by name.
    """
    source_path = compiled(tmp_path, "typedef unsigned char u8; typedef unsigned long long u64;\n" + source)
    with pytest.raises(LinkError, match=REFUSED[source]):
        build.compile_program(source_path)


def test_only_bpf_objects(tmp_path: Path) -> None:
    """An object file of another machine is refused."""
    path = compiled(tmp_path, "int entrypoint(void) { return 0; }")
    subprocess.run(["clang-19", "-c", path.name, "-o", "x.o"], cwd=tmp_path, check=True)
    with pytest.raises(linker.LinkError, match="not a little-endian relocatable BPF object"):
        linker.link((tmp_path / "x.o").read_bytes())


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 10_000), mask=st.integers(1, 255))
def test_damaged_programs_never_pass_for_others(at: int, mask: int) -> None:
    """A program with one changed byte has another hash than the table's."""
    data = bytearray((PROGRAMS / "run_inference.so").read_bytes())
    data[at % len(data)] ^= mask
    assert hashlib.sha256(data).hexdigest() != TABLE["run_inference"]["sha256"]


def test_committed_programs_are_the_sources() -> None:
    """Every program and the table rebuild to the committed bytes."""
    assert {n: b for n, b in build.build().items() if (PROGRAMS / n).read_bytes() != b} == {}


def test_table_names_the_files() -> None:
    """programs.json has the hash of every program file."""
    files = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in PROGRAMS.glob("*.so")}
    assert files == {name: entry["sha256"] for name, entry in TABLE.items()}


def test_another_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWM_BOLT_WORLD names the World binary that the programs' tests use. Here it names a file that is not a
    program.
    """
    assert Chain().new_world()
    monkeypatch.setenv("AWM_BOLT_WORLD", str(PROGRAMS / "submit_input.so"))
    chain = Chain()
    result = chain.send(bolt.initialize_registry(chain.payer.pubkey()))
    assert isinstance(result, FailedTransactionMetadata)
