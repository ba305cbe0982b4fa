"""A published world's encoding is read from the chain in two small requests."""

from __future__ import annotations

import pytest
from client.localnet import Arena
from solders.keypair import Keypair

from awm_crank.client.world import read_encoding
from awm_crank.errors import AccountError


async def test_encoding_of_a_published_model(arena: Arena) -> None:
    """It is the cartridge's own."""
    async with arena.chain() as chain:
        assert await read_encoding(chain, arena.model) == arena.cartridge.shape.encoding
        with pytest.raises(AccountError, match="model manifest"):
            await read_encoding(chain, Keypair().pubkey())
