"""Accounts as JSON text: encodings, data slices and filters."""

from __future__ import annotations

import binascii
from typing import TypeGuard

import msgspec
import zstandard
from solders.account import Account
from solders.pubkey import Pubkey

from . import base58, parsed, tokens
from .faults import INVALID_REQUEST, RequestError, invalid_params

ENCODINGS = ("binary", "base58", "base64", "base64+zstd", "jsonParsed")
MAX_BASE58_BYTES = 128
MAX_FILTERS = 4
_ZSTD = zstandard.ZstdCompressor(level=1)
_U64_MAX = 2**64 - 1
_BUILT_IN = {
    Pubkey.from_string("Sysvar1111111111111111111111111111111111111"),
    Pubkey.from_string("NativeLoader1111111111111111111111111111111"),
}


def _find_nothing(_key: Pubkey) -> None:
    return None


class AccountView(msgspec.Struct, frozen=True):
    """How a client wants an account shown. Equal views of an account have equal text, which is made once.

    Args:
        encoding: one of ENCODINGS. jsonParsed shows base64 for programs that `parsed` does not know.
        offset, length: the wanted slice of the data. Without an offset, all of it.
    """

    encoding: str = "binary"
    offset: int | None = None
    length: int = 0

    @classmethod
    def parse(cls, config: dict[str, object], default: str = "binary") -> AccountView:
        """From a request's configuration object. Raises RequestError."""
        encoding = config.get("encoding")
        if encoding is None:
            encoding = default
        if encoding not in ENCODINGS:
            known = ", ".join(f"`{name}`" for name in ENCODINGS)
            raise invalid_params(f"Invalid params: unknown variant `{encoding}`, expected one of {known}.")
        piece = config.get("dataSlice")
        if piece is None:
            return cls(str(encoding))
        if not isinstance(piece, dict):
            raise invalid_params("Invalid params: invalid type: expected struct UiDataSliceConfig.")
        offset, length = piece.get("offset"), piece.get("length")
        if not is_u64(offset) or not is_u64(length):
            raise invalid_params("Invalid params: dataSlice wants offset and length, both usize.")
        return cls(str(encoding), offset, length)

    def cut(self, data: bytes) -> bytes:
        """The slice of the data."""
        return data if self.offset is None else data[self.offset : self.offset + self.length]

    def refuse_long(self, account: Account) -> None:
        """Raises RequestError if base58 is wanted for more data than validators encode that way."""
        if self.encoding in ("base58", "binary") and len(account.data) > MAX_BASE58_BYTES:
            shown = len(self.cut(account.data))
            if shown > MAX_BASE58_BYTES:
                raise RequestError(
                    INVALID_REQUEST,
                    f"Encoded binary (base 58) data should be less than {MAX_BASE58_BYTES} bytes, please use Base64"
                    " encoding.",
                )

    def render(self, account: Account | None, find: tokens.Find = _find_nothing) -> bytes:
        """The account as JSON. A missing one is shown as an empty account of the system program, as in notifications.

        Args:
            find: looks up other accounts, which jsonParsed may need.
        """
        if account is None:
            account = _GONE
        whole = account.data
        data = self.cut(whole)
        match self.encoding:
            case "jsonParsed" if (found := parsed.parse(account, find)) is not None:
                shown = found
            case "base64" | "jsonParsed":
                shown = b'["%b","base64"]' % binascii.b2a_base64(data, newline=False)
            case "base64+zstd":
                shown = b'["%b","base64+zstd"]' % binascii.b2a_base64(_ZSTD.compress(data), newline=False)
            case "base58":
                shown = b'["%b","base58"]' % _base58(data)
            case _:
                shown = b'"%b"' % _base58(data)
        return b'{"data":%b,"executable":%b,"lamports":%d,"owner":"%b","rentEpoch":%d,"space":%d}' % (
            shown,
            b"true" if account.executable else b"false",
            account.lamports,
            str(account.owner).encode(),
            # no account pays rent any more: validators show the largest epoch
            0 if account.owner in _BUILT_IN else _U64_MAX,
            len(whole),
        )


_GONE = Account(0, b"", Pubkey.default(), False, _U64_MAX)


def is_u64(value: object) -> TypeGuard[int]:
    """Whether a decoded JSON value is an unsigned 64-bit number (true and false are not)."""
    return type(value) is int and 0 <= value <= _U64_MAX


def _base58(data: bytes) -> bytes:
    return base58.encode(data) if len(data) <= MAX_BASE58_BYTES else b"error: data too large for bs58 encoding"


class Filters(msgspec.Struct, frozen=True):
    """The filters of getProgramAccounts. All have to match."""

    size: tuple[int, ...] = ()
    compare: tuple[tuple[int, bytes], ...] = ()

    @classmethod
    def parse(cls, value: object) -> Filters:
        """From the `filters` array; raises RequestError."""
        if value is None:
            return cls()
        if not isinstance(value, list):
            raise invalid_params("Invalid params: invalid type: filters must be a sequence.")
        if len(value) > MAX_FILTERS:
            raise invalid_params(f"Too many filters provided; max {MAX_FILTERS}")
        sizes: list[int] = []
        compares: list[tuple[int, bytes]] = []
        for item in value:
            match item:
                case {"dataSize": size} if is_u64(size):
                    sizes.append(size)
                case {"memcmp": dict(compare)}:
                    compares.append(_parse_memcmp(compare))
                case _:
                    raise invalid_params("Invalid params: unknown filter, expected `dataSize` or `memcmp`.")
        return cls(tuple(sizes), tuple(compares))

    def match(self, account: Account) -> bool:
        """Whether the account passes."""
        data = account.data
        size = len(data)
        if any(size != wanted for wanted in self.size):
            return False
        return all(data[offset : offset + len(wanted)] == wanted for offset, wanted in self.compare)


def _parse_memcmp(compare: dict[str, object]) -> tuple[int, bytes]:
    offset, wanted = compare.get("offset"), compare.get("bytes")
    if not is_u64(offset):
        raise invalid_params("Invalid params: memcmp wants an offset.")
    encoding = compare.get("encoding") or "base58"
    try:
        if isinstance(wanted, list):
            raw = bytes(wanted)
        elif not isinstance(wanted, str):
            raise ValueError("no bytes")
        elif encoding == "base64":
            raw = binascii.a2b_base64(wanted, strict_mode=True)
        elif len(wanted) > 2 * MAX_BASE58_BYTES:
            raise ValueError("too long")
        else:
            raw = base58.decode(wanted)
    except (ValueError, TypeError) as error:
        raise invalid_params(f"Invalid param: memcmp bytes: {error}") from None
    if len(raw) > MAX_BASE58_BYTES:
        raise invalid_params("Invalid param: memcmp bytes: data too large")
    return offset, raw
