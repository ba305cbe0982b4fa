"""Reads the params of requests. Every function returns a checked value or raises RequestError (-32602, -32016)."""

from __future__ import annotations

import binascii
from typing import Any

from solders.pubkey import Pubkey
from solders.signature import Signature

from . import base58
from .faults import MIN_CONTEXT_SLOT, RequestError, invalid_params
from .views import is_u64

COMMITMENTS = ("processed", "confirmed", "finalized", "recent", "single", "singleGossip", "root", "max")
"""The present three, and old names that validators still accept."""


def required(params: list[Any], index: int) -> Any:
    """The param at an index."""
    if len(params) <= index:
        raise invalid_params(f"`params` should have at least {index + 1} argument(s)")
    return params[index]


def config(params: list[Any], index: int, slot: int) -> dict[str, Any]:
    """The configuration object at an index, with commitment and minContextSlot checked; {} if there is none.

    Args:
        slot: the present slot. A larger minContextSlot is refused.
    """
    found = params[index] if len(params) > index else None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise invalid_params(f"Invalid params: invalid type: expected a configuration object at {index}.")
    commitment = found.get("commitment")
    if commitment is not None and commitment not in COMMITMENTS:
        raise invalid_params(
            f"Invalid params: unknown variant `{commitment}`, expected one of `processed`, `confirmed`, `finalized`."
        )
    wanted = found.get("minContextSlot")
    if wanted is not None:
        if not is_u64(wanted):
            raise invalid_params("Invalid params: minContextSlot wants a u64.")
        if wanted > slot:
            raise RequestError(
                MIN_CONTEXT_SLOT, "Minimum context slot has not been reached", b'{"contextSlot":%d}' % slot
            )
    return found


def text(params: list[Any], index: int) -> str:
    """A required string."""
    found = required(params, index)
    if not isinstance(found, str):
        raise invalid_params("Invalid params: invalid type: expected a string.")
    return found


def number(params: list[Any], index: int) -> int:
    """A required u64."""
    found = required(params, index)
    if not is_u64(found):
        raise invalid_params("Invalid params: invalid type: expected u64.")
    return int(found)


def parse_key(value: object) -> bytes:
    """A base58 public key as its 32 bytes."""
    if not isinstance(value, str):
        raise invalid_params("Invalid params: invalid type: expected a string.")
    try:
        return bytes(Pubkey.from_string(value))
    except ValueError:
        # solders does not say which of these two errors it is; validators do
        raise invalid_params(f"Invalid param: {_why_not(value, 32)}") from None


def parse_signature(value: object) -> bytes:
    """A base58 signature as its 64 bytes."""
    if not isinstance(value, str):
        raise invalid_params("Invalid params: invalid type: expected a string.")
    try:
        return bytes(Signature.from_string(value))
    except ValueError:
        raise invalid_params(f"Invalid param: {_why_not(value, 64)}") from None


def _why_not(value: str, size: int) -> str:
    if len(value) > 2 * size:
        return "WrongSize"
    try:
        base58.decode(value)
    except ValueError:
        return "Invalid"
    return "WrongSize"


def key(params: list[Any], index: int) -> bytes:
    """A required public key."""
    return parse_key(required(params, index))


def keys(value: object, most: int) -> list[bytes]:
    """An array of at most `most` public keys."""
    if not isinstance(value, list):
        raise invalid_params("Invalid params: invalid type: expected a sequence.")
    if len(value) > most:
        raise invalid_params(f"Too many inputs provided; max {most}")
    return [parse_key(item) for item in value]


def blob(encoded: str, encoding: object, kind: str, most: int) -> bytes:
    """Decodes a transaction or message.

    Args:
        encoding: base58 (the default, None) or base64.
        kind: the type's name, for the error.
        most: the most bytes that it may have.
    """
    if encoding is None:
        encoding = "base58"
    if encoding not in ("base58", "base64"):
        raise invalid_params(f"unsupported encoding: {encoding}. Supported encodings: base58, base64")
    limit = -(-most // 3) * 4 if encoding == "base64" else -(-most * 137 // 100)
    if len(encoded) > limit:
        raise invalid_params(
            f"{encoding} encoded {kind} too large: {len(encoded)} bytes (max: encoded/raw {limit}/{most})"
        )
    try:
        if encoding == "base64":
            return binascii.a2b_base64(encoded, strict_mode=True)
        return base58.decode(encoded)
    except ValueError as error:
        raise invalid_params(f"invalid {encoding} encoding: {error}") from None


def supported_version(settings: dict[str, Any]) -> int | None:
    """`maxSupportedTransactionVersion`."""
    found = settings.get("maxSupportedTransactionVersion")
    if found is not None and not is_u64(found):
        raise invalid_params("Invalid params: maxSupportedTransactionVersion wants a u8.")
    return found
