"""The Merkle tree of RFC 6962 §2.1 over leaves of 64 KiB, as the weight-shard program computes it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from .contract import LEAF_BYTES


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of one leaf, which has at most 65,536 bytes."""
    return sha256(b"\0" + leaf).digest()


def leaf_hashes(data: bytes) -> list[bytes]:
    """The hash of each leaf of some data, in order. The last leaf may be shorter than the others."""
    return [leaf_hash(data[at : at + LEAF_BYTES]) for at in range(0, len(data), LEAF_BYTES)]


def root(hashes: Sequence[bytes]) -> bytes:
    """The root over the hashes of at least one leaf, or over the roots of other trees."""
    if len(hashes) == 1:
        return hashes[0]
    half = 1 << (len(hashes) - 1).bit_length() - 1
    return sha256(b"\1" + root(hashes[:half]) + root(hashes[half:])).digest()
