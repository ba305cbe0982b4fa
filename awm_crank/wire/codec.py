"""Base classes of the contract's structs: decode from bytes, encode to bytes, check the account around them."""

from __future__ import annotations

from typing import ClassVar, Self

import msgspec
from solders.pubkey import Pubkey

from ..errors import LayoutError
from .contract import MAX_EXTRA_SIZE
from .layouts import Buffer, Layout


class Block(msgspec.Struct, frozen=True, gc=False):
    """A struct that is part of an account, and not an account itself."""

    LAYOUT: ClassVar[Layout]

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        """Reads exactly the struct's bytes.

        Raises:
            LayoutError: the data has another length, or a value is out of range.
        """
        if len(data) != cls.LAYOUT.size:
            raise LayoutError(cls.LAYOUT.name, expected=f"{cls.LAYOUT.size} bytes", found=f"{len(data)} bytes")
        return cls(*cls.LAYOUT.unpack(data))

    def encode(self) -> bytes:
        """The struct's bytes. Raises LayoutError when a value does not fit or is out of range."""
        return self.LAYOUT.pack(msgspec.structs.astuple(self))


class TailBlock(Block, frozen=True, gc=False):
    """A block that ends with extra feedback, the same number of bytes for each player. The last field holds these
    bytes.
    """

    @classmethod
    def decode(cls, data: Buffer) -> Self:
        """Reads the struct's bytes, and takes all that follow as the extra feedback.

        Raises:
            LayoutError: the data has another length, or a value is out of range.
        """
        extra = len(data) - cls.LAYOUT.size
        check_extra(cls.LAYOUT.name, extra, expected=f"{cls.LAYOUT.size} bytes and {{}}")
        return cls(*cls.LAYOUT.unpack(data), bytes(data[cls.LAYOUT.size :]))

    def encode(self) -> bytes:
        """The struct's bytes and the extra feedback. Raises LayoutError when a value does not fit."""
        *values, extra = msgspec.structs.astuple(self)
        check_extra(f"extra feedback of {self.LAYOUT.name}", len(extra))
        return self.LAYOUT.pack(values) + bytes(extra)


def check_extra(what: str, size: int, expected: str = "{}") -> None:
    """Refuses a number of bytes that two players' extra feedback cannot have. Raises LayoutError."""
    if size % 2 or not 0 <= size <= 2 * MAX_EXTRA_SIZE:
        even = f"an even number of bytes up to {2 * MAX_EXTRA_SIZE} of extra feedback"
        raise LayoutError(what, expected=expected.format(even), found=f"{size} bytes of it")


class Account(msgspec.Struct, frozen=True, gc=False):
    """An account whose data is one struct of fixed size."""

    LAYOUT: ClassVar[Layout]

    @classmethod
    def decode(cls, data: Buffer, *, owner: Pubkey | None = None, address: object = None) -> Self:
        """Reads an account's data.

        Args:
            data: all of the account's data.
            owner: the account's owner; checked when given.
            address: the account's address, for the error's text.

        Raises:
            AccountError: the owner or the discriminator is wrong.
            LayoutError: the data is too short or too long, or a value is out of range.
        """
        cls.LAYOUT.check_account(data, owner, address)
        return cls(*cls.LAYOUT.unpack(data, address))

    def encode(self) -> bytes:
        """The account's data. Raises LayoutError when a value does not fit or is out of range."""
        return self.LAYOUT.pack(msgspec.structs.astuple(self))

    def body(self) -> bytes:
        """The struct without its discriminator, which is the form that `update` takes and a system returns."""
        return self.encode()[8:]


class TailAccount(Account, frozen=True, gc=False):
    """An account with bytes after its struct: a tail and, where the class has a TRAILER, one more struct."""

    TRAILER: ClassVar[Layout | None] = None

    @classmethod
    def decode(cls, data: Buffer, *, owner: Pubkey | None = None, address: object = None) -> Self:
        """Reads an account's data as `Account.decode` does, and checks that the tail has the size that the struct's
        fields say.
        """
        trailer = cls.TRAILER.size if cls.TRAILER else 0
        cls.LAYOUT.check_account(data, owner, address, tail=True, trailer=trailer)
        end = len(data) - trailer
        rest = (bytes(data[cls.LAYOUT.size : end]), *((bytes(data[end:]),) if trailer else ()))
        account = cls(*cls.LAYOUT.unpack(data, address), *rest)
        account._check_tail(address)
        return account

    @classmethod
    def decode_head(cls, data: Buffer, *, owner: Pubkey | None = None, address: object = None) -> Self:
        """Reads only the struct, for example from data fetched with a dataSlice. Tail and trailer of the result are
        empty.
        """
        cls.LAYOUT.check_account(data, owner, address, tail=True)
        return cls(*cls.LAYOUT.unpack(data, address), *((b"", b"") if cls.TRAILER else (b"",)))

    def encode(self) -> bytes:
        """The account's data, tail and trailer included."""
        values = msgspec.structs.astuple(self)
        fields = len(self.LAYOUT.names)
        return self.LAYOUT.pack(values[:fields]) + b"".join(values[fields:])

    def _check_tail(self, address: object) -> None:
        raise NotImplementedError

    def _refuse_tail(self, address: object, expected: str, found: int) -> None:
        raise LayoutError(f"{self.LAYOUT.where(address)}: bytes after the struct", expected=expected, found=found)
