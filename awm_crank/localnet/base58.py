"""Base58 of any length, with Bitcoin's alphabet (solders has it for keys, hashes and signatures only)."""

from __future__ import annotations

_ALPHABET = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS = {character: value for value, character in enumerate(_ALPHABET)}


def encode(data: bytes) -> bytes:
    """The text of `data`, as ASCII bytes. Quadratic in its length: meant for some hundred bytes."""
    number = int.from_bytes(data, "big")
    out = bytearray()
    while number:
        number, digit = divmod(number, 58)
        out.append(_ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    out.extend(_ALPHABET[:1] * zeros)
    out.reverse()
    return bytes(out)


def decode(text: str) -> bytes:
    """The bytes of a base58 text.

    Raises:
        ValueError: a character that is not of the alphabet.
    """
    number = 0
    raw = text.encode()
    for character in raw:
        digit = _DIGITS.get(character)
        if digit is None:
            raise ValueError(f"{chr(character)!r} is not a base58 character")
        number = number * 58 + digit
    zeros = len(raw) - len(raw.lstrip(b"1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
