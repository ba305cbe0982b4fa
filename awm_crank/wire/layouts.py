"""Codecs compiled from the IDLs: one `struct.Struct` a layout, offsets by field name.

`HIDDEN_STATE.offset("writer")` is what a memcmp filter wants; offsets count from the start of the account, so the
8-byte discriminator is included. Structs that are no accounts (`PLAYER_STATE`, `FRAME_RECORD` …) have none.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from solders.pubkey import Pubkey

from ..errors import AccountError, LayoutError
from .idl import SCALARS, Field, Idl, Kind, load, size_of

Buffer = bytes | bytearray | memoryview


class Span(NamedTuple):
    """Where a field stands."""

    offset: int
    size: int


class Layout:
    """A packed little-endian struct, compiled from its IDL.

    Args:
        idl: the program's IDL.
        name: the struct's name in it; an account of that name brings a discriminator and the program as its owner.
        ranges: field → (lowest, highest) value that docs/formats.md allows; bools need no entry.
    """

    def __init__(self, idl: Idl, name: str, ranges: Mapping[str, tuple[int, int]] | None = None) -> None:
        self.name = name
        self.discriminator = idl.accounts.get(name, b"")
        self.owner: Pubkey | None = idl.address if self.discriminator else None
        self.fields: dict[str, Span] = {}
        self._kinds: list[Kind] = []
        codes = "<"
        offset = len(self.discriminator)
        for field in idl.types[name]:
            size = _fixed_size(idl, name, field)
            self.fields[field.name] = Span(offset, size)
            self._kinds.append(field.kind)
            # A bool is read as a number, so that 2 is told from 1.
            codes += "B" if field.kind.name == "bool" else SCALARS.get(field.kind.name, f"{size}s")
            offset += size
        self.names = tuple(self.fields)
        self.size = offset
        """Bytes of the struct, discriminator included; what may follow (ring, data, state) is not."""
        self.body = struct.Struct(codes)
        bools = {field.name: (0, 1) for field in idl.types[name] if field.kind.name == "bool"}
        limits = {**bools, **(ranges or {})}
        self._ranges = tuple((self.names.index(key), *limits[key]) for key in limits)
        self._readers = tuple(
            (index, reader) for index, kind in enumerate(self._kinds) if (reader := _reader(kind)) is not None
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

    def ranges(self) -> list[tuple[str, int, int]]:
        """(field, lowest, highest) of every field whose values are limited."""
        return [(self.names[index], low, high) for index, low, high in self._ranges]

    def cut(self, data: Buffer, field: str) -> bytes:
        """A field's bytes in `data`, unchecked otherwise. Raises LayoutError when `data` ends before it."""
        offset, size = self.span(field)
        if len(data) < offset + size:
            raise LayoutError(f"{self.name}.{field}", expected=f"at least {offset + size} bytes", found=len(data))
        return bytes(data[offset : offset + size])

    def check_account(self, data: Buffer, owner: Pubkey | None, address: object, *, tail: bool = False) -> None:
        """Refuse an account of another program, kind or size.

        Args:
            data: the account's data.
            owner: its owner, None when not known.
            address: its address, for errors.
            tail: bytes may follow the struct.

        Raises:
            AccountError: wrong owner or discriminator.
            LayoutError: too short, or too long.
        """
        if owner is not None and owner != self.owner:
            raise AccountError(
                f"{self._where(address)}: owner", expected=self.owner, found=owner, hint="check the address"
            )
        head = bytes(data[: len(self.discriminator)])
        if head != self.discriminator and len(data) >= len(head):
            raise AccountError(
                f"{self._where(address)}: discriminator",
                expected=self.discriminator.hex(),
                found=head.hex() or "no data",
                hint="the account is of another kind, or not initialized: check the address",
            )
        if len(data) < self.size or (len(data) > self.size and not tail):
            raise LayoutError(
                f"{self._where(address)}: length",
                expected=f"{self.size} bytes" + (" or more" if tail else ""),
                found=f"{len(data)} bytes",
                hint="the programs may be of another version: see docs/formats.md",
            )

    def unpack(self, data: Buffer, address: object = None) -> list[Any]:
        """The fields' values, in order, ranges checked.

        Keys come as Pubkey, bools as bool, arrays of numbers and keys as tuples, all else as bytes.

        Raises:
            LayoutError: `data` is too short, or a value is out of range; names the field.
        """
        try:
            values = list(self.body.unpack_from(data, len(self.discriminator)))
        except struct.error:
            raise LayoutError(self._where(address), expected=f"{self.size} bytes", found=f"{len(data)} bytes") from None
        for index, low, high in self._ranges:
            if not low <= values[index] <= high:
                raise LayoutError(
                    f"{self._where(address)}: {self.names[index]} at {self.fields[self.names[index]].offset}",
                    expected=f"{low}..{high}",
                    found=values[index],
                    hint="check that the program is the one that docs/formats.md describes",
                )
        for index, reader in self._readers:
            values[index] = reader(values[index])
        return values

    def pack(self, values: Iterable[Any], address: object = None) -> bytes:
        """The struct's bytes, discriminator first: the inverse of `unpack`.

        Raises:
            LayoutError: a value does not fit its field, or is out of range; names the field.
        """
        raw = [_plain(value) for value in values]
        for index, low, high in self._ranges:
            if not low <= raw[index] <= high:
                raise LayoutError(
                    f"{self._where(address)}: {self.names[index]}", expected=f"{low}..{high}", found=raw[index]
                )
        # struct pads a short `s` field with zeros and cuts a long one: lengths are checked here.
        for name, kind, value in zip(self.names, self._kinds, raw, strict=True):
            size = self.fields[name].size
            if kind.name not in SCALARS and len(value) != size:
                raise LayoutError(
                    f"{self._where(address)}: {name}", expected=f"{size} bytes", found=f"{len(value)} bytes"
                )
        try:
            return self.discriminator + self.body.pack(*raw)
        except struct.error as error:
            raise LayoutError(f"{self._where(address)}: a value", expected="one that fits", found=str(error)) from error

    def _where(self, address: object) -> str:
        return f"{self.name} {address}" if address is not None else self.name


def _fixed_size(idl: Idl, name: str, field: Field) -> int:
    size = size_of(idl, field.kind)
    if size is None:
        raise LayoutError(f"{name}.{field.name}", expected="a type of fixed size", found=field.kind.name)
    return size


def _reader(kind: Kind) -> Callable[[Any], Any] | None:
    """What turns a field's raw value into what callers see; None where that is the same."""
    if kind.name == "bool":
        return bool
    if kind.name in ("pubkey", "BoltMetadata"):
        return Pubkey.from_bytes
    if kind.name == "array" and kind.inner is not None:
        if kind.inner.name == "pubkey":
            return lambda raw: tuple(Pubkey.from_bytes(raw[at : at + 32]) for at in range(0, len(raw), 32))
        if kind.inner.name in SCALARS and kind.inner.name != "u8":
            return struct.Struct(f"<{kind.count}{SCALARS[kind.inner.name]}").unpack
    return None


def _plain(value: Any) -> Any:
    """A value as struct takes it."""
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


PLAYER_RANGES = {
    "percent": (0, 999),
    "shield_strength": (0, 15360),
    "stocks": (0, 4),
    "facing": (0, 1),
    "on_ground": (0, 1),
    "action_state": (0, 399),
    "jumps_left": (0, 7),
    "character": (0, 32),
}
FEEDBACK_RANGES = {
    "invulnerable": (0, 1),
    "combo_count": (0, 50),
    "l_cancel": (0, 2),
    "hurtbox": (0, 2),
    "ground": (0, 31),
    "last_attack": (0, 63),
    "reserved": (0, 0),
}

PLAYER_STATE = Layout(load("session_state"), "PlayerState", PLAYER_RANGES)
CONTROLLER_INPUT = Layout(load("input_buffer"), "ControllerInput")
FEEDBACK = Layout(load("hidden_state"), "Feedback", FEEDBACK_RANGES)
FRAME_BLOCK = Layout(load("hidden_state"), "FrameBlock")
FRAME_RECORD = Layout(load("frame_log"), "FrameRecord", {"source1": (0, 2), "source2": (0, 2), "reserved": (0, 0)})

SESSION_STATE = Layout(load("session_state"), "SessionState", {"status": (0, 3)})
HIDDEN_STATE = Layout(load("hidden_state"), "HiddenState", {"checkpoint_slot": (0, 1)})
INPUT_BUFFER = Layout(load("input_buffer"), "InputBuffer")
FRAME_LOG = Layout(load("frame_log"), "FrameLog")
MODEL_MANIFEST = Layout(load("model_manifest"), "ModelManifest", {"num_shards": (0, 4)})
WEIGHT_SHARD = Layout(load("weight_shard"), "WeightShard")
CHECKPOINT = Layout(load("hidden_state"), "Checkpoint", {"slot": (0, 1), "reserved": (0, 0), "reserved2": (0, 0)})

LIFECYCLE_ARGS = Layout(load("session_lifecycle"), "LifecycleArgs", {"tag": (1, 1), "action": (0, 2)})
INPUT_ARGS = Layout(load("submit_input"), "InputArgs", {"tag": (1, 1)})
FRAME_ARGS = Layout(load("run_inference"), "FrameArgs", {"tag": (1, 1)})
