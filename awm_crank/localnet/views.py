"""Accounts as JSON text: encodings, data slices and filters."""

from __future__ import annotations

import binascii
from typing import Any

import msgspec
import zstandard
from solders.account import Account
from solders.pubkey import Pubkey

from . import base58, base64, parsed, tokens
from .faults import INVALID_REQUEST, RequestError, invalid_params

MAX_BASE58_BYTES = 128
MAX_FILTERS = 4
_ZSTD = zstandard.ZstdCompressor(level=1)
MAX_BASE58_CHARACTERS = 175
MAX_BASE64_CHARACTERS = 172
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
        encoding: binary, base58, base64, base64+zstd or jsonParsed, which shows base64 for programs that `parsed` does
            not know.
        offset, length: the wanted slice of the data. Without an offset, all of it.
    """

    encoding: str = "binary"
    offset: int | None = None
    length: int = 0

    @classmethod
    def parse(cls, config: dict[str, Any], default: str = "binary") -> AccountView:
        """From a request's configuration object, which `schema` has checked."""
        encoding = config.get("encoding") or default
        piece = config.get("dataSlice")
        return cls(encoding) if piece is None else cls(encoding, piece["offset"], piece["length"])

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


def _base58(data: bytes) -> bytes:
    return base58.encode(data) if len(data) <= MAX_BASE58_BYTES else b"error: data too large for bs58 encoding"


class Filters(msgspec.Struct, frozen=True):
    """The filters of getProgramAccounts. All have to match."""

    size: tuple[int, ...] = ()
    compare: tuple[tuple[int, bytes], ...] = ()
    tokens_only: bool = False

    @classmethod
    def parse(cls, value: list[Any] | None) -> Filters:
        """From the `filters` array, which `schema` has checked. Raises RequestError."""
        if not value:
            return cls()
        if len(value) > MAX_FILTERS:
            raise invalid_params(f"Too many filters provided; max {MAX_FILTERS}")
        sizes = tuple(item["dataSize"] for item in value if "dataSize" in item)
        compares = tuple(_parse_memcmp(item["memcmp"]) for item in value if "memcmp" in item)
        return cls(sizes, compares, "tokenAccountState" in value)

    def match(self, account: Account) -> bool:
        """Whether the account passes."""
        data = account.data
        size = len(data)
        if any(size != wanted for wanted in self.size):
            return False
        if self.tokens_only and not tokens.is_token_account(data):
            return False
        return all(data[offset : offset + len(wanted)] == wanted for offset, wanted in self.compare)


def _parse_memcmp(compare: dict[str, Any]) -> tuple[int, bytes]:
    wanted, is_base64 = compare["bytes"], compare["encoding"] == "base64"
    if isinstance(wanted, list):
        raw = bytes(wanted)
    elif len(wanted) > (MAX_BASE64_CHARACTERS if is_base64 else MAX_BASE58_CHARACTERS):
        raise invalid_params("Invalid param: DataTooLarge")
    else:
        try:
            raw = base64.decode(wanted) if is_base64 else base58.decode(wanted)
        except ValueError as error:
            kind = "Base64DecodeError" if is_base64 else "Base58DecodeError"
            raise invalid_params(f"Invalid param: {kind}({error})") from None
    if len(raw) > MAX_BASE58_BYTES:
        raise invalid_params("Invalid param: DataTooLarge")
    return compare["offset"], raw
