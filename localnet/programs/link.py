"""Links one relocatable BPF object into the ELF shared object that Solana's loader takes (SBPF v0).

Debian's lld has no BPF target. The object is one translation unit compiled by clang for `bpfel`; the result has .text
at 0x1000, .rodata behind it, section addresses equal to file offsets, and the dynamic relocations that the loader
knows: R_BPF_64_RELATIVE for addresses, R_BPF_64_32 by name for syscalls.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from typing import Any

from elftools.elf.elffile import ELFFile

TEXT_OFFSET = 0x1000
EM_BPF = 247
R_BPF_64_64, R_BPF_64_RELATIVE, R_BPF_64_32 = 1, 8, 10
SHT_PROGBITS, SHT_STRTAB, SHT_DYNAMIC, SHT_REL, SHT_DYNSYM = 1, 3, 6, 9, 11
PT_LOAD, PT_DYNAMIC = 1, 2
OP_CALL = 0x85
# what the loader resolves; anything else undefined is a mistake that would only show when the program runs
SYSCALLS = """
sol_memcpy_ sol_memmove_ sol_memset_ sol_memcmp_ sol_sha256 sol_invoke_signed_c sol_set_return_data sol_get_return_data
sol_try_find_program_address sol_create_program_address sol_get_rent_sysvar sol_get_clock_sysvar
sol_log_ sol_log_64_ sol_log_compute_units_ sol_log_pubkey sol_matmul_i8
"""


class LinkError(Exception):
    """The object cannot become a program: says which section, symbol or relocation."""


@dataclass
class Layout:
    """Where the object's sections go: index of the section in the object -> file offset, and the bytes."""

    text: bytearray
    rodata: bytearray = field(default_factory=bytearray)
    place: dict[int, int] = field(default_factory=dict)


def align(value: int, to: int) -> int:
    """The next multiple."""
    return -(-value // to) * to


def place_sections(elf: Any) -> Layout:
    """Takes .text and every .rodata*; refuses what the loader would refuse or silently drop."""
    layout: Layout | None = None
    for index, section in enumerate(elf.iter_sections()):
        if section.name == ".text":
            layout = Layout(bytearray(section.data()))
            layout.place[index] = TEXT_OFFSET
    if layout is None or not layout.text:
        raise LinkError("no .text section")
    base = align(TEXT_OFFSET + len(layout.text), 8)
    for index, section in enumerate(elf.iter_sections()):
        flags, name = section["sh_flags"], section.name
        if not flags & 2 or not section["sh_size"] or name == ".text":  # SHF_ALLOC
            continue
        if flags & 1 or section["sh_type"] == "SHT_NOBITS":  # SHF_WRITE
            raise LinkError(f"writable data in section {name}: a program has no globals")
        if flags & 4:  # SHF_EXECINSTR
            raise LinkError(f"code outside .text, in section {name}")
        if not name.startswith(".rodata"):
            raise LinkError(f"section {name} has no place in a program")
        layout.rodata.extend(bytes(align(len(layout.rodata), max(section["sh_addralign"], 1)) - len(layout.rodata)))
        layout.place[index] = base + len(layout.rodata)
        layout.rodata.extend(section.data())
    return layout


@dataclass
class Linked:
    """The relocated text and the dynamic relocations: (offset, type, syscall name or None)."""

    relocations: list[tuple[int, int, str | None]] = field(default_factory=list)


def relocate(elf: Any, layout: Layout) -> Linked:
    """Applies the object's relocations to layout.text and collects the dynamic ones."""
    linked = Linked()
    symbols = elf.get_section_by_name(".symtab")
    for section in elf.iter_sections():
        if section["sh_type"] == "SHT_RELA":
            raise LinkError(f"{section.name}: relocations with addends are not a BPF object's")
        if section["sh_type"] != "SHT_REL":
            continue
        target = elf.get_section(section["sh_info"])
        if not target["sh_flags"] & 2:  # debug information and the like
            continue
        if target.name != ".text":
            raise LinkError(f"relocation in {target.name}: pointers in constant data are not supported")
        for rel in section.iter_relocations():
            symbol = symbols.get_symbol(rel["r_info_sym"])
            relocate_one(layout, linked, rel["r_offset"], rel["r_info_type"], symbol)
    return linked


def relocate_one(layout: Layout, linked: Linked, offset: int, kind: int, symbol: Any) -> None:
    """One relocation of .text."""
    text, where, undefined = layout.text, symbol["st_shndx"], symbol["st_shndx"] == "SHN_UNDEF"
    if kind == R_BPF_64_32 and undefined:
        if symbol.name not in SYSCALLS.split():
            raise LinkError(f"undefined symbol {symbol.name}: neither defined here nor a known syscall")
        struct.pack_into("<i", text, offset + 4, -1)
        linked.relocations.append((TEXT_OFFSET + offset, R_BPF_64_32, symbol.name))
    elif undefined or where not in layout.place:
        raise LinkError(f"relocation at .text+{offset:#x} against {symbol.name or where}, which is not in the program")
    elif kind == R_BPF_64_32:
        if text[offset] != OP_CALL or layout.place[where] != TEXT_OFFSET:
            raise LinkError(f"call relocation at .text+{offset:#x} that is no call into .text")
        addend = struct.unpack_from("<i", text, offset + 4)[0]
        callee = symbol["st_value"] // 8 + addend + 1
        struct.pack_into("<i", text, offset + 4, callee - offset // 8 - 1)
    elif kind == R_BPF_64_64:
        low, high = struct.unpack_from("<I", text, offset + 4)[0], struct.unpack_from("<I", text, offset + 12)[0]
        address = layout.place[where] + symbol["st_value"] + (low | high << 32)
        struct.pack_into("<I", text, offset + 4, address & 0xFFFFFFFF)
        struct.pack_into("<I", text, offset + 12, address >> 32)
        linked.relocations.append((TEXT_OFFSET + offset, R_BPF_64_RELATIVE, None))
    else:
        raise LinkError(f"relocation type {kind} at .text+{offset:#x} is not supported")


def entry_offset(elf: Any) -> int:
    """Offset of `entrypoint` in .text."""
    found = elf.get_section_by_name(".symtab").get_symbol_by_name("entrypoint")
    if not found or found[0]["st_shndx"] == "SHN_UNDEF":
        raise LinkError("no function named entrypoint")
    return int(found[0]["st_value"])


def write_elf(layout: Layout, linked: Linked, entry: int) -> bytes:
    """The shared object: headers, .text, .rodata, dynamic tables, section headers."""
    names = sorted({name for _, _, name in linked.relocations if name})
    dynstr, name_at = b"\0", {}
    for name in names:
        name_at[name] = len(dynstr)
        dynstr += name.encode() + b"\0"
    dynsym = bytes(24) + b"".join(struct.pack("<IBBHQQ", name_at[name], 0x10, 0, 0, 0, 0) for name in names)
    rel = b"".join(
        struct.pack("<QQ", offset, kind | (names.index(name) + 1 if name else 0) << 32)
        for offset, kind, name in sorted(linked.relocations, key=lambda r: r[0])
    )
    blobs = {".text": bytes(layout.text), ".rodata": bytes(layout.rodata)}
    blobs |= {".dynsym": dynsym, ".dynstr": dynstr, ".rel.dyn": rel, ".dynamic": bytes(8 * 16)}
    blobs = {name: data for name, data in blobs.items() if data}
    shstrtab = b"\0" + b"".join(name.encode() + b"\0" for name in [*blobs, ".shstrtab"])
    blobs[".shstrtab"] = shstrtab

    place, end = {}, TEXT_OFFSET
    for name, data in blobs.items():
        place[name] = align(end, 8)
        end = place[name] + len(data)
    tags = [(17, place[".rel.dyn"]), (18, len(rel)), (19, 16)] if rel else []  # DT_REL, DT_RELSZ, DT_RELENT
    tags += [(6, place[".dynsym"]), (11, 24), (5, place[".dynstr"]), (10, len(dynstr))]  # symbols, names
    blobs[".dynamic"] = b"".join(struct.pack("<QQ", *tag) for tag in tags).ljust(8 * 16, b"\0")

    order = ["", *blobs]
    kinds = {".dynsym": (SHT_DYNSYM, 2, ".dynstr", 24), ".dynstr": (SHT_STRTAB, 2, "", 0)}
    kinds |= {".rel.dyn": (SHT_REL, 2, ".dynsym", 16), ".dynamic": (SHT_DYNAMIC, 3, ".dynstr", 16)}
    kinds |= {".shstrtab": (SHT_STRTAB, 0, "", 0)}
    headers = bytes(64)
    for name, data in blobs.items():
        kind, flags, link, entry_size = kinds.get(name, (SHT_PROGBITS, 6 if name == ".text" else 2, "", 0))
        at = place[name]
        headers += struct.pack(
            "<IIQQQQIIQQ", shstrtab.index(name.encode() + b"\0"), kind, flags, at if flags else 0, at, len(data),
            order.index(link), int(name == ".dynsym"), 8 if flags else 1, entry_size,
        )  # fmt: skip

    def segment(kind: int, flags: int, first: str, last: str) -> bytes:
        start, size = place[first], place[last] + len(blobs[last]) - place[first]
        return struct.pack("<IIQQQQQQ", kind, flags, start, start, start, size, size, 0x1000 if kind == PT_LOAD else 8)

    last_constant = ".rodata" if ".rodata" in blobs else ".text"
    segments = segment(PT_LOAD, 5, ".text", last_constant) + segment(PT_LOAD, 4, ".dynsym", ".dynamic")
    segments += segment(PT_DYNAMIC, 4, ".dynamic", ".dynamic")
    table = align(end, 8)
    header = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", 3, EM_BPF, 1, TEXT_OFFSET + entry, 64, table, 0, 64, 56, 3, 64, len(order), len(order) - 1
    )  # fmt: skip
    out = bytearray(table)
    out[: len(header)] = header
    out[64 : 64 + len(segments)] = segments
    for name, data in blobs.items():
        out[place[name] : place[name] + len(data)] = data
    return bytes(out) + headers


def link(obj: bytes) -> bytes:
    """The shared object made from relocatable object bytes. LinkError says why there is none."""
    elf = ELFFile(io.BytesIO(obj))
    if elf["e_machine"] != "EM_BPF" or elf["e_type"] != "ET_REL" or not elf.little_endian:
        raise LinkError(f"not a little-endian relocatable BPF object: {elf['e_type']} {elf['e_machine']}")
    layout = place_sections(elf)
    linked = relocate(elf, layout)
    return write_elf(layout, linked, entry_offset(elf))
