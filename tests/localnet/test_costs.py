"""The cost model against figures from Agave 3.1.12."""

from __future__ import annotations

import pytest
from localnet.kit import Node
from solders.keypair import Keypair

from awm_crank.localnet import costs


@pytest.mark.parametrize(
    ("signatures", "write_locks", "data_bytes", "executed", "loaded", "charged"),
    [
        # a transfer; a failed pair of transfers; a transaction by nonce; a memo with a priority fee
        (1, 2, 12, 150, 206, 1481),
        (1, 2, 24, 300, 206, 1634),
        (1, 3, 16, 300, 6422, 1932),
        (1, 2, 31, 17_187, 75_000, 18_538),
    ],
)
def test_units(signatures: int, write_locks: int, data_bytes: int, executed: int, loaded: int, charged: int) -> None:
    """Costs equal the `costUnits` that solana-test-validator returned."""
    assert charged == costs.units(
        signatures=signatures, write_locks=write_locks, data_bytes=data_bytes, executed=executed, loaded=loaded
    )


def test_loaded_bytes(node: Node) -> None:
    """Each account counts once with 64 bytes more than its data, a missing one not at all, and a table with 8,248."""
    payer, other = bytes(node.payer.pubkey()), bytes(node.funded().pubkey())
    keys = [payer, other, bytes(32), payer, bytes(Keypair().pubkey())]
    assert costs.loaded_bytes(node.bank, keys, 0) == 64 + 64 + 64 + 14
    assert costs.loaded_bytes(node.bank, [payer], 2) == 64 + 2 * 8248
