"""The packaged IDLs (Anchor's format, spec 0.1.0), parsed once with anchorpy-idl into small frozen structs.

Instructions are built from them: account orders, discriminators and arguments. `load("hidden_state")` reads
`idl/hidden_state.json`. Struct layouts, ids and errors come from the same contract through `contract.py`.
"""

from __future__ import annotations

import struct
from functools import cache
from importlib.resources import files
from typing import Any

import anchorpy_idl
import msgspec
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from ..errors import LayoutError

SCALARS = {
    "bool": "?", "u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i",
    "u64": "Q", "i64": "q", "f32": "f", "f64": "d",
}  # fmt: skip
"""IDL scalar → struct format character."""


class Kind(msgspec.Struct, frozen=True):
    """A type of the IDL: `name` is a scalar, `pubkey`, `bytes`, `string`, a struct's name, or one of `array`
    (`inner` * `count`), `vec` and `option` (of `inner`)."""

    name: str
    inner: Kind | None = None
    count: int = 0


class IdlField(msgspec.Struct, frozen=True):
    """A field of a struct, or an argument of an instruction."""

    name: str
    kind: Kind


class AccountItem(msgspec.Struct, frozen=True):
    """An account that an instruction takes. `address` is set if it is always the same."""

    name: str
    writable: bool
    signer: bool
    address: Pubkey | None


class InstructionDef(msgspec.Struct, frozen=True):
    """An instruction: 8-byte discriminator, accounts in order, Borsh arguments in order."""

    name: str
    discriminator: bytes
    accounts: tuple[AccountItem, ...]
    args: tuple[IdlField, ...]


class ErrorDef(msgspec.Struct, frozen=True):
    """A custom program error."""

    code: int
    name: str
    message: str


class Idl(msgspec.Struct, frozen=True):
    """One program's IDL."""

    name: str
    version: str
    address: Pubkey
    instructions: dict[str, InstructionDef]
    accounts: dict[str, bytes]
    types: dict[str, tuple[IdlField, ...]]
    errors: dict[int, ErrorDef]

    def data(self, instruction: str, *args: object) -> bytes:
        """An instruction's data: discriminator, then `args` in the IDL's order, in Borsh.

        Structs and arrays of structs are given as their bytes.

        Raises:
            LayoutError: no such instruction, wrong number of arguments, or one that does not fit its type.
        """
        definition = self.instruction(instruction)
        if len(args) != len(definition.args):
            raise LayoutError(
                f"arguments of {self.name}.{instruction}",
                expected=", ".join(field.name for field in definition.args) or "none",
                found=len(args),
            )
        parts = [definition.discriminator]
        for field, value in zip(definition.args, args, strict=True):
            parts.append(_borsh(self, field.kind, value, f"{self.name}.{instruction}.{field.name}"))
        return b"".join(parts)

    def instruction(self, name: str) -> InstructionDef:
        """An instruction's definition. Raises LayoutError when the program has none of that name."""
        try:
            return self.instructions[name]
        except KeyError:
            raise LayoutError(
                f"instruction {name} of program {self.name}", expected=sorted(self.instructions)
            ) from None

    def build(
        self, instruction: str, accounts: dict[str, Pubkey], *args: object, rest: tuple[AccountMeta, ...] = ()
    ) -> Instruction:
        """An instruction with its accounts in the IDL's order.

        Args:
            instruction: its name.
            accounts: maps each account's IDL name to its address. Accounts with a fixed address are left out.
            args: as for `data`.
            rest: accounts that follow the named ones.

        Raises:
            LayoutError: an account is missing or unknown, or an argument does not fit.
        """
        definition = self.instruction(instruction)
        left = dict(accounts)
        metas = []
        for item in definition.accounts:
            key = left.pop(item.name, None) or item.address
            if key is None:
                raise LayoutError(f"account {item.name} of {self.name}.{instruction}", expected="a key", found="none")
            metas.append(AccountMeta(key, is_signer=item.signer, is_writable=item.writable))
        if left:
            raise LayoutError(
                f"accounts of {self.name}.{instruction}",
                expected=[item.name for item in definition.accounts],
                found=sorted(left),
            )
        return Instruction(self.address, self.data(instruction, *args), [*metas, *rest])


def size_of(idl: Idl, kind: Kind) -> int | None:
    """The size of a type in bytes; None if it depends on the value (bytes, vec, option, string)."""
    if kind.name in SCALARS:
        return struct.calcsize(SCALARS[kind.name])
    if kind.name == "pubkey":
        return 32
    if kind.name == "array" and kind.inner is not None:
        inner = size_of(idl, kind.inner)
        return None if inner is None else inner * kind.count
    if kind.name in idl.types:
        total = 0
        for field in idl.types[kind.name]:
            part = size_of(idl, field.kind)
            if part is None:
                return None
            total += part
        return total
    return None


def _borsh(idl: Idl, kind: Kind, value: object, where: str) -> bytes:
    """A value in Borsh; `where` names it in errors."""
    if kind.name in SCALARS:
        try:
            return struct.pack("<" + SCALARS[kind.name], value)
        except struct.error as error:
            raise LayoutError(where, expected=f"a {kind.name}", found=value) from error
    if kind.name == "option" and kind.inner is not None:
        return b"\0" if value is None else b"\1" + _borsh(idl, kind.inner, value, where)
    if kind.name == "pubkey" and isinstance(value, Pubkey):
        return bytes(value)
    if not isinstance(value, bytes | bytearray | memoryview):
        raise LayoutError(where, expected=f"bytes of {kind.name}", found=type(value).__name__)
    if kind.name in ("bytes", "string"):
        return len(value).to_bytes(4, "little") + value
    size = size_of(idl, kind)
    if len(value) != size:
        raise LayoutError(where, expected=f"{size} bytes", found=f"{len(value)} bytes")
    return bytes(value)


def _kind(raw: Any) -> Kind:
    """anchorpy-idl's type object as a Kind."""
    if isinstance(raw, anchorpy_idl.IdlTypeSimple):
        return Kind(str(raw).rsplit(".", 1)[-1].lower())
    if isinstance(raw, anchorpy_idl.IdlTypeArray):
        inner, count = raw.array
        return Kind("array", _kind(inner), int(count))
    if isinstance(raw, anchorpy_idl.IdlTypeVec):
        return Kind("vec", _kind(raw.vec))
    if isinstance(raw, anchorpy_idl.IdlTypeOption):
        return Kind("option", _kind(raw.option))
    # anchorpy-idl 0.1.0's stubs describe the older format: the object does have `name`.
    name: str = raw.name
    return Kind(name)


def _field(raw: Any) -> IdlField:
    return IdlField(raw.name, _kind(raw.ty))


def parse(text: str) -> Idl:
    """An IDL from its JSON text.

    Raises:
        LayoutError: the text is not an IDL of spec 0.1.0.
    """
    try:
        raw: Any = anchorpy_idl.Idl.from_json(text)
    except ValueError as error:
        raise LayoutError("IDL", expected="Anchor's format, spec 0.1.0", found=str(error)) from error
    if raw.metadata.spec != "0.1.0":
        raise LayoutError(f"IDL of {raw.metadata.name}", expected="spec 0.1.0", found=f"spec {raw.metadata.spec}")
    instructions = {
        each.name: InstructionDef(
            each.name,
            bytes(each.discriminator),
            tuple(
                AccountItem(
                    item.name,
                    bool(item.writable),
                    bool(item.signer),
                    Pubkey.from_string(item.address) if item.address else None,
                )
                for item in each.accounts
            ),
            tuple(_field(arg) for arg in each.args),
        )
        for each in raw.instructions
    }
    return Idl(
        name=raw.metadata.name,
        version=raw.metadata.version,
        address=Pubkey.from_string(raw.address),
        instructions=instructions,
        accounts={each.name: bytes(each.discriminator) for each in raw.accounts},
        types={each.name: tuple(_field(field) for field in each.ty.fields.fields) for each in raw.types},
        errors={each.code: ErrorDef(each.code, each.name, each.msg or "") for each in raw.errors or ()},
    )


@cache
def load(name: str) -> Idl:
    """A packaged IDL by its file's name, such as `session_state`.

    Raises:
        LayoutError: the package has no such IDL.
    """
    package = files("awm_crank")
    # a wheel has the IDLs inside the package, a checkout in the top-level folder next to it
    inside, outside = package.joinpath("idl"), package.joinpath("..", "idl")
    source = (inside if inside.is_dir() else outside).joinpath(f"{name}.json")
    if not source.is_file():
        raise LayoutError(f"IDL {name}", hint="reinstall awm-crank: its package data is incomplete")
    return parse(source.read_text("utf-8"))
