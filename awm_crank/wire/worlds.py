"""World's own accounts (reference/bolt-abi.md): Registry, World and Entity. Not for the frame path.

World allocates 33 bytes or more for them and may leave bytes after the struct, which are ignored.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Self

import msgspec
from solders.pubkey import Pubkey

from ..errors import AccountError, LayoutError
from . import ids
from .idl import load
from .layouts import Buffer

_IDL = load("world")
MIN_SIZE = 33
"""Bytes that World allocates for a new World or Entity."""


def _body(kind: str, data: Buffer, owner: Pubkey | None, address: object) -> bytes:
    """The data after the discriminator, once owner and discriminator are checked."""
    where = f"{kind} {address}" if address is not None else kind
    if owner is not None and owner != _IDL.address:
        raise AccountError(f"{where}: owner", expected=_IDL.address, found=owner, hint="check the address")
    head = bytes(data[:8])
    if head != _IDL.accounts[kind]:
        raise AccountError(f"{where}: discriminator", expected=_IDL.accounts[kind].hex(), found=head.hex() or "no data")
    return bytes(data[8:])


def _u64(body: bytes, at: int, where: str) -> int:
    if len(body) < at + 8:
        raise LayoutError(where, expected=f"at least {8 + at + 8} bytes", found=8 + len(body))
    return int.from_bytes(body[at : at + 8], "little")


def _blob(body: bytes, at: int, unit: int, where: str) -> tuple[bytes, int]:
    """A Borsh vector of `unit`-byte elements as bytes, and the offset after it."""
    if len(body) < at + 4:
        raise LayoutError(where, expected=f"at least {8 + at + 4} bytes", found=8 + len(body))
    count = int.from_bytes(body[at : at + 4], "little")
    end = at + 4 + count * unit
    if len(body) < end:
        raise LayoutError(where, expected=f"{count} entries, so {8 + end} bytes", found=8 + len(body))
    return body[at + 4 : end], end


def _keys(raw: bytes) -> tuple[Pubkey, ...]:
    return tuple(Pubkey.from_bytes(raw[at : at + 32]) for at in range(0, len(raw), 32))


class Registry(msgspec.Struct, frozen=True):
    """The number of worlds, which is the next world's id."""

    worlds: int

    @classmethod
    def decode(cls, data: Buffer, *, owner: Pubkey | None = None, address: object = None) -> Self:
        """Raises AccountError on wrong owner or discriminator, LayoutError when short."""
        return cls(_u64(_body("Registry", data, owner, address), 0, "Registry.worlds"))

    def encode(self) -> bytes:
        """The account's data, 16 bytes."""
        return _IDL.accounts["Registry"] + _pack_u64(self.worlds, "Registry.worlds")


class Entity(msgspec.Struct, frozen=True):
    """An entity's id within its world."""

    id: int

    @classmethod
    def decode(cls, data: Buffer, *, owner: Pubkey | None = None, address: object = None) -> Self:
        """Raises AccountError on wrong owner or discriminator, LayoutError when short."""
        return cls(_u64(_body("Entity", data, owner, address), 0, "Entity.id"))

    def encode(self) -> bytes:
        """The account's data, 33 bytes, as World allocates."""
        return (_IDL.accounts["Entity"] + _pack_u64(self.id, "Entity.id")).ljust(MIN_SIZE, b"\0")


class World(msgspec.Struct, frozen=True):
    """A world: `entities` is its next entity's id, and `systems` the Borsh set of approved systems."""

    id: int
    entities: int
    authorities: tuple[Pubkey, ...]
    permissionless: bool
    systems: bytes

    @classmethod
    def decode(cls, data: Buffer, *, owner: Pubkey | None = None, address: object = None) -> Self:
        """Raises AccountError on wrong owner or discriminator, LayoutError when short or not a bool."""
        body = _body("World", data, owner, address)
        authorities, at = _blob(body, 16, 32, "World.authorities")
        if len(body) <= at or body[at] > 1:
            raise LayoutError(
                "World.permissionless", expected="0 or 1", found=body[at] if len(body) > at else "no byte"
            )
        systems, _ = _blob(body, at + 1, 1, "World.systems")
        return cls(
            _u64(body, 0, "World.id"), _u64(body, 8, "World.entities"), _keys(authorities), bool(body[at]), systems
        )

    def encode(self) -> bytes:
        """The account's data, at least 33 bytes."""
        data = (
            _IDL.accounts["World"]
            + _pack_u64(self.id, "World.id")
            + _pack_u64(self.entities, "World.entities")
            + len(self.authorities).to_bytes(4, "little")
            + b"".join(bytes(key) for key in self.authorities)
            + bytes((self.permissionless,))
            + len(self.systems).to_bytes(4, "little")
            + self.systems
        )
        return data.ljust(MIN_SIZE, b"\0")

    @property
    def approved_systems(self) -> tuple[Pubkey, ...]:
        """The systems that may run when the world is not permissionless. Raises LayoutError on a malformed set."""
        return _keys(_blob(self.systems, 0, 32, "World.systems")[0]) if self.systems else ()

    @property
    def guarded(self) -> bool:
        """Whether the world has an authority, which decides which systems run. Anybody may become the authority of a
        world without one.
        """
        return bool(self.authorities) and not self.permissionless

    @property
    def runs_matches(self) -> bool:
        """Whether the three systems of a match may run. Raises LayoutError on a malformed set."""
        return self.permissionless or set(ids.SYSTEMS.values()) <= set(self.approved_systems)


def best_world(worlds: Iterable[tuple[Pubkey, World]]) -> Pubkey | None:
    """The world to use: the first one that has an authority and runs matches, or else the first one that runs
    matches.
    """
    usable = [(key, world) for key, world in worlds if world.runs_matches]
    return next((key for key, world in usable if world.guarded), usable[0][0] if usable else None)


def _pack_u64(value: int, where: str) -> bytes:
    try:
        return struct.pack("<Q", value)
    except struct.error:
        raise LayoutError(where, expected="a u64", found=value) from None
