"""Changes inputs: a little or a lot, blindly or by their structure, and always the same way for the same seed."""

from __future__ import annotations

import io
import json
import random
import warnings
import zipfile
from collections.abc import Sequence
from typing import Any

_NUMBERS = (
    0,
    1,
    2,
    7,
    8,
    16,
    31,
    32,
    63,
    64,
    127,
    128,
    255,
    256,
    1023,
    4096,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
)
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.5, 1e308, 2**53, 2**63, 2**64, 2**70, "", "x", "A" * 5000, "\ud800", "\x1b[2J", [],
    {}, [None], [[[]]], {"a": 1}, "1" * 44, "base64", "base58", ["AAAA", "base64"],
)  # fmt: skip
_TOKENS = (
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b",",
    b":",
    b"null",
    b"\xff\xfe",
    b"\x00",
    b"\\ud800",
    b"PK\x01\x02",
    b"\r\n",
    b"[" * 3000,
)


_ZIP = b"PK\x03\x04"
_MAX_MEMBERS_BYTES = 1 << 20
_HEAD = 256


def mutated(data: bytes, corpus: Sequence[bytes], draw: random.Random) -> bytes:
    """Returns a changed copy of this input, sometimes mixed with a second input of the corpus."""
    if data[:1] in (b"{", b"[") and draw.random() < 0.6:
        changed = _changed_json(data, draw)
        if changed is not None:
            return changed
    if data[:4] == _ZIP and draw.random() < 0.6:
        repacked = _changed_zip(data, corpus, draw)
        if repacked is not None:
            return repacked
    out = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        _change(out, corpus, draw)
    return bytes(out)


def _change(out: bytearray, corpus: Sequence[bytes], draw: random.Random) -> None:
    # the head of a large file says how the rest is read
    at = draw.randrange(_HEAD if len(out) > 2048 and draw.random() < 0.4 else len(out) + 1)
    kind = draw.randrange(8)
    if kind == 0 and at < len(out):
        out[at] ^= 1 << draw.randrange(8)
    elif kind == 1 and at < len(out):
        out[at] = draw.randrange(256)
    elif kind == 2:
        size = draw.choice((1, 2, 4, 8))
        out[at : at + size] = (draw.choice(_NUMBERS) & (1 << 8 * size) - 1).to_bytes(size, "little")
    elif kind == 3:
        del out[at : at + draw.choice((1, 2, 8, 64, 1024))]
    elif kind == 4:
        out[at:at] = draw.choice(_TOKENS)
    elif kind == 5:
        out[at:at] = bytes(draw.randrange(256) for _ in range(draw.choice((1, 4, 16))))
    elif kind == 6:
        del out[at:]
    else:
        other = draw.choice(corpus)
        start = draw.randrange(len(other) + 1)
        out[at:] = other[start : start + 65536]


def _changed_zip(data: bytes, corpus: Sequence[bytes], draw: random.Random) -> bytes | None:
    """The same archive with one member changed and its checksum right; None where it cannot be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if not entries or sum(entry.file_size for entry in entries) > _MAX_MEMBERS_BYTES:
                return None
            members = [(entry.filename, entry.compress_type, bytearray(archive.read(entry))) for entry in entries]
    except Exception:
        # on damaged archives zipfile lets out NotImplementedError, zlib.error, struct.error and more
        return None
    _, _, chosen = draw.choice(members)
    # what says how the rest is read is short: the first bytes of an array, the whole pickle
    head = chosen[:128] if draw.random() < 0.7 else chosen[:]
    rest = chosen[len(head) :]
    _change(head, corpus, draw)
    chosen[:] = head + rest
    if draw.random() < 0.05:
        members.remove(draw.choice(members))
    out = io.BytesIO()
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
            warnings.simplefilter("ignore")
            for name, packing, content in members:
                archive.writestr(zipfile.ZipInfo(name), bytes(content), packing)
    except (ValueError, NotImplementedError, RuntimeError, UnicodeError, zipfile.LargeZipFile):
        return None
    return out.getvalue()


def _changed_json(data: bytes, draw: random.Random) -> bytes | None:
    """Changes one place of a JSON text: replaces its value, removes it, or nests it deeply. None if the text is not
    JSON.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    places: list[tuple[Any, Any]] = []
    todo = [value]
    while todo:
        node = todo.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        for key in keys:
            places.append((node, key))
            if isinstance(node[key], dict | list):
                todo.append(node[key])
    if not places:
        return None
    node, key = draw.choice(places)
    if draw.random() < 0.2:
        del node[key]
    else:
        node[key] = draw.choice(_VALUES)
    text = json.dumps(value).encode()
    if draw.random() < 0.02:
        text = text.replace(b"null", b"[" * 20_000 + b"]" * 20_000, 1)
    return text
