"""What the bank says of a transaction that did not land, and of one that it simulated."""

from __future__ import annotations

from array import array
from typing import TypeAlias

import msgspec
from solders.account import Account
from solders.transaction_metadata import TransactionMetadata

from .faults import TransactionFault
from .history import Keys
from .tokens import TokenBalance

Meta: TypeAlias = TransactionMetadata


class RefusedError(Exception):
    """A transaction did not land. If it ran, `meta` and `keys`, its accounts, are set."""

    def __init__(self, fault: TransactionFault, meta: Meta | None = None, keys: Keys | None = None) -> None:
        super().__init__(fault.text)
        self.fault = fault
        self.meta = meta
        self.keys = keys or []


class Simulation(msgspec.Struct):
    """What a simulated transaction did.

    Args:
        fault: None if it succeeded.
        meta: None if it did not run.
        accounts: the accounts that it would change, with their new content.
        keys: all of its accounts. This and the following are empty for a failed preflight, whose answer has fewer
            fields.
        loaded: the keys that lookup tables added, as (writable, readonly).
        tables: how many lookup tables it names.
        before, after: lamports of `keys`.
        tokens_before, tokens_after: token balances of `keys`.
    """

    fault: TransactionFault | None
    meta: Meta | None = None
    accounts: dict[bytes, Account] = {}
    keys: list[bytes] = []
    loaded: tuple[list[bytes], list[bytes]] = ([], [])
    tables: int = 0
    before: array[int] = msgspec.field(default_factory=lambda: array("Q"))
    after: array[int] = msgspec.field(default_factory=lambda: array("Q"))
    tokens_before: tuple[TokenBalance, ...] = ()
    tokens_after: tuple[TokenBalance, ...] = ()
