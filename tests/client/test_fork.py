"""Forks on the localnet: shared and replaced shards, the lineage, and the shards that unpublishing does not close."""

from __future__ import annotations

import pytest
from client.localnet import Arena, small_cartridge
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from awm_crank.client import fork, publish
from awm_crank.client.chain import Chain
from awm_crank.engine import Cartridge
from awm_crank.errors import AccountError, CartridgeError, ConfigError
from awm_crank.match import describe
from awm_crank.wire import ids
from awm_crank.wire.accounts import ModelManifest

SHARD = 32_768


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards so small that the test's cartridge fills several."""
    monkeypatch.setattr(publish, "SHARD_SIZE", SHARD)


def changed(made: Cartridge, by: int = 1) -> Cartridge:
    """The cartridge with a different last tensor: only its first shard (the digest) and its last one differ."""
    arrays = {name: array.copy() for name, array in made.arrays.items()}
    arrays["layers.0.out_proj.m"] = arrays["layers.0.out_proj.m"] + by
    return Cartridge.build(
        name=made.name, version=made.version, shape=made.shape, formats=made.formats, luts=made.luts, arrays=arrays,
        total_params=made.total_params,
    )  # fmt: skip


async def manifest_of(chain: Chain, model: Pubkey) -> ModelManifest:
    """A manifest as it is on chain."""
    account = await chain.need(model, "manifest")
    return ModelManifest.decode(account.data, owner=account.owner)


async def test_shares_every_shard(arena: Arena) -> None:
    """A fork without changes lists the parent's shards in a new manifest, and pays for that manifest only."""
    made = small_cartridge(201)
    async with arena.chain() as chain:
        first, second = arena.net.funded(), arena.net.funded()
        parent = await publish.publish(chain, first, arena.world, made)
        assert len(parent.shards) > 2
        forked = await fork.fork(chain, second, arena.world, parent.model)
        manifest = await manifest_of(chain, forked.published.model)
        loaded = await publish.load(chain, forked.published.model)
        rent = await chain.rent(ModelManifest.LAYOUT.size)
    assert (manifest.parent, manifest.authority, manifest.ready) == (parent.model, second.pubkey(), True)
    assert forked.published.shards == parent.shards
    assert forked.shared == tuple(range(len(parent.shards)))
    assert (forked.published.sent_bytes, forked.published.rent) == (0, rent)
    assert loaded.data == made.data
    assert forked.published.model != parent.model


async def test_shares_what_did_not_change(arena: Arena) -> None:
    """A changed cartridge uploads only the shards that differ, and lists the parent's others.

    A second run sends nothing.
    """
    made = small_cartridge(202)
    other = changed(made)
    last = -(-len(made.data) // SHARD) - 1
    async with arena.chain() as chain:
        first, second = arena.net.funded(), arena.net.funded()
        parent = await publish.publish(chain, first, arena.world, made)
        forked = await fork.fork(chain, second, arena.world, parent.model, cartridge=other)
        again = await fork.fork(chain, second, arena.world, parent.model, cartridge=other)
        loaded = await publish.load(chain, forked.published.model)
    assert forked.shared == tuple(range(1, last))
    same = [mine == theirs for mine, theirs in zip(forked.published.shards, parent.shards, strict=True)]
    assert same == [False, *[True] * (last - 1), False]
    assert loaded.data == other.data
    assert forked.published.sent_bytes == SHARD + len(made.data) - last * SHARD
    assert (again.published.model, again.published.sent_bytes) == (forked.published.model, 0)


async def test_replaced_shard(arena: Arena) -> None:
    """Replacing one shard gives the changed cartridge again: the header's digest is updated to fit."""
    made = small_cartridge(203)
    other = changed(made, 2)
    last = -(-len(made.data) // SHARD) - 1
    async with arena.chain() as chain:
        authority = arena.net.funded()
        parent = await publish.publish(chain, authority, arena.world, made)
        forked = await fork.fork(
            chain, authority, arena.world, parent.model, replaced={last: other.data[last * SHARD :]}
        )
        assert (await publish.load(chain, forked.published.model)).data == other.data
        assert forked.shared == tuple(range(1, last))
        with pytest.raises(ConfigError, match=f"shard 7; expected 0..{last}, as the parent has them, found 7"):
            await fork.fork(chain, authority, arena.world, parent.model, replaced={7: b""})
        with pytest.raises(CartridgeError):
            await fork.fork(chain, authority, arena.world, parent.model, replaced={1: bytes(10)})


async def test_unpublish_leaves_the_parents_shards(arena: Arena) -> None:
    """Unpublishing a fork closes its manifest and its own shards and returns their rent.

    The parent still loads, even where both belong to one authority.
    """
    made = small_cartridge(204)
    async with arena.chain() as chain:
        authority = arena.net.funded()
        parent = await publish.publish(chain, authority, arena.world, made)
        for cartridge in (None, changed(made)):
            forked = await fork.fork(chain, authority, arena.world, parent.model, cartridge=cartridge)
            assert await publish.unpublish(chain, authority, forked.published.model) == forked.published.rent
            own = [key for key in forked.published.shards if key not in parent.shards]
            assert await chain.accounts([forked.published.model, *own]) == [None] * (1 + len(own))
            assert (await publish.load(chain, parent.model)).data == made.data


async def test_unpublish_spares_what_others_use(arena: Arena) -> None:
    """A model whose shards are used by forks, or by forks of forks, is unpublished only with force.

    A model that has no shards of its own can be unpublished in spite of its forks.
    """
    made = small_cartridge(208)
    async with arena.chain() as chain:
        first, second = arena.net.funded(), arena.net.funded()
        parent = await publish.publish(chain, first, arena.world, made)
        child = (await fork.fork(chain, second, arena.world, parent.model)).published
        grandchild = (await fork.fork(chain, second, arena.world, child.model, cartridge=changed(made))).published
        with pytest.raises(AccountError, match=f"forks use the shards of model {parent.model}") as caught:
            await publish.unpublish(chain, first, parent.model)
        assert {str(child.model), str(grandchild.model)} == set(str(caught.value.found).split(", "))
        assert "--force" in str(caught.value.hint)
        assert (await publish.load(chain, grandchild.model)).data == changed(made).data
        # all of the child's shards are its parent's, so nobody needs what is closed
        assert await publish.unpublish(chain, second, child.model) == child.rent
        assert (await publish.load(chain, grandchild.model)).data == changed(made).data
        assert await publish.unpublish(chain, first, parent.model, force=True) == parent.rent
        with pytest.raises(AccountError, match="shard 1"):
            await publish.load(chain, grandchild.model)


async def test_unpublish_where_the_parent_is_gone(arena: Arena) -> None:
    """Unpublishing finds a fork's own shards without the parent's manifest."""
    made = small_cartridge(205)
    async with arena.chain() as chain:
        first, second = arena.net.funded(), arena.net.funded()
        parent = await publish.publish(chain, first, arena.world, made)
        forked = await fork.fork(chain, second, arena.world, parent.model, cartridge=changed(made))
        await publish.unpublish(chain, first, parent.model, force=True)
        with pytest.raises(AccountError, match="shard 1"):
            await publish.load(chain, forked.published.model)
        assert await publish.unpublish(chain, second, forked.published.model) == forked.published.rent


async def test_resumed(arena: Arena) -> None:
    """A fork that was interrupted inside a shard is finished at the same address, and can be unpublished."""
    made, other = small_cartridge(206), changed(small_cartridge(206))

    def cut(name: str, *_: int) -> None:
        if name == "hash":
            raise ZeroDivisionError

    async with arena.chain() as chain:
        authority = arena.net.funded()
        parent = await publish.publish(chain, authority, arena.world, made)
        with pytest.raises(ZeroDivisionError):
            await fork.fork(chain, authority, arena.world, parent.model, cartridge=other, progress=cut)
        forked = await fork.fork(chain, authority, arena.world, parent.model, cartridge=other)
        assert 0 < forked.published.sent_bytes < 2 * SHARD
        assert (await publish.load(chain, forked.published.model)).data == other.data


async def test_lineage(arena: Arena) -> None:
    """A fork of a fork names both ancestors, nearest first, with the shards shared with each, even if one is gone."""
    made = small_cartridge(207)
    async with arena.chain() as chain:
        first, second = arena.net.funded(), arena.net.funded()
        parent = await publish.publish(chain, first, arena.world, made)
        child = await fork.fork(chain, second, arena.world, parent.model)
        grandchild = await fork.fork(chain, first, arena.world, child.published.model, cartridge=changed(made))
        manifest = await manifest_of(chain, grandchild.published.model)
        ancestors = await fork.lineage(chain, manifest)
        assert [each.model for each in ancestors] == [child.published.model, parent.model]
        text = describe.lineage(manifest, [(each.model, each.manifest) for each in ancestors]).splitlines()
        kept = ", ".join(map(str, grandchild.shared))
        assert text[0].split(None, 2)[2] == (
            f"{child.published.model}, {made.name} version {made.version} by {second.pubkey()}; shares shards {kept}"
        )
        assert text[1].endswith(f"by {first.pubkey()}; shares shards {', '.join(map(str, range(len(parent.shards))))}")
        await publish.unpublish(chain, first, parent.model, force=True)
        ancestors = await fork.lineage(chain, manifest)
        assert [each.manifest is None for each in ancestors] == [False, True]
        now = describe.lineage(manifest, [(each.model, each.manifest) for each in ancestors])
        assert now.splitlines()[1].endswith(f"{parent.model}, which is not on this chain")
        assert await fork.lineage(chain, await manifest_of(chain, arena.model)) == []


async def test_refusals(arena: Arena) -> None:
    """An account that is not a model cannot be forked."""
    async with arena.chain() as chain:
        with pytest.raises(AccountError, match=r"ModelManifest .*: owner; expected"):
            await fork.fork(chain, arena.net.funded(), arena.world, ids.WORLD)


@given(st.integers(1, 4 * SHARD), st.lists(st.integers(1, SHARD), min_size=1, max_size=4))
def test_split(size: int, sizes: list[int]) -> None:
    """However the parent was cut, the pieces add up to the whole; there are at most four, none empty or too big."""
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    pieces = fork.split(data, sizes)
    assert b"".join(pieces) == data
    assert len(pieces) <= 4
    assert all(0 < len(piece) <= SHARD for piece in pieces)
    boundary = 0
    for piece, wanted in zip(pieces, sizes, strict=False):
        boundary += wanted
        if len(data) <= sum(sizes):
            assert len(piece) == wanted or boundary >= len(data)


def test_split_too_big() -> None:
    """More than four shards are refused."""
    with pytest.raises(CartridgeError, match="at most 131,072 bytes"):
        fork.split(bytes(4 * SHARD + 1), [SHARD])
