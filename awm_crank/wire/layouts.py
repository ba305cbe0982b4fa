"""Codecs of the contract's structs: one `struct.Struct` for each, offsets by field name.

`HIDDEN_STATE.offset("writer")` is the offset for a memcmp filter. Offsets count from the start of the account, so the
8-byte discriminator is included. Structs that are not accounts (`PLAYER_STATE`, `FRAME_RECORD` …) have none.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from solders.pubkey import Pubkey

from ..errors import AccountError, LayoutError
from .contract import PROGRAM_IDS, STRUCTS, Struct

Buffer = bytes | bytearray | memoryview

NUMBERS = {"u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q", "i64": "q"}
"""Number type of the contract → format character of `struct`."""
_ARRAY = re.compile(r"\[(\w+); (\d+)\]")


class Span(NamedTuple):
    """Where a field is, in bytes."""

    offset: int
    size: int


class Part(NamedTuple):
    """Adjacent fields of a struct, read together."""

    name: str
    offset: int
    body: struct.Struct

    def unpack(self, data: Buffer) -> tuple[Any, ...]:
        """The fields' raw values, unchecked. Raises LayoutError when `data` ends before them."""
        try:
            return self.body.unpack_from(data, self.offset)
        except struct.error:
            end = self.offset + self.body.size
            raise LayoutError(self.name, expected=f"at least {end} bytes", found=len(data)) from None


class Layout:
    """A packed little-endian struct of the contract.

    Attributes:
        name: the struct's name.
        discriminator: the account's first 8 bytes; empty for a struct that is not an account.
        owner: the program that owns the account, None for a struct that is not an account.
        names: the fields' names, in order.
        size: bytes of the struct, including the discriminator, but not the bytes that may follow (ring, data, state).
        body: the `struct.Struct` of the fields after the discriminator.
    """

    def __init__(self, of: Struct) -> None:
        self.name = of.name
        self.discriminator = of.discriminator
        self.owner: Pubkey | None = Pubkey.from_string(PROGRAM_IDS[of.program]) if of.program else None
        self.fields = {field.name: Span(field.offset, field.size) for field in of.fields}
        self.names = tuple(self.fields)
        self.size = of.size
        self.body = struct.Struct(of.format)
        self._types = tuple(field.type for field in of.fields)
        self._ranges = tuple(
            (index, *field.range) for index, field in enumerate(of.fields) if field.range and _is_number(field.type)
        )
        self._readers = tuple(
            (index, reader) for index, kind in enumerate(self._types) if (reader := _reader(kind)) is not None
        )

    def offset(self, field: str) -> int:
        """A field's offset from the start of the account (or struct). Raises LayoutError when there is none."""
        return self.span(field).offset

    def span(self, field: str) -> Span:
        """A field's offset and size. Raises LayoutError when there is none of that name."""
        try:
            return self.fields[field]
        except KeyError:
            raise LayoutError(f"field {field} of {self.name}", expected=list(self.names)) from None

    def part(self, *fields: str | tuple[str, ...]) -> Part:
        """A fast reader of adjacent fields. Fields in a tuple are returned together, as one bytes object.

        Raises:
            LayoutError: a field is unknown, or the fields are not adjacent and in order.
        """
        codes, start, end = "<", -1, -1
        for each in fields:
            joined = (each,) if isinstance(each, str) else each
            for name in joined:
                offset, size = self.span(name)
                if start < 0:
                    start = end = offset
                if offset != end:
                    raise LayoutError(f"fields {fields} of {self.name}", expected="adjacent fields", found=name)
                end += size
            kind = self._types[self.names.index(joined[0])]
            size = sum(self.fields[name].size for name in joined)
            codes += "B" if kind == "bool" else NUMBERS.get(kind, f"{size}s") if len(joined) == 1 else f"{size}s"
        return Part(self.name, start, struct.Struct(codes))

    def ranges(self) -> list[tuple[str, int, int]]:
        """(field, lowest, highest) of every field whose values are limited."""
        return [(self.names[index], low, high) for index, low, high in self._ranges]

    def cut(self, data: Buffer, field: str) -> bytes:
        """Returns a field's bytes in `data` without further checks. Raises LayoutError if `data` ends before the
        field's end.
        """
        offset, size = self.span(field)
        if len(data) < offset + size:
            raise LayoutError(f"{self.name}.{field}", expected=f"at least {offset + size} bytes", found=len(data))
        return bytes(data[offset : offset + size])

    def check_account(
        self, data: Buffer, owner: Pubkey | None, address: object, *, tail: bool = False, trailer: int = 0
    ) -> None:
        """Refuses an account of another program, kind or size.

        Args:
            data: the account's data.
            owner: the account's owner; None if it is not known.
            address: its address, for errors.
            tail: bytes may follow the struct.
            trailer: how many more bytes the account has at its end.

        Raises:
            AccountError: wrong owner or discriminator.
            LayoutError: too short, or too long.
        """
        if owner is not None and owner != self.owner:
            raise AccountError(
                f"{self.where(address)}: owner", expected=self.owner, found=owner, hint="check the address"
            )
        head = bytes(data[: len(self.discriminator)])
        if head != self.discriminator and len(data) >= len(head):
            raise AccountError(
                f"{self.where(address)}: discriminator",
                expected=self.discriminator.hex(),
                found=head.hex() or "no data",
                hint="the account is of another kind, or not initialized: check the address",
            )
        least = self.size + trailer
        if len(data) < least or (len(data) > least and not tail):
            raise LayoutError(
                f"{self.where(address)}: length",
                expected=f"{least} bytes" + (" or more" if tail else ""),
                found=f"{len(data)} bytes",
                hint="the programs may be of another version: see docs/formats.md",
            )

    def unpack(self, data: Buffer, address: object = None) -> list[Any]:
        """The fields' values, in order, ranges checked.

        Keys are returned as Pubkey, bools as bool, arrays of numbers and keys as tuples, and everything else as bytes.

        Raises:
            LayoutError: `data` is too short, or a value is out of range; names the field.
        """
        try:
            values = list(self.body.unpack_from(data, len(self.discriminator)))
        except struct.error:
            raise LayoutError(self.where(address), expected=f"{self.size} bytes", found=f"{len(data)} bytes") from None
        for index, low, high in self._ranges:
            if not low <= values[index] <= high:
                raise LayoutError(
                    f"{self.where(address)}: {self.names[index]} at {self.fields[self.names[index]].offset}",
                    expected=f"{low}..{high}",
                    found=values[index],
                    hint="check that the program is the one that docs/formats.md describes",
                )
        for index, reader in self._readers:
            values[index] = reader(values[index])
        return values

    def read(self, data: Buffer, at: int = 0) -> dict[str, Any]:
        """Returns the fields by name, as `unpack` does, but does not check their ranges.

        Args:
            data: the bytes that contain the struct.
            at: where the struct begins.

        Raises:
            LayoutError: `data` is too short.
        """
        try:
            values = list(self.body.unpack_from(data, at + len(self.discriminator)))
        except struct.error:
            raise LayoutError(self.name, expected=f"{self.size} bytes", found=f"{len(data) - at} bytes") from None
        for index, reader in self._readers:
            values[index] = reader(values[index])
        return dict(zip(self.names, values, strict=True))

    def pack(self, values: Iterable[Any], address: object = None) -> bytes:
        """The struct's bytes, discriminator first: the inverse of `unpack`.

        Raises:
            LayoutError: a value does not fit its field, or is out of range; names the field.
        """
        raw = [_plain(value) for value in values]
        for index, low, high in self._ranges:
            if not low <= raw[index] <= high:
                raise LayoutError(
                    f"{self.where(address)}: {self.names[index]}", expected=f"{low}..{high}", found=raw[index]
                )
        return self._join(raw, address)

    def write(self, **values: Any) -> bytes:
        """Packs fields given by name, the inverse of `read`. Fields that are not named are zero.

        Raises:
            LayoutError: a value does not fit its field, or the struct has no field of that name.
        """
        if unknown := set(values) - set(self.names):
            raise LayoutError(f"fields of {self.name}", expected=list(self.names), found=sorted(unknown))
        zeros = {name: self._zero(index) for index, name in enumerate(self.names)}
        return self._join([_plain(value) for value in (zeros | values).values()])

    def _zero(self, index: int) -> int | bytes:
        return 0 if _is_number(self._types[index]) else bytes(self.fields[self.names[index]].size)

    def _join(self, raw: list[Any], address: object = None) -> bytes:
        # `struct` pads a short `s` field with zeros and cuts a long one, so the lengths are checked here.
        for name, kind, value in zip(self.names, self._types, raw, strict=True):
            size = self.fields[name].size
            if not _is_number(kind) and len(value) != size:
                raise LayoutError(
                    f"{self.where(address)}: {name}", expected=f"{size} bytes", found=f"{len(value)} bytes"
                )
        try:
            return self.discriminator + self.body.pack(*raw)
        except struct.error as error:
            raise LayoutError(f"{self.where(address)}: a value", expected="one that fits", found=str(error)) from error

    def where(self, address: object) -> str:
        """The struct's name with an account's address, for errors."""
        return f"{self.name} {address}" if address is not None else self.name


def _is_number(kind: str) -> bool:
    return kind in NUMBERS or kind == "bool"


def _reader(kind: str) -> Callable[[Any], Any] | None:
    """Returns the function that converts a field's raw value for callers; None if no conversion is needed."""
    if kind == "bool":
        return bool
    if kind == "pubkey":
        return Pubkey.from_bytes
    if match := _ARRAY.match(kind):
        if match[1] == "pubkey":
            return lambda raw: tuple(Pubkey.from_bytes(raw[at : at + 32]) for at in range(0, len(raw), 32))
        if match[1] in NUMBERS and match[1] != "u8":
            return struct.Struct(f"<{match[2]}{NUMBERS[match[1]]}").unpack
    return None


def _plain(value: Any) -> Any:
    """Converts a value to a form that `struct.pack` accepts."""
    if isinstance(value, Pubkey):
        return bytes(value)
    if isinstance(value, tuple):
        if value and isinstance(value[0], Pubkey):
            return b"".join(bytes(key) for key in value)
        width = {16: "H", 4: "I"}.get(len(value))
        if width is None:
            raise LayoutError("tuple field", expected="4 keys, 4 u32 or 16 u16", found=f"{len(value)} values")
        try:
            return struct.pack(f"<{len(value)}{width}", *value)
        except struct.error as error:
            raise LayoutError("tuple field", expected=f"numbers of type {width}", found=str(error)) from error
    return value


PLAYER_STATE = Layout(STRUCTS["PlayerState"])
CONTROLLER_INPUT = Layout(STRUCTS["ControllerInput"])
FEEDBACK = Layout(STRUCTS["Feedback"])
FRAME_BLOCK = Layout(STRUCTS["FrameBlock"])
FRAME_RECORD = Layout(STRUCTS["FrameRecord"])

SESSION_STATE = Layout(STRUCTS["SessionState"])
HIDDEN_STATE = Layout(STRUCTS["HiddenState"])
INPUT_BUFFER = Layout(STRUCTS["InputBuffer"])
FRAME_LOG = Layout(STRUCTS["FrameLog"])
LOG_PAYMENTS = Layout(STRUCTS["LogPayments"])
FRAME_LOG_BYTES = FRAME_LOG.size + LOG_PAYMENTS.size
"""Bytes of a frame-log without a ring."""
MODEL_MANIFEST = Layout(STRUCTS["ModelManifest"])
WEIGHT_SHARD = Layout(STRUCTS["WeightShard"])
CHECKPOINT = Layout(STRUCTS["Checkpoint"])
DEPOSIT = Layout(STRUCTS["Deposit"])
RECEIPT = Layout(STRUCTS["Receipt"])
ENGINE_IMAGE = Layout(STRUCTS["EngineImage"])
ENGINE_RUN = Layout(STRUCTS["EngineRun"])

LIFECYCLE_ARGS = Layout(STRUCTS["LifecycleArgs"])
INPUT_ARGS = Layout(STRUCTS["InputArgs"])
FRAME_ARGS = Layout(STRUCTS["FrameArgs"])
