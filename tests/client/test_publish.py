"""Publishing, resuming, refusing, and unpublishing."""

from __future__ import annotations

from hashlib import sha256

import pytest
from client.localnet import Arena
from solders.keypair import Keypair

from awm_crank.client import publish, upload
from awm_crank.engine import Cartridge, Shape
from awm_crank.engine.seeded import cartridge
from awm_crank.errors import AccountError, CartridgeError
from awm_crank.wire.accounts import ModelManifest, WeightShard

SMALL = Shape(d_model=32, d_inner=64, d_state=16, headdim=32, num_layers=1)
FEE = 5000


class CutOff(Exception):  # noqa: N818
    """Raised in the middle of an upload, to act like a process that dies."""


def fresh(seed: int) -> Cartridge:
    """A cartridge that is not published yet."""
    return cartridge(SMALL, seed)


async def test_manifest_and_shards(arena: Arena) -> None:
    """The chain holds the header's fields, marked ready, and shards with the file's hashes and bytes."""
    made = fresh(11)
    async with arena.chain() as chain:
        told: list[tuple[str, int, int]] = []
        authority = arena.net.funded()
        published = await publish.publish(chain, authority, arena.world, made, progress=lambda *step: told.append(step))
        account = await chain.need(published.model, "manifest")
        shards = [WeightShard.decode((await chain.need(key, "shard")).data) for key in published.shards]
    manifest = ModelManifest.decode(account.data, owner=account.owner)
    assert (manifest.title, manifest.ready, manifest.authority) == (made.name, True, authority.pubkey())
    assert (manifest.cartridge_hash, manifest.total_params) == (sha256(made.data).digest(), made.total_params)
    assert manifest.luts == made.luts
    assert manifest.shard_keys[: len(shards)] == published.shards
    assert b"".join(shard.data for shard in shards) == made.data
    assert [shard.data_hash for shard in shards] == [sha256(shard.data).digest() for shard in shards]
    assert published.sent_bytes == len(made.data)
    assert {name for name, _, _ in told} >= {"accounts", "grow", "write", "hash", "verify"}
    assert all(0 <= done <= total for _, done, total in told)


async def test_again_sends_nothing(arena: Arena) -> None:
    """Publishing a model again sends no byte and names the same model."""
    async with arena.chain() as chain:
        published = await publish.publish(chain, arena.net.faucet, arena.world, arena.cartridge)
    assert (published.model, published.sent_bytes) == (arena.model, 0)


@pytest.mark.parametrize("where", ["grow", "write", "hash", "verify"])
async def test_resumed(arena: Arena, where: str) -> None:
    """After an interruption at any step, the next run finishes at the same addresses and sends only what is missing."""
    made = fresh({"grow": 21, "write": 22, "hash": 23, "verify": 24}[where])
    seen = 0

    def cut(name: str, *_: int) -> None:
        nonlocal seen
        seen += name == where
        if seen == (2 if where == "write" else 1) and name == where:
            raise CutOff

    async with arena.chain() as chain:
        authority = arena.net.funded()
        with pytest.raises(CutOff):
            await publish.publish(chain, authority, arena.world, made, progress=cut)
        published = await publish.publish(chain, authority, arena.world, made)
        loaded = await publish.load(chain, published.model)
    assert loaded.data == made.data
    expected = {"grow": len(made.data), "write": len(made.data) - 27 * upload.CHUNK, "hash": 0, "verify": 0}
    assert published.sent_bytes == expected[where]


async def test_unpublish_returns_the_rent(arena: Arena) -> None:
    """Unpublishing closes manifest and shards and returns exactly their rent; publishing again works."""
    made = fresh(31)
    async with arena.chain() as chain:
        authority = arena.net.funded()
        published = await publish.publish(chain, authority, arena.world, made)
        before = await chain.balance(authority.pubkey())
        returned = await publish.unpublish(chain, authority, published.model)
        assert returned == published.rent
        assert await chain.balance(authority.pubkey()) - before == returned - FEE
        assert await chain.accounts([published.model, *published.shards]) == [None] * (1 + len(published.shards))
        again = await publish.publish(chain, authority, arena.world, made)
        assert again.model == published.model


async def test_unpublish_of_half_a_publish(arena: Arena) -> None:
    """An interrupted publish can be unpublished too."""
    made = fresh(32)

    def cut(name: str, *_: int) -> None:
        if name == "write":
            raise CutOff

    async with arena.chain() as chain:
        authority = arena.net.funded()
        with pytest.raises(CutOff):
            await publish.publish(chain, authority, arena.world, made, progress=cut)
        wanted = publish.plan(made, authority.pubkey(), arena.world, 0)
        await publish.unpublish(chain, authority, wanted.model)
        assert await chain.accounts([wanted.model, *wanted.shards]) == [None, None]


async def test_refusals(arena: Arena) -> None:
    """Another key's model is not unpublished, nothing starts without lamports, and a wrong hash is refused."""
    async with arena.chain() as chain:
        with pytest.raises(AccountError, match="is another authority's"):
            await publish.unpublish(chain, arena.net.funded(), arena.model)
        poor = arena.net.funded(1_000_000)
        with pytest.raises(AccountError, match=r"publishing needs [\d,]+ lamports of rent; found 1,000,000 on"):
            await publish.publish(chain, poor, arena.world, fresh(41))
        with pytest.raises(CartridgeError, match="manifest"):
            await publish.load(chain, arena.model, expected=bytes(32))
        with pytest.raises(AccountError, match="is not on"):
            await publish.load(chain, Keypair().pubkey())
