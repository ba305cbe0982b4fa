"""Puts a cartridge on chain, takes it back, and loads it: a manifest and its shards, each with an entity of its own.

A publish that was cut off goes on from what exists: addresses derive from the cartridge's hash and the authority.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import msgspec
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ..engine import published
from ..engine.cartridge import Cartridge
from ..errors import AccountError, CartridgeError
from ..net.mirrors import Mirrors, Tell
from ..net.rpc import RpcClient
from ..wire import bolt, ids, jsonrpc, layouts, programs
from ..wire.accounts import ModelManifest, WeightShard, World
from ..wire.contract import LEAF_BYTES
from ..wire.pieces import Sheet
from . import setup, upload
from .chain import Chain

Progress = Callable[[str, int, int], object]
"""Called with what is being done, how much of it is done, and how much there is."""

SHARD_SIZE = (10 * 1024 * 1024 - WeightShard.LAYOUT.size) // LEAF_BYTES * LEAF_BYTES
"""Bytes of data in every shard but the last: whole leaves, and the account stays within 10 MiB."""

_MANIFEST_PARTS = (("name", "authority"), ("total_params", "entity"), ("cartridge_hash", "bolt_metadata"))
_MANIFEST_CHUNK = 900
_NAMED = 3


class Published(msgspec.Struct, frozen=True):
    """The addresses of a published cartridge, the bytes that were sent, and the rent that it takes, in lamports."""

    model: Pubkey
    shards: tuple[Pubkey, ...]
    sent_bytes: int
    rent: int


class _Within(msgspec.Struct, frozen=True):
    """Reports progress within one shard as progress of the whole file."""

    tell: Progress
    before: int
    total: int

    def __call__(self, what: str, done: int) -> None:
        self.tell(what, self.before + done, self.total)


class Plan(msgspec.Struct, frozen=True):
    """The accounts that a publish will create, with every address, before anything is sent.

    `pieces` are the shards' bytes. `parent` is the model that this one is forked from, or the zero key. `shared` holds
    for each shard the parent's account that it shares, or None if an account of its own is made. With `sheet` the
    model is mirrored: its one piece is the header and the sheet.
    """

    cartridge: Cartridge
    authority: Pubkey
    world: Pubkey
    world_id: int
    pieces: tuple[bytes, ...]
    parent: Pubkey = ids.ZERO_KEY
    shared: tuple[Pubkey | None, ...] = ()
    sheet: Sheet | None = None

    @property
    def _names(self) -> Names:
        root = self.sheet.root if self.sheet else b""
        return Names(self.cartridge.sha256, self.authority, self.parent, self.world_id, root)

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
        """The indices of the shards that are made."""
        return [index for index in range(len(self.pieces)) if not self.shared or self.shared[index] is None]

    def seeds(self) -> list[tuple[bytes, Pubkey]]:
        """Seed and component program of every entity that is made; the manifest's first."""
        names = self._names
        return [(names.seed(0), ids.MODEL_MANIFEST), *((names.seed(1 + at), ids.WEIGHT_SHARD) for at in self.own)]


class Names(msgspec.Struct, frozen=True):
    """Derives the addresses of an authority's copy of a cartridge in a world.

    A fork has other addresses than a plain publish of the same bytes. `cartridge_sha256` is 32 bytes; `parent` is the
    zero key if the model is not a fork. `root` is a mirrored model's, and empty for others.
    """

    cartridge_sha256: bytes
    authority: Pubkey
    parent: Pubkey
    world_id: int
    root: bytes = b""

    def seed(self, number: int) -> bytes:
        """The entity's seed of the manifest (0) or shard `number` - 1."""
        tag = b"awm:publish" if self.parent == ids.ZERO_KEY else b"awm:fork" + bytes(self.parent)
        if self.root:
            tag = b"awm:mirrored" + self.root
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
    """Plans an authority's copy of a cartridge in a world.

    Raises:
        CartridgeError: it does not fit into four shards.
    """
    return Plan(cartridge, authority, world, world_id, tuple(map(bytes, cartridge.shards(SHARD_SIZE))))


def plan_mirrored(cartridge: Cartridge, sheet: Sheet, authority: Pubkey, world: Pubkey, world_id: int) -> Plan:
    """Plans an authority's mirrored copy of a cartridge: manifest, header and sheet on chain, the bytes on mirrors."""
    return Plan(cartridge, authority, world, world_id, (published.sheet_shard(cartridge, sheet),), sheet=sheet)


def manifest(wanted: Plan) -> ModelManifest:
    """The manifest of a plan as it is on chain once ready; its fields come from the cartridge's header."""
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
        parent=wanted.parent, format_version=cartridge.format_version,
        extra_size=cartridge.extra_size, bolt_metadata=ids.WORLD,
    )  # fmt: skip


async def publish(
    chain: Chain, authority: Keypair, world: Pubkey, cartridge: Cartridge, *, progress: Progress | None = None,
    announce: Callable[[Pubkey], object] = lambda _: None, sheet: Sheet | None = None,
) -> Published:  # fmt: skip
    """Publishes a cartridge, or finishes a publish that was cut off. Then loads it back and compares every byte.

    Args:
        chain: the base chain.
        authority: pays, and only it may take the cartridge back.
        world: gets the entities of the accounts.
        announce: called with the model's address before anything is sent.
        sheet: publishes a mirrored model, whose bytes the caller brings to mirrors (wire/pieces.py).

    Raises:
        AccountError: the authority cannot pay the rent.
        CartridgeError: too big, or what is on chain under these addresses is not this cartridge.
        ProgramError, RpcError: as `Chain.send`.
    """
    where = (authority.pubkey(), world, await world_id(chain, world))
    wanted = plan(cartridge, *where) if sheet is None else plan_mirrored(cartridge, sheet, *where)
    announce(wanted.model)
    return await carry_out(chain, authority, wanted, progress=progress)


async def world_id(chain: Chain, world: Pubkey) -> int:
    """The number of a world, from which its entities' addresses derive. Raises AccountError if there is no world."""
    account = await chain.need(world, "world")
    return World.decode(account.data, owner=account.owner, address=world).id


async def carry_out(chain: Chain, authority: Keypair, wanted: Plan, *, progress: Progress | None = None) -> Published:
    """Carries out the missing steps of a plan. Then loads the model and compares every byte.

    Raises:
        as `publish`.
    """
    tell = progress or (lambda *_: None)
    rent = await _check_funds(chain, wanted)
    known = await _manifest_on_chain(chain, wanted.model)
    if known is not None and known.ready:
        await _check_published(chain, wanted)
        return Published(wanted.model, tuple(wanted.shards), 0, rent)
    tell("accounts", 0, 1)
    await _components(chain, authority, wanted)
    # the manifest comes first, so that `unpublish` finds the shards of a publish that was cut off
    await _write_manifest(chain, authority, wanted)
    tell("accounts", 1, 1)
    total, sent, before = sum(len(wanted.pieces[index]) for index in wanted.own), 0, 0
    async with RpcClient(chain.endpoint) as rpc:
        for index in wanted.own:
            piece = wanted.pieces[index]
            within = _Within(tell, before, total)
            sent += await upload.fill_shard(chain, rpc, authority, wanted.shards[index], index, piece, within)
            before += len(piece)
    await chain.send([programs.manifest_finalize(authority.pubkey(), wanted.model, wanted.shards)], authority)
    tell("verify", 0, total)
    await _check_published(chain, wanted)
    tell("verify", total, total)
    return Published(wanted.model, tuple(wanted.shards), sent, rent)


async def unpublish(chain: Chain, authority: Keypair, model: Pubkey, *, force: bool = False) -> int:
    """Closes a manifest and its shards; returns the lamports that came back. A fork's shared shards are left alone.

    Args:
        force: close the shards even if other models use them, which cannot be loaded afterwards.

    Raises:
        AccountError: there is no manifest, it is another authority's, it is a fork whose own shards are unknown, or
            other models use its shards.
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
    if not force and (users := await _users(chain, model, keys)):
        named = ", ".join(map(str, users[:_NAMED])) + (f" and {len(users) - _NAMED} more" if users[_NAMED:] else "")
        raise AccountError(
            f"forks use the shards of model {model}", found=named,
            hint="--force closes them anyway; then these models cannot be loaded, nor their sessions served",
        )  # fmt: skip
    shards = [shard for shard in await chain.accounts(keys) if shard is not None]
    closes = [programs.shard_close(authority.pubkey(), shard.key) for shard in shards]
    # one transaction, so that no manifest is left without its shards
    await chain.send([*closes, programs.manifest_close(authority.pubkey(), model)], authority)
    return account.lamports + sum(shard.lamports for shard in shards)


async def _own_shards(chain: Chain, model: Pubkey, found: ModelManifest) -> list[Pubkey]:
    """The shards that were made for a manifest. Shared ones may have the same authority, so the address decides."""
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


async def _users(chain: Chain, model: Pubkey, shards: list[Pubkey]) -> list[Pubkey]:
    """The other manifests that name one of these shards: forks, and forks of those. Raises RpcError."""
    layout = ModelManifest.LAYOUT
    span = layout.span("shard_keys")
    wanted = {bytes(key) for key in shards}
    # only their shard keys are read: a manifest is mostly tables
    filters = [jsonrpc.data_size(layout.size)]
    found = await chain.program_accounts(ids.MODEL_MANIFEST, filters, cut=(span.offset, span.size))
    return [
        each.key for each in found
        if each.key != model and wanted & {each.data[at : at + 32] for at in range(0, len(each.data), 32)}
    ]  # fmt: skip


async def _check_published(chain: Chain, wanted: Plan) -> None:
    """Reads the model back and compares every byte with the plan's. Raises as `load`."""
    found, shards = await _accounts(chain, wanted.model, wanted.cartridge.sha256)
    data = wanted.cartridge.data if published.mirrored(found, wanted.model, shards) else None
    published.assemble(found, wanted.model, shards, data)
    if wanted.sheet is not None and shards[0].data != wanted.pieces[0]:
        raise CartridgeError(f"model {wanted.model} has another sheet", hint="awm-crank unpublish it, then publish")


async def load(
    chain: Chain, model: Pubkey, *, expected: bytes | None = None, mirrors: Mirrors | None = None,
    tell: Tell = lambda _: None,
) -> Cartridge:  # fmt: skip
    """A published cartridge, every hash verified: each shard's data_hash, the whole file's, the header's own.

    Args:
        model: its manifest's key.
        expected: SHA-256 that the file must have; without it, the one in the manifest.
        mirrors: where a mirrored model's bytes come from.
        tell: called with each fault of a mirror.

    Raises:
        AccountError: no manifest, or a shard is missing.
        CartridgeError: not ready, or a hash or the manifest disagrees with the bytes; mirrored, and no mirror is given
            or too few have good pieces.
    """
    found, shards = await _accounts(chain, model, expected)
    sheet = published.mirrored(found, model, shards)
    data = await (mirrors or Mirrors()).load(sheet, tell) if sheet else None
    return published.assemble(found, model, shards, data)


async def read_sheet(chain: Chain, model: Pubkey) -> Sheet:
    """The sheet of a mirrored model. Raises CartridgeError if it is not mirrored, and as `load`."""
    found, shards = await _accounts(chain, model, None)
    sheet = published.mirrored(found, model, shards)
    if sheet is None:
        raise CartridgeError(f"model {model} is not mirrored", hint="its bytes are on chain: nothing has to be served")
    return sheet


async def _accounts(chain: Chain, model: Pubkey, expected: bytes | None) -> tuple[ModelManifest, list[WeightShard]]:
    """The manifest and the shards of a model, whose cartridge must have the SHA-256 `expected`, if there is one."""

    async def account(key: Pubkey, what: str) -> tuple[bytes, Pubkey]:
        found = await chain.need(key, what)
        return found.data, found.owner

    manifest = await published.read_manifest(model, account)
    if expected is not None and manifest.cartridge_hash != expected:
        raise CartridgeError(f"manifest {model}", expected=expected.hex(), found=manifest.cartridge_hash.hex())
    return manifest, await published.read_shards(manifest, model, account)


async def _check_funds(chain: Chain, wanted: Plan) -> int:
    """Returns the rent of all accounts in lamports. Raises AccountError if the authority cannot pay the missing
    part.
    """
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
