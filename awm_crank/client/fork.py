"""Forks: a manifest that names another model as its parent and shares the shards that did not change.

A shard is shared if its bytes equal the parent's shard of the same index. Shard 0 begins with the cartridge's header,
whose digest covers the whole file, so it is shared only if nothing changed at all.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ..engine.cartridge import Cartridge, seal
from ..engine.layout import MAX_SHARDS
from ..errors import CartridgeError, ConfigError
from ..wire import ids
from ..wire.accounts import ModelManifest
from . import publish
from .chain import Chain

_GENERATIONS = 64


class Forked(msgspec.Struct, frozen=True):
    """A fork on chain."""

    published: publish.Published
    parent: Pubkey
    shared: tuple[int, ...]
    """Indices of the shards that are the parent's."""
    sha256: bytes


async def fork(
    chain: Chain, authority: Keypair, world: Pubkey, parent: Pubkey, *, cartridge: Cartridge | None = None,
    replaced: Mapping[int, bytes] | None = None, progress: publish.Progress | None = None,
) -> Forked:  # fmt: skip
    """Publishes a fork of `parent`, or finishes one that was cut off.

    Args:
        authority: the key that pays for the new manifest and shards. Only this key can close them.
        parent: the address of a finalized manifest; anybody may have published it.
        cartridge: the changed cartridge; without it, the parent's with the shards in `replaced`.
        replaced: shard index → new bytes. The header's size and digest are adjusted.

    Raises:
        AccountError, CartridgeError: there is no such model, it is damaged, or the result is not a cartridge.
        ConfigError: a shard that the parent does not have.
        ProgramError, RpcError: as `publish.publish`.
    """
    account = await chain.need(parent, "model manifest")
    manifest = ModelManifest.decode(account.data, owner=account.owner, address=parent)
    whole = (await publish.load(chain, parent)).data
    sizes = manifest.shard_sizes[: manifest.num_shards]
    theirs = split(whole, sizes)
    if cartridge is None:
        cartridge = Cartridge.parse(_sealed(theirs, replaced)) if replaced else Cartridge.parse(whole)
        pieces = split(cartridge.data, [len((replaced or {}).get(n, piece)) for n, piece in enumerate(theirs)])
    else:
        pieces = split(cartridge.data, sizes)
    keys = manifest.shard_keys
    shared = tuple(
        keys[index] if index < len(theirs) and piece == theirs[index] else None for index, piece in enumerate(pieces)
    )
    number = await publish.world_id(chain, world)
    wanted = publish.Plan(cartridge, authority.pubkey(), world, number, tuple(pieces), parent, shared)
    published = await publish.carry_out(chain, authority, wanted, progress=progress)
    kept = tuple(index for index, key in enumerate(shared) if key is not None)
    return Forked(published, parent, kept, cartridge.sha256)


def split(data: bytes, sizes: tuple[int, ...] | list[int]) -> list[bytes]:
    """Cuts a cartridge's bytes at the parent's boundaries, so that unchanged bytes fall into the same shards.

    Bytes beyond the parent's length go into further shards. If that makes more than four, all of it is cut into full
    shards instead.

    Raises:
        CartridgeError: it does not fit into four shards.
    """
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    pieces += [data[start : start + publish.SHARD_SIZE] for start in range(at, len(data), publish.SHARD_SIZE)]
    pieces = [piece for piece in pieces if piece]
    if len(pieces) > MAX_SHARDS:
        step = publish.SHARD_SIZE
        pieces = [data[start : start + step] for start in range(0, len(data), step)]
    if len(pieces) > MAX_SHARDS:
        raise CartridgeError(
            "cartridge", expected=f"at most {MAX_SHARDS * publish.SHARD_SIZE:,} bytes", found=f"{len(data):,}"
        )
    return pieces


def _sealed(pieces: list[bytes], replaced: Mapping[int, bytes]) -> bytes:
    for index in replaced:
        if not 0 <= index < len(pieces):
            raise ConfigError(f"shard {index}", expected=f"0..{len(pieces) - 1}, as the parent has them", found=index)
    data = bytearray(b"".join(replaced.get(index, piece) for index, piece in enumerate(pieces)))
    seal(data)
    return bytes(data)


class Ancestor(msgspec.Struct, frozen=True):
    """A model in a lineage. `manifest` is None if the model is not on this chain (any more)."""

    model: Pubkey
    manifest: ModelManifest | None


async def lineage(chain: Chain, manifest: ModelManifest) -> list[Ancestor]:
    """The models that a manifest was forked from, its parent first. The last one is not a fork, or does not exist."""
    found: list[Ancestor] = []
    key = manifest.parent
    while key != ids.ZERO_KEY and len(found) < _GENERATIONS and key not in {each.model for each in found}:
        account = await chain.account(key)
        # a manifest's author may write any key as its parent: one that is not a manifest ends the lineage
        known = account is not None and account.owner == ids.MODEL_MANIFEST
        parent = ModelManifest.decode(account.data, owner=account.owner, address=key) if account and known else None
        found.append(Ancestor(key, parent))
        key = parent.parent if parent is not None else ids.ZERO_KEY
    return found
