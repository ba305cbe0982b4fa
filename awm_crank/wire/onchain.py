"""The engine program's instructions and addresses (docs/onchain-engine.md).

An image's address follows from the content of the cartridge's shards and from the payer. A run accepts any image with
its content, because all of them are equal. A run's address follows from its authority and a number that the authority
chooses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from . import ids, layouts
from .accounts import EngineImage, EngineRun, WeightShard
from .contract import SEEDS
from .idl import load

ENGINE = ids.PROGRAMS["engine"]
MAX_PART_WORDS = 1_310_000
"""Words of 8 bytes in the largest part: an account has at most 10 MiB."""
BLOCK_SLOT = 256
"""Bytes between EngineRun and the vectors; the block of the run's frame begins there."""
UNITS = 1_398_000
"""What an instruction may use in a transaction of 1.4 M compute units whose other instruction asks for them."""

_IDL = load("engine")


def content(shards: Iterable[WeightShard]) -> bytes:
    """Identifies the content of a cartridge's finalized shards, in order: SHA-256 over each one's Merkle root
    and size.
    """
    digest = hashlib.sha256()
    for shard in shards:
        digest.update(shard.merkle_root + shard.data_size.to_bytes(4, "little"))
    return digest.digest()


class Image(NamedTuple):
    """Names an image by its cartridge's content (`content`, 32 bytes) and by its payer."""

    content: bytes
    payer: Pubkey

    def part(self, number: int) -> Pubkey:
        """The address of a part; part 0 is the image itself."""
        return _part(self.content, bytes(self.payer), number)

    @property
    def key(self) -> Pubkey:
        """The address of part 0."""
        return self.part(0)


@lru_cache(maxsize=1024)
def _part(of: bytes, payer: bytes, number: int) -> Pubkey:
    return Pubkey.find_program_address([SEEDS["image"], of, payer, bytes((number,))], ENGINE)[0]


def run_pda(authority: Pubkey, number: int) -> Pubkey:
    """The address of an authority's run."""
    return Pubkey.find_program_address([SEEDS["run"], bytes(authority), number.to_bytes(8, "little")], ENGINE)[0]


def parts(image: EngineImage) -> int:
    """The number of parts with packed words that an image has."""
    return -(-image.words // image.part_words)


def part_size(image: EngineImage, part: int) -> int:
    """Bytes of a part's account; 0 where the image has no such part."""
    if part == 0:
        return layouts.ENGINE_IMAGE.size + image.size
    words = min(image.part_words, image.words - (part - 1) * image.part_words)
    return layouts.ENGINE_IMAGE.size + 8 * words if words > 0 else 0


def image_open(image: Image, shards: Sequence[Pubkey], part_words: int = MAX_PART_WORDS) -> Instruction:
    """Begins the image of the cartridge in `shards`; its payer signs."""
    return _IDL.build("image_open", {"payer": image.payer, "image": image.key}, part_words, rest=_read(shards))


def image_grow(image: Image, part: int) -> Instruction:
    """Creates a part of an image, or grows it by at most 10,240 bytes; the image's payer signs."""
    accounts = {"payer": image.payer, "image": image.key, "part": image.part(part)}
    return _IDL.build("image_grow", accounts, part)


def image_build(image: Image, shards: Sequence[Pubkey], which: Iterable[int], units: int = UNITS) -> Instruction:
    """Continues to build an image, within `units` compute units. `which` parts are passed as accounts. Anyone may send
    it.
    """
    written = tuple(AccountMeta(image.part(part), is_signer=False, is_writable=True) for part in which)
    return _IDL.build("image_build", {"image": image.key}, units, rest=_read(shards) + written)


def image_close(image: Image, part: int) -> Instruction:
    """Closes a part of an image, part 0 first; its payer signs and gets the rent."""
    return _IDL.build("image_close", {"payer": image.payer, "image": image.key, "part": image.part(part)})


def run_open(authority: Pubkey, number: int, image: Image, block: bytes) -> Instruction:
    """Begins a run at frame 0. `block` is that frame's block, including extra feedback."""
    accounts = {"authority": authority, "run": run_pda(authority, number), "image": image.key}
    return _IDL.build("run_open", accounts, number, block)


def run_grow(authority: Pubkey, number: int, image: Image) -> Instruction:
    """Grows a run's account by at most 10,240 bytes."""
    return _IDL.build("run_grow", {"authority": authority, "run": run_pda(authority, number), "image": image.key})


def run_feed(authority: Pubkey, number: int, frame: int, inputs: bytes) -> Instruction:
    """Gives the inputs (16 bytes) of frame `frame`."""
    return _IDL.build("run_feed", {"authority": authority, "run": run_pda(authority, number)}, frame, inputs)


def run_turn(run: Pubkey, image: Image, which: Iterable[int], units: int = UNITS) -> Instruction:
    """Works on a run, within `units` compute units. `which` parts of the image are passed as accounts. Anyone may send
    it.

    The program estimates its costs from a table. If a world's state saturates all the time, a turn may cost more than
    the estimate and fail. In that case, pass fewer units than the transaction has.
    """
    rest = _read(image.part(part) for part in which)
    return _IDL.build("run_turn", {"run": run, "image": image.key}, units, rest=rest)


def run_close(authority: Pubkey, number: int) -> Instruction:
    """Closes a run; its authority gets the rent."""
    return _IDL.build("run_close", {"authority": authority, "run": run_pda(authority, number)})


def block_of(run: EngineRun, size: int) -> bytes:
    """The block of a run's frame, `size` bytes."""
    return bytes(run.work[:size])


def _read(keys: Iterable[Pubkey]) -> tuple[AccountMeta, ...]:
    return tuple(AccountMeta(key, is_signer=False, is_writable=False) for key in keys)
