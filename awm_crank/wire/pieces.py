"""Pieces of a mirrored cartridge: k of data and n of parity, and the proof that a piece belongs to its root.

A publisher puts a `Sheet` on chain: sizes, the cartridge's SHA-256 and one Merkle root (docs/mirrors.md). The bytes lie
on mirrors, as files that begin with the hashes of all their leaves. So a reader checks each leaf of 64 KiB as it
arrives, and any k pieces give the cartridge.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from hashlib import sha256

from msgspec import Struct

from ..errors import CartridgeError
from . import merkle
from .contract import LEAF_BYTES as LEAF

MAX_PIECES = 64
MAX_BYTES = 256 << 20
"""The largest cartridge that a sheet may name. A reader holds it in memory."""

_SHEET_MAGIC, _PIECE_MAGIC = b"AWMMIRR\0", b"AWMPIECE"
_FIELDS = struct.Struct("<8sBBBB4xQ32s32s")
SHEET_SIZE = _FIELDS.size
_VERSION = 1
_ROOT = b"\2"


class Sheet(Struct, frozen=True):
    """What the chain says of a mirrored cartridge; 88 bytes.

    `data` and `parity` are numbers of pieces, k and n. `size` is the cartridge's bytes, `sha256` its hash. `root`
    proves every leaf of every piece, and the four others.
    """

    data: int
    parity: int
    size: int
    sha256: bytes
    root: bytes

    @property
    def pieces(self) -> int:
        """k + n."""
        return self.data + self.parity

    @property
    def piece_size(self) -> int:
        """Bytes of content in each piece. The last data piece ends with zeros where `size` is no multiple of k."""
        return -(-self.size // self.data)

    @property
    def leaves(self) -> int:
        """Leaves of each piece."""
        return -(-self.piece_size // LEAF)

    @property
    def head_size(self) -> int:
        """Bytes of a piece's file before its content."""
        return SHEET_SIZE + 32 * (self.pieces + self.leaves)

    @property
    def file_size(self) -> int:
        """Bytes of each piece's file."""
        return self.head_size + self.piece_size

    def name(self, index: int) -> str:
        """The file name of a piece, such as `9f…e1.0.piece`."""
        return f"{self.root.hex()}.{index}.piece"

    def encode(self) -> bytes:
        """The bytes on chain."""
        return self._encode(_SHEET_MAGIC, 0)

    def piece_start(self, index: int) -> bytes:
        """The first 88 bytes of a piece's file."""
        return self._encode(_PIECE_MAGIC, index)

    def _encode(self, magic: bytes, index: int) -> bytes:
        return _FIELDS.pack(magic, _VERSION, self.data, self.parity, index, self.size, self.sha256, self.root)

    @classmethod
    def decode(cls, raw: bytes, what: str) -> Sheet:
        """The sheet on chain. Raises CartridgeError if this is none."""
        return _decode(raw, _SHEET_MAGIC, what)[0]


def is_sheet(raw: bytes) -> bool:
    """Whether bytes begin as a sheet does."""
    return raw.startswith(_SHEET_MAGIC)


def of_piece(raw: bytes, what: str) -> tuple[Sheet, int]:
    """The sheet and the index that a piece's file claims in its first 88 bytes. Only `Reader` proves them.

    Raises:
        CartridgeError: these are not a piece's first bytes.
    """
    return _decode(raw[:SHEET_SIZE], _PIECE_MAGIC, what)


def _decode(raw: bytes, magic: bytes, what: str) -> tuple[Sheet, int]:
    if len(raw) != SHEET_SIZE or not raw.startswith(magic):
        raise CartridgeError(what, expected=f"{SHEET_SIZE} bytes that begin with {magic!r}", found=f"{raw[:8]!r}")
    _, version, data, parity, index, size, digest, root = _FIELDS.unpack(raw)
    if version != _VERSION or any(raw[12:16]):
        raise CartridgeError(f"{what}: version", expected=_VERSION, found=version, hint="upgrade awm-crank")
    sheet = Sheet(data, parity, size, digest, root)
    _check_sizes(sheet, what)
    if index >= (sheet.pieces if magic == _PIECE_MAGIC else 1):
        raise CartridgeError(f"{what}: index", expected=f"below {sheet.pieces}", found=index)
    return sheet, index


def _check_sizes(sheet: Sheet, what: str) -> None:
    if not 1 <= sheet.data <= sheet.pieces <= MAX_PIECES:
        raise CartridgeError(
            f"{what}: pieces", expected=f"1 to {MAX_PIECES} with one of data", found=f"{sheet.data}+{sheet.parity}"
        )
    if not sheet.data <= sheet.size <= MAX_BYTES:
        raise CartridgeError(f"{what}: size", expected=f"{sheet.data} to {MAX_BYTES:,} bytes", found=sheet.size)


class Reader:
    """Takes a piece's file in parts of any size, and proves each leaf when its last byte is there.

    Args:
        sheet: the chain's.
        index: of the piece.
    """

    def __init__(self, sheet: Sheet, index: int) -> None:
        self._sheet, self._index = sheet, index
        self._held = bytearray()
        self._hashes: list[bytes] = []
        self.content = bytearray()
        """The bytes that are proven."""

    @property
    def done(self) -> bool:
        """Every leaf is proven."""
        return len(self.content) == self._sheet.piece_size

    def feed(self, part: bytes) -> None:
        """Takes the file's next bytes.

        Raises:
            CartridgeError: they are not this piece's; the error names the first leaf that differs.
        """
        self._held += part
        if not self._hashes:
            if len(self._held) < self._sheet.head_size:
                return
            self._hashes = self._head(bytes(self._held[: self._sheet.head_size]))
            del self._held[: self._sheet.head_size]
        while self._held:
            at = len(self.content)
            size = min(LEAF, self._sheet.piece_size - at)
            if size == 0:
                raise CartridgeError(f"piece {self._index}", expected=f"{self._sheet.file_size} bytes", found="more")
            if len(self._held) < size:
                return
            leaf = bytes(self._held[:size])
            if merkle.leaf_hash(leaf) != self._hashes[at // LEAF]:
                raise CartridgeError(
                    f"piece {self._index}, leaf {at // LEAF} of {self._sheet.leaves}: SHA-256",
                    expected=self._hashes[at // LEAF].hex(), found=merkle.leaf_hash(leaf).hex(),
                )  # fmt: skip
            self.content += leaf
            del self._held[:size]

    def finish(self) -> bytes:
        """The piece's content. Raises CartridgeError if the file ended early."""
        if not self.done:
            got = len(self.content) + len(self._held) + (self._sheet.head_size if self._hashes else 0)
            raise CartridgeError(f"piece {self._index}", expected=f"{self._sheet.file_size} bytes", found=got)
        return bytes(self.content)

    def _head(self, head: bytes) -> list[bytes]:
        sheet, what = self._sheet, f"piece {self._index}"
        if head[:SHEET_SIZE] != sheet.piece_start(self._index):
            raise CartridgeError(f"{what}: head", expected="the chain's sizes, hash and root", found="others")
        hashes = [head[at : at + 32] for at in range(SHEET_SIZE, len(head), 32)]
        roots, own = hashes[: sheet.pieces], hashes[sheet.pieces :]
        if _root(sheet, roots) != sheet.root:
            raise CartridgeError(f"{what}: Merkle root", expected=sheet.root.hex(), found=_root(sheet, roots).hex())
        if merkle.root(own) != roots[self._index]:
            raise CartridgeError(
                f"{what}: its own root", expected=roots[self._index].hex(), found=merkle.root(own).hex()
            )
        return own


def split(cartridge: bytes, data: int, parity: int) -> tuple[Sheet, list[bytes]]:
    """Makes the sheet and the k + n piece files of a cartridge.

    Raises:
        CartridgeError: impossible numbers of pieces, or a cartridge that is too large.
    """
    blank = Sheet(data, parity, len(cartridge), sha256(cartridge).digest(), bytes(32))
    _check_sizes(blank, "pieces")
    contents = _encoded(blank, cartridge)
    hashes = [merkle.leaf_hashes(content) for content in contents]
    roots = [merkle.root(each) for each in hashes]
    sheet = Sheet(data, parity, blank.size, blank.sha256, _root(blank, roots))
    return sheet, [
        b"".join((sheet.piece_start(index), *roots, *hashes[index], content)) for index, content in enumerate(contents)
    ]


def join(sheet: Sheet, contents: Mapping[int, bytes]) -> bytes:
    """The cartridge, from the proven contents of any k pieces, by index.

    Raises:
        CartridgeError: fewer than k pieces, or they give another cartridge than the sheet names: its publisher made
            pieces that do not belong together.
    """
    # data pieces first: they need no arithmetic
    chosen = sorted(contents)[: sheet.data]
    if len(chosen) < sheet.data:
        raise CartridgeError("pieces", expected=sheet.data, found=len(chosen))
    whole = _decoded(sheet, [contents[index] for index in chosen], chosen)
    if (found := sha256(whole).digest()) != sheet.sha256:
        raise CartridgeError(
            "the mirrored cartridge: SHA-256", expected=sheet.sha256.hex(), found=found.hex(),
            hint="the publisher's pieces are wrong; publish it again",
        )  # fmt: skip
    return whole


def _encoded(sheet: Sheet, cartridge: bytes) -> list[bytes]:
    size = sheet.piece_size
    parts = [cartridge[at * size : (at + 1) * size].ljust(size, b"\0") for at in range(sheet.data)]
    if not sheet.parity:
        return parts
    from zfec import Encoder

    encoder, wanted = Encoder(sheet.data, sheet.pieces), tuple(range(sheet.data, sheet.pieces))
    parity: list[list[bytes]] = [[] for _ in wanted]
    for at in range(0, size, LEAF):
        made = encoder.encode([part[at : at + LEAF] for part in parts], wanted)
        for rows, row in zip(parity, made, strict=True):
            rows.append(row)
    return [*parts, *map(b"".join, parity)]


def _decoded(sheet: Sheet, parts: Sequence[bytes], chosen: list[int]) -> bytes:
    if chosen == list(range(sheet.data)):
        return b"".join(parts)[: sheet.size]
    from zfec import Decoder

    decoder, size = Decoder(sheet.data, sheet.pieces), sheet.piece_size
    whole = bytearray(size * sheet.data)
    # leaf by leaf, because zfec holds the interpreter: a whole piece at once would delay frames
    for at in range(0, size, LEAF):
        rows = decoder.decode([part[at : at + LEAF] for part in parts], chosen)
        for number, row in enumerate(rows):
            whole[number * size + at : number * size + at + len(row)] = row
    return bytes(memoryview(whole)[: sheet.size])


def _root(sheet: Sheet, roots: Sequence[bytes]) -> bytes:
    """The root over the pieces' roots, and over the sizes and the hash, so that it alone names one sheet."""
    bound = struct.pack("<BBQ32s", sheet.data, sheet.parity, sheet.size, sheet.sha256)
    return sha256(_ROOT + bound + merkle.root(roots)).digest()
