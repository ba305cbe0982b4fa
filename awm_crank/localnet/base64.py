"""Decodes clients' base64. Errors have the same words as Rust's base64 crate, because validators pass those on."""

from __future__ import annotations

import binascii
import string

_ALPHABET = frozenset(string.ascii_letters + string.digits + "+/")


def decode(text: str) -> bytes:
    """The bytes of a base64 text with its padding. Raises ValueError in Rust's words, as "InvalidPadding"."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise ValueError(_why_not(text)) from None


def _why_not(text: str) -> str:
    raw = text.encode()
    symbols = text.rstrip("=") if len(text) - len(text.rstrip("=")) < 3 else text
    for at, symbol in enumerate(symbols):
        if symbol not in _ALPHABET:
            offset = len(text[:at].encode())
            return f"InvalidByte({offset}, {raw[offset]})"
    if len(raw) % 4 == 1:
        return f"InvalidLength({len(raw)})"
    return "InvalidPadding"
