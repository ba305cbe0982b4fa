"""Reads the params of requests after `schema` has checked their form. Each function raises RequestError for faults that
`schema` cannot find, such as a key of the wrong size (-32602) or a slot that is not reached yet (-32016).
"""

from __future__ import annotations

from typing import Any

from solders.pubkey import Pubkey
from solders.signature import Signature

from . import base58, base64
from .faults import MIN_CONTEXT_SLOT, RequestError, invalid_params


def config(params: list[Any], index: int, slot: int) -> dict[str, Any]:
    """The configuration object at an index; {} if there is none.

    Args:
        slot: the present slot. A larger minContextSlot is refused.
    """
    found = params[index]
    if not isinstance(found, dict):
        return {}
    wanted = found.get("minContextSlot")
    if wanted is not None and wanted > slot:
        raise RequestError(MIN_CONTEXT_SLOT, "Minimum context slot has not been reached", b'{"contextSlot":%d}' % slot)
    return found


def parse_key(value: str) -> bytes:
    """A base58 public key as its 32 bytes."""
    try:
        return bytes(Pubkey.from_string(value))
    except ValueError:
        # solders does not say which of these two errors it is; validators do
        raise invalid_params(f"Invalid param: {_why_not(value, 32)}") from None


def parse_signature(value: str) -> bytes:
    """A base58 signature as its 64 bytes."""
    try:
        return bytes(Signature.from_string(value))
    except ValueError:
        raise invalid_params(f"Invalid param: {_why_not(value, 64)}") from None


def parse_hash(value: str) -> bytes:
    """A base58 blockhash as its 32 bytes."""
    try:
        return bytes(Pubkey.from_string(value))
    except ValueError:
        raise invalid_params(_why_not(value, 32)) from None


def _why_not(value: str, size: int) -> str:
    if len(value) > 2 * size:
        return "WrongSize"
    try:
        base58.decode(value)
    except ValueError:
        return "Invalid"
    return "WrongSize"


def refuse_processed(settings: dict[str, Any]) -> None:
    """Raises RequestError for a commitment of `processed`, at which validators answer nothing about the history."""
    if settings.get("commitment") == "processed":
        raise invalid_params("Method does not support commitment below `confirmed`")


def key(params: list[Any], index: int) -> bytes:
    """The public key at an index."""
    return parse_key(params[index])


def keys(values: list[str], most: int) -> list[bytes]:
    """At most `most` public keys."""
    if len(values) > most:
        raise invalid_params(f"Too many inputs provided; max {most}")
    return [parse_key(item) for item in values]


def blob(encoded: str, encoding: str | None, kind: str, most: int) -> bytes:
    """Decodes a transaction or message.

    Args:
        encoding: base58 (the default, None; also called binary) or base64.
        kind: the type's name, for the error.
        most: the most bytes that it may have.
    """
    if encoding is None or encoding == "binary":
        encoding = "base58"
    if encoding not in ("base58", "base64"):
        raise invalid_params(f"unsupported encoding: {encoding}. Supported encodings: base58, base64")
    limit = -(-most // 3) * 4 if encoding == "base64" else -(-most * 137 // 100)
    if len(encoded) > limit:
        raise invalid_params(
            f"{encoding} encoded {kind} too large: {len(encoded)} bytes (max: encoded/raw {limit}/{most})"
        )
    try:
        return base64.decode(encoded) if encoding == "base64" else base58.decode(encoded)
    except ValueError as error:
        raise invalid_params(f"invalid {encoding} encoding: {error}") from None


def supported_version(settings: dict[str, Any]) -> int | None:
    """`maxSupportedTransactionVersion`."""
    found: int | None = settings.get("maxSupportedTransactionVersion")
    return found
