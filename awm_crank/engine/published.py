"""Reads a published model: its manifest, its shards, and the cartridge that they form. Every hash is checked.

A mirrored model has one shard. It holds the cartridge's header and a sheet (wire/pieces.py) that says how to prove the
bytes, which come from mirrors.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256

from solders.pubkey import Pubkey

from ..errors import CartridgeError
from ..wire import pieces
from ..wire.accounts import ModelManifest, WeightShard
from .cartridge import Cartridge
from .layout import HEADER_SIZE

ReadAccount = Callable[[Pubkey, str], Awaitable[tuple[bytes, Pubkey]]]
"""Reads an account: its key and what it is, for the error → bytes and owner. Raises if the account does not exist."""


async def read_manifest(model: Pubkey, account: ReadAccount) -> ModelManifest:
    """Reads a model's manifest.

    Raises:
        AccountError, LayoutError: the account is not a manifest. Errors of `account` are passed on.
    """
    data, owner = await account(model, "model manifest")
    return ModelManifest.decode(data, owner=owner, address=model)


async def read_shards(manifest: ModelManifest, model: Pubkey, account: ReadAccount) -> list[WeightShard]:
    """Reads the shards of a manifest, in its order.

    Raises:
        CartridgeError: as `shard_keys`.
        AccountError, LayoutError: one of the accounts is not a shard. Errors of `account` are passed on.
    """
    shards = []
    for index, key in enumerate(shard_keys(manifest, model)):
        data, owner = await account(key, f"shard {index}")
        shards.append(WeightShard.decode(data, owner=owner, address=key))
    return shards


def shard_keys(manifest: ModelManifest, key: Pubkey) -> tuple[Pubkey, ...]:
    """The accounts to read for a manifest, in order.

    Raises:
        CartridgeError: the manifest is not finalized, or names an impossible number of shards.
    """
    if not manifest.ready:
        raise CartridgeError(f"model {key}", expected="a finalized manifest", found="one that is not ready")
    if not 1 <= manifest.num_shards <= len(manifest.shard_keys):
        raise CartridgeError(f"model {key}: num_shards", expected="1..4", found=manifest.num_shards)
    return manifest.shard_keys[: manifest.num_shards]


def mirrored(manifest: ModelManifest, key: Pubkey, shards: Sequence[WeightShard]) -> pieces.Sheet | None:
    """The sheet of a mirrored model; None if the shards hold the cartridge itself.

    Args:
        key: the manifest's address, for errors.
        shards: in the manifest's order.

    Raises:
        CartridgeError: as `assemble` for the shards; the sheet is no good, or it names another cartridge than the
            manifest does.
    """
    if len(shards) != 1 or not pieces.is_sheet(shards[0].data[HEADER_SIZE:]):
        return None
    _check_shards(manifest, key, shards)
    what = f"sheet of mirrored model {key}"
    sheet = pieces.Sheet.decode(shards[0].data[HEADER_SIZE:], what)
    if sheet.sha256 != manifest.cartridge_hash:
        raise CartridgeError(f"{what}: SHA-256", expected=manifest.cartridge_hash.hex(), found=sheet.sha256.hex())
    return sheet


def sheet_shard(cartridge: Cartridge, sheet: pieces.Sheet) -> bytes:
    """What the one shard of a mirrored model holds: the header, which players read the encoding from, and the sheet."""
    return cartridge.data[:HEADER_SIZE] + sheet.encode()


def assemble(
    manifest: ModelManifest, key: Pubkey, shards: Sequence[WeightShard], data: bytes | None = None
) -> Cartridge:
    """Joins the shards of a manifest to the cartridge.

    Args:
        key: the manifest's address, for errors.
        shards: in the manifest's order.
        data: the cartridge's bytes from mirrors, for a mirrored model.

    Raises:
        CartridgeError: a shard is not frozen or its bytes contradict its hash or size, the whole has another hash than
            the manifest names, the cartridge is invalid, or the manifest or a mirrored model's header on chain
            contradicts the cartridge's header.
    """
    _check_shards(manifest, key, shards)
    whole = b"".join(shard.data for shard in shards) if data is None else data
    cartridge = Cartridge.parse(whole, sha256=manifest.cartridge_hash)
    if data is not None and shards[0].data[:HEADER_SIZE] != data[:HEADER_SIZE]:
        raise CartridgeError(f"model {key}: the header on chain contradicts its cartridge", hint="publish it again")
    _check_manifest(manifest, key, cartridge)
    return cartridge


def _check_shards(manifest: ModelManifest, key: Pubkey, shards: Sequence[WeightShard]) -> None:
    for index, shard in enumerate(shards):
        what = f"shard {index} of model {key}"
        if not shard.finalized or shard.shard_index != index:
            raise CartridgeError(what, expected=f"index {index}, finalized", found=f"index {shard.shard_index}")
        if len(shard.data) != manifest.shard_sizes[index]:
            raise CartridgeError(f"{what}: bytes", expected=manifest.shard_sizes[index], found=len(shard.data))
        digest = sha256(shard.data).digest()
        if digest != shard.data_hash:
            raise CartridgeError(f"{what}: SHA-256", expected=shard.data_hash.hex(), found=digest.hex())


def _check_manifest(manifest: ModelManifest, key: Pubkey, cartridge: Cartridge) -> None:
    shape = cartridge.shape
    # readers of the manifest must see the same model as the one that runs
    for field, ours in (
        ("version", cartridge.version),
        ("d_model", shape.d_model),
        ("d_inner", shape.d_inner),
        ("d_state", shape.d_state),
        ("num_layers", shape.num_layers),
        ("num_heads", shape.num_heads),
        ("layer_input_scales", cartridge.layer_input_scales),
        ("layer_output_scales", cartridge.layer_output_scales),
        ("luts", cartridge.luts),
        ("num_continuous", cartridge.num_continuous),
        ("num_action_states", cartridge.num_action_states),
        ("num_binary", cartridge.num_binary),
        ("input_size", cartridge.input_size),
        ("total_params", cartridge.total_params),
        ("total_weight_bytes", cartridge.total_weight_bytes),
        ("format_version", cartridge.format_version),
        ("extra_size", cartridge.extra_size),
    ):
        theirs = getattr(manifest, field)
        if theirs != ours:
            raise CartridgeError(
                f"manifest {key}: {field} contradicts its cartridge",
                expected=_short(ours),
                found=_short(theirs),
                hint="publish the cartridge again; awm-crank publish fills the manifest from it",
            )


def _short(value: object) -> object:
    return sha256(value).hexdigest() if isinstance(value, bytes) else value
