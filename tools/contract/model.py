"""The contract as objects: structs with offsets, programs, instructions, errors, and the cartridge's tensors."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[2] / "idl" / "contract"
SCALARS = {"bool": 1, "u8": 1, "i8": 1, "u16": 2, "i16": 2, "u32": 4, "i32": 4, "u64": 8, "i64": 8}
"""Sizes in bytes."""
_GENERIC = re.compile(r"(option|vec)<(.+)>$")
_ARRAY = re.compile(r"\[(.+); (\d+)\]$")
_FIELD_KEYS = {
    "type", "range", "engine", "clamp", "scale", "enum", "bits", "unit", "note", "is", "reserved",
}  # fmt: skip


class ContractError(Exception):
    """The contract contradicts itself; the text names the place."""


def sighash(text: str) -> bytes:
    """The first 8 bytes of SHA-256: Anchor's discriminator of `global:<instruction>` or `account:<Struct>`."""
    return hashlib.sha256(text.encode()).digest()[:8]


@dataclass(frozen=True)
class Type:
    """A type. `name` is a scalar, `pubkey`, `bytes`, a struct's name, or `array`, `vec`, `option` of `inner`."""

    name: str
    inner: Type | None = None
    count: int = 0


def parse_type(text: str) -> Type:
    """Parses a type, such as `[u8; 32]`, `option<pubkey>` or `PlayerState`."""
    if match := _ARRAY.match(text):
        return Type("array", parse_type(match[1]), int(match[2]))
    if match := _GENERIC.match(text):
        return Type(match[1], parse_type(match[2]))
    return Type(text)


@dataclass(frozen=True)
class FieldSpec:
    """A field of a struct. `offset` is None behind a field of variable size, `size` None for such a field.

    `origin` is `described`, `ours`, `bolt` (the metadata) or `anchor` (the discriminator).
    """

    name: str
    type: Type
    text: str
    origin: str
    offset: int | None
    size: int | None
    range: tuple[int, int] | None = None
    engine: tuple[int, int] | None = None
    clamp: tuple[int, int] | None = None
    scale: int = 1
    enum: str | None = None
    bits: tuple[str, ...] = ()
    unit: str = ""
    note: str = ""
    constant: int | None = None

    @property
    def reserved(self) -> bool:
        """The field's bytes are all zero."""
        return self.range == (0, 0)


@dataclass(frozen=True)
class StructSpec:
    """A struct. `size` includes an account's discriminator, and is None if it varies."""

    name: str
    about: str
    account: str | None
    component: bool
    args_of: str | None
    tail: dict[str, str]
    trailer: str
    """The struct in the account's last bytes, behind the tail; "" where there is none."""
    fields: tuple[FieldSpec, ...]
    size: int | None

    @property
    def discriminator(self) -> bytes:
        """8 bytes for an account, none otherwise."""
        return sighash(f"account:{self.name}") if self.account else b""

    def __getitem__(self, name: str) -> FieldSpec:
        return next(each for each in self.fields if each.name == name)


@dataclass(frozen=True)
class AccountSpec:
    """An account that an instruction takes."""

    name: str
    writable: bool
    signer: bool
    pda: str | None
    """Name of the PDA and, in brackets, its value."""


@dataclass(frozen=True)
class Instruction:
    """An instruction of one program (`program`). `group` is where it is defined, for one program or for several."""

    name: str
    program: str
    group: str
    accounts: tuple[AccountSpec, ...]
    args: dict[str, str]
    docs: str
    who: str
    rest: str
    returns: str
    rollup: bool

    @property
    def discriminator(self) -> bytes:
        """8 bytes."""
        return sighash(f"global:{self.name}")


@dataclass(frozen=True)
class Contract:
    """The whole content of `idl/contract/`."""

    structs: dict[str, StructSpec]
    enums: dict[str, dict[str, Any]]
    programs: dict[str, dict[str, Any]]
    addresses: dict[str, dict[str, str]]
    pdas: dict[str, dict[str, Any]]
    instructions: tuple[Instruction, ...]
    errors: dict[str, dict[int, dict[str, str]]]
    match: dict[str, Any]
    cartridge: dict[str, Any]

    def size_of(self, kind: Type) -> int | None:
        """Bytes of a type; None where they depend on the value."""
        return _size(kind, self.structs)

    def instructions_of(self, program: str) -> list[Instruction]:
        """A program's instructions by name."""
        return sorted((each for each in self.instructions if each.program == program), key=lambda each: each.name)

    def accounts_of(self, program: str) -> list[StructSpec]:
        """The account structs that a program owns, its component first."""
        owned = [each for each in self.structs.values() if each.account == program]
        return sorted(owned, key=lambda each: (not each.component, each.name))


def _size(kind: Type, structs: dict[str, StructSpec]) -> int | None:
    if kind.name in SCALARS:
        return SCALARS[kind.name]
    if kind.name == "pubkey":
        return 32
    if kind.name == "array" and kind.inner:
        inner = _size(kind.inner, structs)
        return None if inner is None else inner * kind.count
    if kind.name in ("bytes", "vec", "option"):
        return None
    if kind.name not in structs:
        raise ContractError(f"type {kind.name} is used before it is defined")
    return structs[kind.name].size


def _struct(name: str, raw: dict[str, Any], structs: dict[str, StructSpec], enums: dict[str, Any]) -> StructSpec:
    account = raw.get("account")
    at: int | None = 0
    fields: list[FieldSpec] = []

    def add(field_name: str, text: str, origin: str, **more: Any) -> None:
        nonlocal at
        kind = parse_type(text)
        size = _size(kind, structs)
        if any(each.name == field_name for each in fields):
            raise ContractError(f"{name}.{field_name} appears twice")
        fields.append(FieldSpec(field_name, kind, text, origin, at, size, **more))
        at = None if at is None or size is None else at + size

    if account:
        add("discriminator", "[u8; 8]", "anchor")
    for origin in ("described", "ours"):
        for field_name, spec in raw.get(origin, {}).items():
            spec = {"type": spec} if isinstance(spec, str) else dict(spec)
            if unknown := set(spec) - _FIELD_KEYS:
                raise ContractError(f"{name}.{field_name} has unknown keys {sorted(unknown)}")
            add(field_name, spec["type"], origin, **_limits(spec, enums))
    if raw.get("component"):
        add("bolt_metadata", "pubkey", "bolt", note="BOLT's metadata: the authority's key")
    return StructSpec(
        name, raw["about"], account, raw.get("component", False), raw.get("args_of"), raw.get("tail", {}),
        raw.get("trailer", ""), tuple(fields), at,
    )  # fmt: skip


def _limits(spec: dict[str, Any], enums: dict[str, Any]) -> dict[str, Any]:
    """The entries of a field's table other than its type, as arguments of `FieldSpec`."""
    limits = tuple(spec["range"]) if "range" in spec else None
    note = spec.get("note", "")
    if spec.get("reserved"):
        limits, note = (0, 0), note or "reserved, 0"
    if spec["type"] == "bool":
        limits = (0, 1)
    if "enum" in spec:
        values = enums[spec["enum"]]["values"]
        limits = (0, len(values) - 1)
        listing = ", ".join(f"{number} {value}" for number, value in enumerate(values))
        note = f"{note}: {listing}" if note else listing
    if "is" in spec:
        limits = (spec["is"], spec["is"])
    return {
        "range": limits,
        "engine": tuple(spec["engine"]) if "engine" in spec else limits,
        "clamp": tuple(spec["clamp"]) if "clamp" in spec else limits,
        "scale": spec.get("scale", 1),
        "enum": spec.get("enum"),
        "bits": tuple(spec.get("bits", ())),
        "unit": spec.get("unit", ""),
        "note": note,
        "constant": spec.get("is"),
    }


def _account(text: str) -> AccountSpec:
    name, *rest = text.split(" ")
    pda = next((each[1:] for each in rest if each.startswith("@")), None)
    flags = next((each for each in rest if not each.startswith("@")), "")
    if set(flags) - {"w", "s"}:
        raise ContractError(f"account {text!r}: flags are w and s")
    return AccountSpec(name, "w" in flags, "s" in flags, pda)


def _instructions(raw: dict[str, Any], programs: dict[str, Any]) -> tuple[Instruction, ...]:
    groups = {
        "component": [name for name, each in programs.items() if each["kind"] == "component"],
        "system": [name for name, each in programs.items() if each["kind"] == "system"],
        "delegable": programs["run_inference"]["components"],
    }
    found = []
    for group, entries in raw.items():
        for name, entry in entries.items():
            for program in groups.get(group, [group]):
                if program not in programs:
                    raise ContractError(f"instruction {group}.{name}: there is no program {program}")
                accounts = [*entry["accounts"], *entry.get("more_accounts", {}).get(program, [])]
                found.append(
                    Instruction(
                        name, program, group, tuple(_account(each) for each in accounts), entry.get("args", {}),
                        entry.get("docs", ""), entry.get("who", ""), entry.get("rest", ""), entry.get("returns", ""),
                        entry.get("rollup", False),
                    )
                )  # fmt: skip
    return tuple(found)


def load(source: Path = SOURCE) -> Contract:
    """Loads the contract from its files. Raises ContractError if it contradicts itself."""
    raw = {path.stem: tomllib.loads(path.read_text("utf-8")) for path in sorted(source.glob("*.toml"))}
    enums = raw["structs"].pop("enums")
    structs: dict[str, StructSpec] = {}
    # a header's array of blocks needs the block's size, whatever the order in the file
    cartridge = raw["cartridge"]
    blocks = {name: cartridge[name] for name in ("LayerBlock", "TensorEntry", "CartridgeHeader", "PolicyHeader")}
    for name, entry in {**raw["structs"], **blocks}.items():
        structs[name] = _struct(name, entry, structs, enums)
    programs = raw["programs"]["programs"]
    return Contract(
        structs, enums, programs, raw["programs"]["addresses"], raw["programs"]["pda"],
        _instructions(raw["instructions"], programs),
        {kind: {int(code): entry for code, entry in table.items()} for kind, table in raw["errors"].items()},
        raw["match"], cartridge,
    )  # fmt: skip
