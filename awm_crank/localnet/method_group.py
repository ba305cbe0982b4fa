"""What every group of JSON-RPC methods shares: the bank, the answer's context, the configuration's checks."""

from __future__ import annotations

from typing import Any

from solders.keypair import Keypair

from . import base58
from .bank import Bank
from .faults import TOO_LARGE
from .jsonrpc import MAX_ANSWER_BYTES
from .ledger import join
from .params import config

CORE_VERSION = "3.1.12"
"""The Agave version whose RPC this one follows."""


class Rows:
    """The elements of an answer, as JSON texts. Raises RequestError once they are too long together."""

    def __init__(self) -> None:
        self._rows: list[bytes] = []
        self._room = MAX_ANSWER_BYTES

    def add(self, row: bytes) -> None:
        """Adds an element."""
        self._room -= len(row)
        if self._room < 0:
            raise TOO_LARGE
        self._rows.append(row)

    def join(self) -> bytes:
        """The array."""
        return join(self._rows)


class MethodGroup:
    """Base of the groups. A public method `get_epoch_info` serves the RPC method `getEpochInfo`.

    Args:
        identity: the key of this node, which getIdentity and getSlotLeader name.
    """

    def __init__(self, bank: Bank, identity: Keypair) -> None:
        self._bank = bank
        self._identity = b'"%b"' % str(identity.pubkey()).encode()

    def _context(self, value: bytes) -> bytes:
        return b'{"context":{"apiVersion":"%b","slot":%d},"value":%b}' % (
            CORE_VERSION.encode(),
            self._bank.slot,
            value,
        )

    def _config(self, params: list[Any], index: int) -> dict[str, Any]:
        return config(params, index, self._bank.slot)

    def _hash_text(self, slot: int) -> bytes:
        return base58.encode(self._bank.blockhash(slot))
