"""The engine program's addresses and sizes."""

from __future__ import annotations

import hashlib

from solders.pubkey import Pubkey

from awm_crank.wire import onchain
from awm_crank.wire.accounts import EngineImage, WeightShard

KEY = Pubkey([5] * 32)


def shard(root: bytes, size: int) -> WeightShard:
    """A finalized shard with this root."""
    return WeightShard(
        shard_index=0, data_size=size, authority=KEY, finalized=True, data_hash=bytes(32), entity=KEY,
        merkle_root=root, leaves_hashed=1, frontier=bytes(256), bolt_metadata=KEY, data=bytes(size),
    )  # fmt: skip


def test_content_names_the_bytes() -> None:
    """Roots and sizes in order decide the content, and nothing else of the shards does."""
    one, two = shard(b"a" * 32, 3), shard(b"b" * 32, 4)
    assert onchain.content([one, two]) == hashlib.sha256(b"a" * 32 + b"\3\0\0\0" + b"b" * 32 + b"\4\0\0\0").digest()
    assert onchain.content([one, two]) != onchain.content([two, one])


def test_addresses_differ() -> None:
    """Every content, payer and part gives another address, and so does every run."""
    images = [onchain.Image(of, payer) for of in (bytes(32), b"\1" * 32) for payer in (KEY, Pubkey([6] * 32))]
    keys = {image.part(part) for image in images for part in (0, 1)}
    assert len(keys) == 8
    assert images[0].key == images[0].part(0)
    assert onchain.run_pda(KEY, 1) != onchain.run_pda(KEY, 2)


def test_sizes_of_parts() -> None:
    """Part 0 has the small tensors, the others their words; the last one fewer."""
    image = EngineImage(
        content=bytes(32), payer=KEY, part=0, shards=1, complete=False, refused=0, job=0, group=0, size=1000,
        words=250, part_words=100, reserved=0, data=b"",
    )  # fmt: skip
    assert onchain.parts(image) == 3
    assert [onchain.part_size(image, part) - 104 for part in range(5)] == [1000, 800, 800, 400, -104]
