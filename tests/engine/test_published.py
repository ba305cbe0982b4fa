"""Loading a model from its accounts: every hash is checked, and every contradiction refused."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from solders.pubkey import Pubkey

from awm_crank.client.publish import manifest, plan
from awm_crank.engine.published import assemble, shard_keys
from awm_crank.engine.seeded import SHAPES, cartridge
from awm_crank.errors import CartridgeError
from awm_crank.wire import ids
from awm_crank.wire.accounts import ModelManifest, WeightShard

KEY = Pubkey.new_unique()
CARTRIDGE = cartridge(SHAPES["tiny"], 1)
MANIFEST = manifest(plan(CARTRIDGE, Pubkey.new_unique(), Pubkey.new_unique(), 0))
SHARD = WeightShard(
    0, len(CARTRIDGE.data), KEY, True, sha256(CARTRIDGE.data).digest(), KEY, bytes(32), 2, bytes(256), ids.WORLD,
    CARTRIDGE.data,
)  # fmt: skip


def change(thing: Any, **changes: Any) -> Any:
    """The same accounts with other fields."""
    return msgspec.structs.replace(thing, **changes)


def test_assemble() -> None:
    """The accounts that publish would write give the cartridge back."""
    assert shard_keys(MANIFEST, KEY) == MANIFEST.shard_keys[:1]
    assert assemble(MANIFEST, KEY, [SHARD]).sha256 == CARTRIDGE.sha256


def test_not_ready() -> None:
    """A manifest that is not finalized is refused."""
    with pytest.raises(CartridgeError, match="not ready"):
        shard_keys(change(MANIFEST, ready=False), KEY)


@pytest.mark.parametrize("count", [0, 5])
def test_impossible_count(count: int) -> None:
    """A manifest that names no shard, or more shards than it has keys, is refused."""
    with pytest.raises(CartridgeError, match="num_shards"):
        shard_keys(change(MANIFEST, num_shards=count), KEY)


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        (lambda s: change(s, finalized=False), "finalized"),
        (lambda s: change(s, shard_index=1), "index 1"),
        (lambda s: change(s, data=s.data[:-1]), "bytes"),
        (lambda s: change(s, data=s.data[:-1] + bytes([s.data[-1] ^ 1])), "SHA-256"),
        (lambda s: change(s, data_hash=bytes(32)), "SHA-256"),
    ],
)
def test_bad_shard(alter: Callable[[WeightShard], WeightShard], says: str) -> None:
    """A shard that is not frozen, is misplaced, or has another size or hash is refused by name."""
    with pytest.raises(CartridgeError, match=says):
        assemble(MANIFEST, KEY, [alter(SHARD)])


def test_another_cartridge() -> None:
    """Shards that are valid but do not have the manifest's hash are refused."""
    with pytest.raises(CartridgeError, match="SHA-256"):
        assemble(change(MANIFEST, cartridge_hash=bytes(32)), KEY, [SHARD])


@pytest.mark.parametrize(
    "field",
    [
        "version", "d_model", "d_inner", "d_state", "num_layers", "num_heads", "num_continuous", "num_action_states",
        "num_binary", "input_size", "total_params", "total_weight_bytes", "format_version",
    ],
)  # fmt: skip
def test_manifest_that_disagrees(field: str) -> None:
    """A manifest that contradicts its cartridge is refused, and the field is named."""
    altered: ModelManifest = change(MANIFEST, **{field: getattr(MANIFEST, field) + 1})
    with pytest.raises(CartridgeError, match=f"{field} contradicts"):
        assemble(altered, KEY, [SHARD])


@pytest.mark.parametrize("field", ["luts", "layer_input_scales", "layer_output_scales"])
def test_manifest_tables_that_disagree(field: str) -> None:
    """Tables and scales that contradict the cartridge are refused too."""
    value = getattr(MANIFEST, field)
    other = bytes(1024) if isinstance(value, bytes) else (9, *value[1:])
    with pytest.raises(CartridgeError, match=f"{field} contradicts"):
        assemble(change(MANIFEST, **{field: other}), KEY, [SHARD])
