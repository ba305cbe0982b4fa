"""Puts a cartridge on chain, takes it back, and loads it: a manifest and its shards, each on an entity of its own.

Addresses derive from the cartridge's hash and the authority, so a publish that was cut off finds what it has left and
goes on from there; bytes that are there already are not sent again. Chunks travel in JSON-RPC batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha256

import msgspec
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ..engine import published
from ..engine.cartridge import Cartridge
from ..errors import AccountError, AwmError, CartridgeError, RpcError
from ..net.rpc import RpcClient
from ..wire import bolt, ids, layouts, programs
from ..wire.accounts import ModelManifest, WeightShard, World
from ..wire.failures import transaction_error
from ..wire.transaction import MAX_COMPUTE_UNITS, Signer, compute_unit_limit, sign_once
from . import setup
from .chain import Chain

Progress = Callable[[str, int, int], object]
"""Called with what is being done, how much of it is done, and how much there is."""

LEAF = 65_536
SHARD_SIZE = (10 * 1024 * 1024 - WeightShard.LAYOUT.size) // LEAF * LEAF
"""Bytes of data in every shard but the last: whole leaves, and the account stays within 10 MiB."""

CHUNK = 1000
"""Bytes in one shard_write; with two keys beside the program the transaction stays below 1,232 bytes."""
# validators refuse requests of more than 50 KiB; a full transaction takes 1.8 KB of one
_BATCH = 27
_LEAVES_AT_ONCE = 32
_GROWS_AT_ONCE = 24
_CONFIRM_S = 15.0
_MANIFEST_PARTS = (("name", "authority"), ("total_params", "entity"), ("cartridge_hash", "bolt_metadata"))
_MANIFEST_CHUNK = 900


class Published(msgspec.Struct, frozen=True):
    """Where a cartridge stands on chain."""

    model: Pubkey
    shards: tuple[Pubkey, ...]
    sent_bytes: int
    rent: int


class _Within(msgspec.Struct, frozen=True):
    """Progress within one shard, told as progress of the whole file."""

    tell: Progress
    before: int
    total: int

    def __call__(self, what: str, done: int) -> None:
        self.tell(what, self.before + done, self.total)


class Plan(msgspec.Struct, frozen=True):
    """Every address of a publish, before anything is sent.

    `pieces` are the shards' bytes; `parent` is the model that this one is forked from, or the zero key; `shared` holds
    for each shard the account of the parent's that stands in its place, or None where one is made.
    """

    cartridge: Cartridge
    authority: Pubkey
    world: Pubkey
    world_id: int
    pieces: tuple[bytes, ...]
    parent: Pubkey = ids.ZERO_KEY
    shared: tuple[Pubkey | None, ...] = ()

    @property
    def _names(self) -> Names:
        return Names(self.cartridge.sha256, self.authority, self.parent, self.world_id)

    @property
    def model(self) -> Pubkey:
        """The manifest's account."""
        return self._names.model

    @property
    def entity(self) -> Pubkey:
        """The manifest's entity."""
        return self._names.entity(0)

    @property
    def shards(self) -> list[Pubkey]:
        """Every shard's account, in order."""
        own = (self._names.shard(index) for index in range(len(self.pieces)))
        return [shared or key for shared, key in zip(self.shared or [None] * len(self.pieces), own, strict=True)]

    @property
    def own(self) -> list[int]:
        """The shards that are made."""
        return [index for index in range(len(self.pieces)) if not self.shared or self.shared[index] is None]

    def seeds(self) -> list[tuple[bytes, Pubkey]]:
        """The seed of every entity that is made, and its component's program: the manifest's first."""
        names = self._names
        shards = [(names.seed(1 + index), ids.WEIGHT_SHARD) for index in self.own]
        return [(names.seed(0), ids.MODEL_MANIFEST), *shards]


class Names(msgspec.Struct, frozen=True):
    """Where an authority's copy of a cartridge stands in a world; a fork stands elsewhere than a publish of its bytes.

    `cartridge_sha256` is 32 bytes; `parent` the zero key where the model is no fork.
    """

    cartridge_sha256: bytes
    authority: Pubkey
    parent: Pubkey
    world_id: int

    def seed(self, number: int) -> bytes:
        """The entity's seed of the manifest (0) or shard `number` - 1."""
        tag = b"awm:publish" if self.parent == ids.ZERO_KEY else b"awm:fork" + bytes(self.parent)
        return sha256(tag + self.cartridge_sha256 + bytes(self.authority) + bytes((number,))).digest()

    def entity(self, number: int) -> Pubkey:
        """The entity of that seed."""
        return bolt.entity_pda(self.world_id, 0, self.seed(number))

    @property
    def model(self) -> Pubkey:
        """The manifest's account."""
        return bolt.component_pda(ids.MODEL_MANIFEST, self.entity(0))

    def shard(self, index: int) -> Pubkey:
        """A shard's account."""
        return bolt.component_pda(ids.WEIGHT_SHARD, self.entity(1 + index))


def plan(cartridge: Cartridge, authority: Pubkey, world: Pubkey, world_id: int) -> Plan:
    """The addresses at which this authority's copy of the cartridge stands in a world.

    Raises:
        CartridgeError: it does not fit into four shards.
    """
    return Plan(cartridge, authority, world, world_id, tuple(map(bytes, cartridge.shards(SHARD_SIZE))))


def manifest(wanted: Plan) -> ModelManifest:
    """The manifest of a plan as it stands on chain once ready: filled from the cartridge's header."""
    cartridge, shape = wanted.cartridge, wanted.cartridge.shape
    pieces = wanted.pieces
    spare = layouts.MODEL_MANIFEST.span("shard_keys").size // 32 - len(pieces)
    return ModelManifest(
        name=cartridge.name.encode().ljust(32, b"\0"), version=cartridge.version, d_model=shape.d_model,
        d_inner=shape.d_inner, d_state=shape.d_state, num_layers=shape.num_layers, num_heads=shape.num_heads,
        num_shards=len(pieces), shard_keys=(*wanted.shards, *[ids.ZERO_KEY] * spare),
        shard_sizes=(*(len(piece) for piece in pieces), *[0] * spare),
        layer_input_scales=cartridge.layer_input_scales, layer_output_scales=cartridge.layer_output_scales,
        luts=cartridge.luts, num_continuous=cartridge.num_continuous,
        num_action_states=cartridge.num_action_states, num_binary=cartridge.num_binary,
        input_size=cartridge.input_size, authority=wanted.authority, ready=True, total_params=cartridge.total_params,
        total_weight_bytes=cartridge.total_weight_bytes, entity=wanted.entity, cartridge_hash=cartridge.sha256,
        parent=wanted.parent, format_version=cartridge.format_version, bolt_metadata=ids.WORLD,
    )  # fmt: skip


async def publish(
    chain: Chain, authority: Keypair, world: Pubkey, cartridge: Cartridge, *, progress: Progress | None = None
) -> Published:
    """Publishes a cartridge, or finishes a publish that was cut off; then loads it back and compares every byte.

    Args:
        chain: the base chain.
        authority: pays, and alone may take it back.
        world: whose entities the accounts stand on.

    Raises:
        AccountError: the authority cannot pay the rent.
        CartridgeError: too big, or what is on chain under these addresses is not this cartridge.
        ProgramError, RpcError: as `Chain.send`.
    """
    wanted = plan(cartridge, authority.pubkey(), world, await world_id(chain, world))
    return await carry_out(chain, authority, wanted, progress=progress)


async def world_id(chain: Chain, world: Pubkey) -> int:
    """The number of a world, from which its entities' addresses derive. Raises AccountError when there is none."""
    account = await chain.need(world, "world")
    return World.decode(account.data, owner=account.owner, address=world).id


async def carry_out(chain: Chain, authority: Keypair, wanted: Plan, *, progress: Progress | None = None) -> Published:
    """Makes a plan true, from wherever it stands; then loads the model and compares every byte.

    Raises:
        as `publish`.
    """
    tell = progress or (lambda *_: None)
    cartridge = wanted.cartridge
    rent = await _check_funds(chain, wanted)
    known = await _manifest_on_chain(chain, wanted.model)
    if known is not None and known.ready:
        await load(chain, wanted.model, expected=cartridge.sha256)
        return Published(wanted.model, tuple(wanted.shards), 0, rent)
    tell("accounts", 0, 1)
    await _components(chain, authority, wanted)
    # written first, so that `unpublish` finds the shards of a publish that is cut off
    await _write_manifest(chain, authority, wanted)
    tell("accounts", 1, 1)
    total, sent, before = sum(len(wanted.pieces[index]) for index in wanted.own), 0, 0
    async with RpcClient(chain.url) as rpc:
        for index in wanted.own:
            piece = wanted.pieces[index]
            within = _Within(tell, before, total)
            sent += await _fill_shard(chain, rpc, authority, wanted.shards[index], index, piece, within)
            before += len(piece)
    await chain.send([programs.manifest_finalize(authority.pubkey(), wanted.model, wanted.shards)], authority)
    tell("verify", 0, total)
    await load(chain, wanted.model, expected=cartridge.sha256)
    tell("verify", total, total)
    return Published(wanted.model, tuple(wanted.shards), sent, rent)


async def unpublish(chain: Chain, authority: Keypair, model: Pubkey) -> int:
    """Closes a manifest and its shards; returns the lamports that came back. A fork's shared shards are left alone.

    Raises:
        AccountError: there is no manifest, it is another authority's, or a fork whose own shards cannot be told.
        ProgramError, RpcError: as `Chain.send`.
    """
    account = await chain.need(model, "model manifest")
    found = ModelManifest.decode(account.data, owner=account.owner, address=model)
    if found.authority != authority.pubkey():
        raise AccountError(
            f"model {model} is another authority's", expected=found.authority, found=authority.pubkey(),
            hint="name its authority's key with --keypair",
        )  # fmt: skip
    keys = await _own_shards(chain, model, found)
    shards = [shard for shard in await chain.accounts(keys) if shard is not None]
    closes = [programs.shard_close(authority.pubkey(), shard.key) for shard in shards]
    # one transaction: a manifest never stands without its shards
    await chain.send([*closes, programs.manifest_close(authority.pubkey(), model)], authority)
    return account.lamports + sum(shard.lamports for shard in shards)


async def _own_shards(chain: Chain, model: Pubkey, found: ModelManifest) -> list[Pubkey]:
    """The shards that were made for a manifest. Those that it shares may have the same authority: the address tells."""
    keys = [key for key in found.shard_keys[: found.num_shards] if key != ids.ZERO_KEY]
    if found.parent == ids.ZERO_KEY:
        return keys
    for number in range(await setup.worlds(chain)):
        names = Names(found.cartridge_hash, found.authority, found.parent, number)
        if names.model == model:
            return [key for index, key in enumerate(keys) if key == names.shard(index)]
    raise AccountError(
        f"model {model} is a fork that awm-crank did not publish",
        hint="close what is its own with the tool that made it",
    )


async def load(chain: Chain, model: Pubkey, *, expected: bytes | None = None) -> Cartridge:
    """A published cartridge, every hash verified: each shard's data_hash, the whole file's, the header's own.

    Args:
        model: its manifest's key.
        expected: SHA-256 that it must have, beyond what the manifest says.

    Raises:
        AccountError: no manifest, or a shard is missing.
        CartridgeError: not ready, or a hash or the manifest disagrees with the bytes.
    """
    account = await chain.need(model, "model manifest")
    found = ModelManifest.decode(account.data, owner=account.owner, address=model)
    if expected is not None and found.cartridge_hash != expected:
        raise CartridgeError(f"manifest {model}", expected=expected.hex(), found=found.cartridge_hash.hex())
    shards = []
    for index, key in enumerate(published.shard_keys(found, model)):
        shard = await chain.need(key, f"shard {index}")
        shards.append(WeightShard.decode(shard.data, owner=shard.owner, address=key))
    return published.assemble(found, model, shards)


async def _check_funds(chain: Chain, wanted: Plan) -> int:
    """Lamports of rent of everything; raises when what is still missing exceeds what the authority has."""
    own = wanted.own
    sizes = [ModelManifest.LAYOUT.size, *(WeightShard.LAYOUT.size + len(wanted.pieces[index]) for index in own)]
    rents = [await chain.rent(size) for size in sizes]
    standing = await chain.accounts([wanted.model, *(wanted.shards[index] for index in own)])
    missing = sum(rents) - sum(each.lamports for each in standing if each is not None)
    balance = await chain.balance(wanted.authority)
    if balance < missing:
        raise AccountError(
            f"publishing needs {missing:,} lamports of rent", found=f"{balance:,} on {wanted.authority}",
            hint="fund that account; unpublish returns the rent",
        )  # fmt: skip
    return sum(rents)


async def _manifest_on_chain(chain: Chain, model: Pubkey) -> ModelManifest | None:
    account = await chain.account(model)
    return ModelManifest.decode(account.data, owner=account.owner, address=model) if account else None


async def _components(chain: Chain, authority: Keypair, wanted: Plan) -> None:
    """Makes the entities and components that are not there yet."""
    seeds = wanted.seeds()
    entities = [bolt.entity_pda(wanted.world_id, 0, seed) for seed, _ in seeds]
    components = [bolt.component_pda(program, entity) for entity, (_, program) in zip(entities, seeds, strict=True)]
    standing = await chain.accounts([*entities, *components])
    for index, (entity, (seed, program)) in enumerate(zip(entities, seeds, strict=True)):
        instructions = []
        if standing[index] is None:
            instructions.append(bolt.add_entity(authority.pubkey(), wanted.world, entity, seed))
        if standing[len(entities) + index] is None:
            instructions.append(bolt.initialize_component(authority.pubkey(), entity, program))
        if instructions:
            await chain.send(instructions, authority)


async def _write_manifest(chain: Chain, authority: Keypair, wanted: Plan) -> None:
    account = await chain.need(wanted.model, "model manifest")
    standing, target = account.data, manifest(wanted).encode()
    layout = ModelManifest.LAYOUT
    for first, behind in _MANIFEST_PARTS:
        start, stop = layout.offset(first), layout.offset(behind)
        for at in range(start, stop, _MANIFEST_CHUNK):
            end = min(at + _MANIFEST_CHUNK, stop)
            if standing[at:end] != target[at:end]:
                write = programs.manifest_write(authority.pubkey(), wanted.model, at, target[at:end])
                await chain.send([write], authority)


async def _fill_shard(
    chain: Chain, rpc: RpcClient, authority: Keypair, key: Pubkey, index: int, data: bytes,
    tell: Callable[[str, int], object],
) -> int:  # fmt: skip
    """Grows, writes, hashes and finalizes one shard, from wherever it stands; returns the bytes sent."""
    payer = authority.pubkey()
    shard = await _shard(chain, key)
    size = WeightShard.LAYOUT.size
    sent = 0
    if shard.leaves_hashed == 0 and not shard.finalized:
        missing = -(-(len(data) - len(shard.data)) // programs.GROWTH)
        grows = [programs.shard_grow(payer, key, index, len(data))] * max(missing, shard.data_size != len(data))
        for at in range(0, len(grows), _GROWS_AT_ONCE):
            tell("grow", len(shard.data) + at * programs.GROWTH)
            await chain.send([_limit(at), *grows[at : at + _GROWS_AT_ONCE]], authority)
        sent = await _write(chain, rpc, authority, key, data, tell)
        shard = await _shard(chain, key)
    if shard.data != data:
        raise CartridgeError(
            f"shard {index} ({key}) is being hashed and holds other bytes", hint="awm-crank unpublish it, then publish"
        )
    for done in range(shard.leaves_hashed, -(-len(data) // LEAF), _LEAVES_AT_ONCE):
        tell("hash", min(done * LEAF, len(data)))
        await chain.send([_limit(done), programs.shard_hash_leaves(payer, key, _LEAVES_AT_ONCE)], authority)
    if not shard.finalized:
        finalize = programs.shard_finalize(payer, key, sha256(data).digest())
        await chain.send([_limit(), finalize], authority)
    account = await chain.need(key, f"shard {index}")
    if len(account.data) != size + len(data):
        raise CartridgeError(f"shard {index} ({key})", expected=f"{size + len(data)} bytes", found=len(account.data))
    return sent


async def _shard(chain: Chain, key: Pubkey) -> WeightShard:
    account = await chain.need(key, "shard")
    return WeightShard.decode(account.data, owner=account.owner, address=key)


async def _write(
    chain: Chain, rpc: RpcClient, authority: Keypair, key: Pubkey, data: bytes, tell: Callable[[str, int], object]
) -> int:
    """Sends the chunks that differ until none does; a chunk that was lost is found by reading the account again."""
    signer = Signer(bytes(authority))
    sent = 0
    for _ in range(10):
        standing = (await _shard(chain, key)).data
        chunks = [at for at in range(0, len(data), CHUNK) if standing[at : at + CHUNK] != data[at : at + CHUNK]]
        if not chunks:
            return sent
        for start in range(0, len(chunks), _BATCH):
            batch = chunks[start : start + _BATCH]
            tell("write", batch[0])
            await _send_batch(rpc, signer, [
                programs.shard_write(signer.pubkey, key, at, data[at : at + CHUNK]) for at in batch
            ])  # fmt: skip
            sent += sum(len(data[at : at + CHUNK]) for at in batch)
        # what a batch's statuses call processed may still be short of the commitment that is read
        await chain.blockhash()
    raise RpcError(
        f"shard {key}: chunks do not arrive", hint="run publish again: it goes on from here", recoverable=True
    )


async def _send_batch(rpc: RpcClient, signer: Signer, instructions: Sequence[Instruction]) -> None:
    """Sends one transaction an instruction, in one request, and waits until all have landed or time is up.

    Raises:
        ProgramError, RpcError: one of them was refused.
    """
    value = (await rpc.call("getLatestBlockhash", [{"commitment": "confirmed"}]))["value"]
    blockhash = bytes(Hash.from_string(value["blockhash"]))
    signed = [sign_once([each], signer.pubkey, (signer,), blockhash) for each in instructions]
    options = {"encoding": "base64", "skipPreflight": True}
    answers = await rpc.batch([("sendTransaction", [each.base64().decode(), options]) for each in signed])
    for answer in answers:
        if isinstance(answer, AwmError):
            raise answer
    left = answers
    wait = 0.005
    deadline = asyncio.get_running_loop().time() + _CONFIRM_S
    while left and asyncio.get_running_loop().time() < deadline:
        statuses = (await rpc.call("getSignatureStatuses", [left]))["value"]
        for status in statuses:
            if status is not None and status["err"] is not None:
                raise transaction_error(status["err"])
        left = [signature for signature, status in zip(left, statuses, strict=True) if status is None]
        if left:
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, 0.4)


def _limit(step: int = 0) -> Instruction:
    # the step makes equal transactions under one blockhash differ, or the second counts as already processed
    return compute_unit_limit(MAX_COMPUTE_UNITS - step)
