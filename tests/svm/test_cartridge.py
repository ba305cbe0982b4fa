"""weight-shard and model-manifest: their authority writes them, the chain hashes and freezes them, closing returns the
rent.
"""

from __future__ import annotations

import hashlib
import random
import struct

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from svm.rig import COMPONENTS, LEAF, Chain, Error, Session

from awm_crank.wire import bolt, ids, programs


def merkle_root(data: bytes) -> bytes:
    """The Merkle root of RFC 6962 §2.1 over 64 KiB leaves, by its recursive definition."""

    def root(leaves: list[bytes]) -> bytes:
        if len(leaves) == 1:
            return hashlib.sha256(b"\0" + leaves[0]).digest()
        split = 1
        while split * 2 < len(leaves):
            split *= 2
        return hashlib.sha256(b"\1" + root(leaves[:split]) + root(leaves[split:])).digest()

    return root([data[at : at + LEAF] for at in range(0, len(data), LEAF)])


def new_component(chain: Chain, program: Pubkey, owner: Keypair) -> Pubkey:
    """Makes an entity with one component, which its owner pays for."""
    entity = chain.new_entity(chain.new_world())
    chain.ok(bolt.initialize_component(owner.pubkey(), entity, program), signers=[owner])
    return bolt.component_pda(program, entity)


def new_shard(chain: Chain, owner: Keypair, data: bytes, index: int = 0, *, write: bool = True) -> Pubkey:
    """Makes a shard of full size. Its bytes are placed unchecked where the test is not about writing them."""
    shard = new_component(chain, ids.WEIGHT_SHARD, owner)
    grow = programs.shard_grow(owner.pubkey(), shard, index, len(data))
    steps = -(-len(data) // 10_240)
    for at in range(0, steps, 20):
        chain.ok(*[grow] * min(20, steps - at), signers=[owner])
    if write:
        chain.put(shard, chain.data(shard)[:432] + data, ids.WEIGHT_SHARD, chain.lamports(shard))
    return shard


def finished_shard(chain: Chain, owner: Keypair, data: bytes, index: int = 0) -> Pubkey:
    """Makes a shard that is written, hashed and finalized."""
    shard = new_shard(chain, owner, data, index)
    for _ in range(-(-len(data) // (20 * LEAF))):
        chain.ok(programs.shard_hash_leaves(owner.pubkey(), shard, 20), signers=[owner])
    chain.ok(programs.shard_finalize(owner.pubkey(), shard, hashlib.sha256(data).digest()), signers=[owner])
    return shard


@pytest.mark.parametrize("size", [1, LEAF - 1, LEAF, LEAF + 1, 3 * LEAF, 5 * LEAF + 7, 7 * LEAF])
def test_merkle_root_and_hash(chain: Chain, size: int) -> None:
    """The chain's root and hash equal those that Python computes, for every shape of the tree."""
    owner, data = chain.key(3), random.Random(size).randbytes(size)
    account = chain.data(finished_shard(chain, owner, data, 3))
    assert account[110:142] == merkle_root(data)
    assert account[46:78] == hashlib.sha256(data).digest()
    assert (account[8], account[45], account[13:45]) == (3, 1, bytes(owner.pubkey()))
    assert struct.unpack_from("<I", account, 9)[0] == size
    assert account[432:] == data


def test_written_in_chunks(chain: Chain) -> None:
    """The authority's chunks land at their offsets; a chunk outside the shard or of another key is refused."""
    owner, other, data = chain.key(3), chain.key(4), random.Random(5).randbytes(12_000)
    shard = new_shard(chain, owner, data, write=False)
    assert chain.lamports(shard) == (128 + 12_432) * 6960
    for at in range(0, len(data), 800):
        write = programs.shard_write(owner.pubkey(), shard, at, data[at : at + 800])
        chain.ok(write, signers=[owner])
    assert chain.data(shard)[432:] == data
    for offset, chunk in ((12_000, b"x"), (11_999, b"xy"), (2**32 - 1, b"x")):
        ix = programs.shard_write(owner.pubkey(), shard, offset, chunk)
        chain.refused(Error.OutOfRange, ix, signers=[owner])
    for ix in (
        programs.shard_write(other.pubkey(), shard, 0, b"x"),
        programs.shard_grow(other.pubkey(), shard, 0, 20_000),
        programs.shard_hash_leaves(other.pubkey(), shard, 1),
        programs.shard_finalize(other.pubkey(), shard, bytes(32)),
        programs.shard_close(other.pubkey(), shard),
    ):
        chain.refused(Error.InvalidAuthority, ix, signers=[other])


def test_order_and_freezing(chain: Chain) -> None:
    """Hashing needs the full size and freezes the bytes; finalizing needs every leaf and the right hash."""
    owner, data = chain.key(3), random.Random(6).randbytes(3 * LEAF)
    key = owner.pubkey()
    shard = new_component(chain, ids.WEIGHT_SHARD, owner)
    for index, size in ((4, 100), (0, 0), (0, 10_485_760 - 431)):
        chain.refused(Error.OutOfRange, programs.shard_grow(key, shard, index, size), signers=[owner])
    chain.ok(programs.shard_grow(key, shard, 0, len(data)), signers=[owner])
    chain.refused(Error.ShardIncomplete, programs.shard_hash_leaves(key, shard, 1), signers=[owner])
    shard = new_shard(chain, owner, data)
    chain.refused(Error.OutOfRange, programs.shard_hash_leaves(key, shard, 0), signers=[owner])
    chain.refused(Error.ShardIncomplete, programs.shard_finalize(key, shard, bytes(32)), signers=[owner])
    chain.ok(programs.shard_hash_leaves(key, shard, 2), signers=[owner])
    for ix in (programs.shard_write(key, shard, 0, b"x"), programs.shard_grow(key, shard, 0, 4 * LEAF)):
        chain.refused(Error.ShardFinalized, ix, signers=[owner])
    chain.refused(Error.ShardIncomplete, programs.shard_finalize(key, shard, bytes(32)), signers=[owner])
    chain.ok(programs.shard_hash_leaves(key, shard, 9), signers=[owner])
    chain.refused(Error.OutOfRange, programs.shard_hash_leaves(key, shard, 1), signers=[owner])
    chain.refused(Error.HashMismatch, programs.shard_finalize(key, shard, bytes(32)), signers=[owner])
    chain.ok(programs.shard_finalize(key, shard, hashlib.sha256(data).digest()), signers=[owner])
    for ix in (
        programs.shard_write(key, shard, 0, b"x"),
        programs.shard_hash_leaves(key, shard, 1),
        programs.shard_finalize(key, shard, hashlib.sha256(data).digest()),
    ):
        chain.refused(Error.ShardFinalized, ix, signers=[owner])


def test_large_shard(chain: Chain) -> None:
    """Above 2.7 MB the leaves are hashed in resumable steps, and the frontier in
    between belongs to the leaf counter.
    """
    owner, data = chain.key(3), random.Random(7).randbytes(43 * LEAF + 11)
    shard = new_shard(chain, owner, data)
    chain.ok(programs.shard_hash_leaves(owner.pubkey(), shard, 22), signers=[owner])
    account = chain.data(shard)
    assert struct.unpack_from("<H", account, 142)[0] == 22
    frontier = [account[144 + 32 * k : 176 + 32 * k] for k in range(8)]
    assert [k for k, root in enumerate(frontier) if root != bytes(32)] == [1, 2, 4]
    assert frontier[4] == merkle_root(data[: 16 * LEAF])
    assert frontier[1] == merkle_root(data[20 * LEAF : 22 * LEAF])
    chain.ok(programs.shard_hash_leaves(owner.pubkey(), shard, 22), signers=[owner])
    digest = hashlib.sha256(data).digest()
    chain.ok(programs.shard_finalize(owner.pubkey(), shard, digest), signers=[owner])
    assert chain.data(shard)[110:142] == merkle_root(data)
    assert chain.data(shard)[46:78] == digest


def test_largest_hash_in_one_transaction(chain: Chain) -> None:
    """A shard of 2,700,000 bytes is still hashed within the 1.4 M units of one transaction."""
    owner, data = chain.key(3), random.Random(8).randbytes(2_700_000)
    shard = finished_shard(chain, owner, data)
    assert chain.data(shard)[45] == 1
    wrong = new_shard(chain, owner, data)
    for _ in range(3):
        chain.ok(programs.shard_hash_leaves(owner.pubkey(), wrong, 20), signers=[owner])
    chain.refused(Error.HashMismatch, programs.shard_finalize(owner.pubkey(), wrong, bytes(32)), signers=[owner])


def manifest_fields(shards: list[Pubkey], sizes: list[int]) -> bytes:
    """The manifest's fields from name to total_weight_bytes, without authority and ready."""
    keys = b"".join(map(bytes, shards)).ljust(128, b"\0")
    return (
        b"demo".ljust(32, b"\0") + struct.pack("<HHHHBBB", 1, 128, 256, 16, 2, 4, len(shards)) + keys
        + struct.pack("<4I", *(sizes + [0] * 4)[:4]) + bytes(range(64)) + bytes(1024)
        + struct.pack("<BHBH", 12, 400, 3, 288)
    )  # fmt: skip


def write_manifest(chain: Chain, owner: Keypair, manifest: Pubkey, fields: bytes) -> None:
    """Writes the manifest in chunks, with the totals."""
    for at in range(0, len(fields), 800):
        write = programs.manifest_write(owner.pubkey(), manifest, 8 + at, fields[at : at + 800])
        chain.ok(write, signers=[owner])
    chain.ok(programs.manifest_write(owner.pubkey(), manifest, 1322, struct.pack("<II", 5, 6)), signers=[owner])
    chain.ok(programs.manifest_write(owner.pubkey(), manifest, 1362, bytes(range(65)) + b"\x0c"), signers=[owner])


def test_manifest(chain: Chain) -> None:
    """A manifest is written, finalized against its shards, frozen and closed.

    A shard that differs from the list is refused.
    """
    owner, other = chain.key(3), chain.key(4)
    key = owner.pubkey()
    data = [b"a" * 1000, b"b" * 2000]
    shards = [finished_shard(chain, owner, blob, i) for i, blob in enumerate(data)]
    manifest = new_component(chain, ids.MODEL_MANIFEST, owner)
    finalize = programs.manifest_finalize(key, manifest, shards)
    chain.refused(Error.OutOfRange, finalize, signers=[owner])
    fields = manifest_fields(shards, [1000, 2000])
    assert len(fields) == 1289 - 8
    write_manifest(chain, owner, manifest, fields)
    account = chain.data(manifest)
    assert account[8:1289] == fields
    assert account[1289:1330] == bytes(key) + b"\0" + struct.pack("<II", 5, 6)
    assert account[1362:1428] == bytes(range(65)) + b"\x0c"
    for offset, size in ((0, 8), (7, 1), (1288, 2), (1289, 32), (1321, 1), (1329, 2), (1330, 32), (1361, 2), (1427, 2)):
        ix = programs.manifest_write(key, manifest, offset, bytes(size))
        chain.refused(Error.OutOfRange, ix, signers=[owner])
    for shown, code in (
        (shards[:1], Error.InvalidAccount),
        (shards[::-1], Error.ShardMismatch),
        ([shards[0], new_shard(chain, owner, data[1])], Error.ShardIncomplete),
        ([shards[0], manifest], Error.InvalidAccount),
    ):
        chain.refused(code, programs.manifest_finalize(key, manifest, shown), signers=[owner])
    chain.ok(programs.manifest_write(key, manifest, 183, struct.pack("<I", 2001)), signers=[owner])
    chain.refused(Error.ShardMismatch, finalize, signers=[owner])
    chain.ok(programs.manifest_write(key, manifest, 183, struct.pack("<I", 2000)), signers=[owner])
    # no world has 13 bytes of extra feedback a player
    chain.ok(programs.manifest_write(key, manifest, 1427, b"\x0d"), signers=[owner])
    chain.refused(Error.OutOfRange, finalize, signers=[owner])
    chain.ok(programs.manifest_write(key, manifest, 1427, b"\x0c"), signers=[owner])
    for ix in (
        programs.manifest_write(other.pubkey(), manifest, 8, b"x"),
        programs.manifest_finalize(other.pubkey(), manifest, shards),
        programs.manifest_close(other.pubkey(), manifest),
    ):
        chain.refused(Error.InvalidAuthority, ix, signers=[other])
    chain.ok(finalize, signers=[owner])
    assert chain.data(manifest)[1321] == 1
    for ix in (programs.manifest_write(key, manifest, 8, b"x"), finalize):
        chain.refused(Error.ManifestReady, ix, signers=[owner])


def test_rent_comes_back(chain: Chain) -> None:
    """Closing shard and manifest returns every lamport, whether they are finalized or not."""
    owner = chain.key(3)
    before = chain.lamports(owner.pubkey())
    shard, manifest = finished_shard(chain, owner, bytes(30_000)), new_component(chain, ids.MODEL_MANIFEST, owner)
    assert before - chain.lamports(owner.pubkey()) == (128 + 30_432 + 128 + 1460) * 6960
    chain.ok(programs.shard_close(owner.pubkey(), shard), signers=[owner])
    chain.ok(programs.manifest_close(owner.pubkey(), manifest), signers=[owner])
    assert chain.lamports(owner.pubkey()) == before
    assert chain.data(shard) == chain.data(manifest) == b""


@pytest.mark.parametrize("program", [ids.WEIGHT_SHARD, ids.MODEL_MANIFEST])
def test_no_system_writes_them(chain: Chain, program: Pubkey, attacker_program: bytes) -> None:
    """No system may write shards or manifests: a struct that one of our own systems returns for them is refused."""
    owner, session = chain.key(3), Session.active(chain)
    target = new_component(chain, program, owner)
    chain.svm.add_program(ids.SESSION_LIFECYCLE, attacker_program)
    pairs = [(p, session.at(p)) for p in COMPONENTS] + [(program, target)]
    args = struct.pack("<HBB", 20, 5, 4)
    ix = bolt.apply(ids.SESSION_LIFECYCLE, owner.pubkey(), session.world, pairs, args)
    chain.refused(Error.SystemNotAllowed, ix, signers=[owner])
