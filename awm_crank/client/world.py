"""Reads a published world's encoding, which players need, from the cartridge's first bytes on chain."""

from __future__ import annotations

from binascii import a2b_base64
from typing import Any

from solders.pubkey import Pubkey

from ..engine import layout
from ..engine.encoding import Encoding
from ..engine.published import shard_keys
from ..errors import AccountError
from ..wire.accounts import ModelManifest, WeightShard
from .chain import Chain

_FIELDS = ("flags", "stick_range")


async def read_encoding(chain: Chain, model: Pubkey) -> Encoding:
    """The encoding of a published model. Reads its manifest and the header of its first shard, 1.4 KB.

    Raises:
        AccountError, LayoutError: the model or its shard is not on this chain.
        CartridgeError: the manifest is not finalized.
    """
    account = await chain.need(model, "model manifest")
    manifest = ModelManifest.decode(account.data, owner=account.owner, address=model)
    key = shard_keys(manifest, model)[0]
    part = {"offset": WeightShard.LAYOUT.size, "length": layout.HEADER_SIZE}
    header = await chain.read(_data, "getAccountInfo", str(key), {"encoding": "base64", "dataSlice": part})
    if len(header) < layout.HEADER_SIZE or not header.startswith(layout.MAGIC):
        raise AccountError(f"shard {key} of model {model} holds no cartridge", hint="check the address and --rpc")
    flags, stick_range = (header[layout.HEADER.span(name).offset] for name in _FIELDS)
    return Encoding.of_flags(flags, stick_range)


def _data(result: Any) -> bytes:
    """The data of an account's answer, empty where there is no account."""
    return a2b_base64(result["value"]["data"][0]) if result["value"] else b""
