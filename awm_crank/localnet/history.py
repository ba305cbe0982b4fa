"""Transactions that landed: their bytes, what they did, and how long they are remembered.

Memory is bounded. Only the last transactions are kept whole. Of older ones whose blockhash is still valid, only
signature, slot and error are kept: enough to recognize them.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from solders.message import MessageV0
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import TransactionMetadata

from .faults import TransactionFault
from .tokens import TokenBalance


class Wire(msgspec.Struct):
    """The parts of a transaction that the bank needs, read directly from its bytes.

    Args:
        signature: the first signature, 64 bytes.
        static: the message's own keys, 32 bytes each.
        writable: the static keys that are locked for writing.
        blockhash: 32 bytes.
        lookups: (table, writable indexes, readonly indexes) of a v0 message.
        version: None for legacy, else its number.
        signers: the number of signatures.
        message_at: offset of the message in the raw bytes.
    """

    signature: bytes
    static: list[bytes]
    writable: list[bytes]
    blockhash: bytes
    lookups: list[tuple[bytes, bytes, bytes]]
    version: int | None
    signers: int
    message_at: int

    @classmethod
    def parse(cls, raw: bytes, transaction: VersionedTransaction | None = None) -> Wire:
        """From the raw bytes of a transaction that solders could parse and sanitize.

        Its counts fit one byte each: 1,232 bytes hold at most 19 signatures and 38 keys.
        """
        signers = raw[0]
        at = message_at = 1 + 64 * signers
        version = None
        if raw[at] & 0x80:
            version = raw[at] & 0x7F
            at += 1
        readonly_signed, readonly_unsigned, count = raw[at + 1], raw[at + 2], raw[at + 3]
        at += 4
        static = [raw[start : start + 32] for start in range(at, at + 32 * count, 32)]
        at += 32 * count
        lookups: list[tuple[bytes, bytes, bytes]] = []
        if version is not None:
            message = (transaction or VersionedTransaction.from_bytes(raw)).message
            if not isinstance(message, MessageV0):
                raise ValueError("neither legacy nor version 0")
            lookups = [
                (bytes(table.account_key), bytes(table.writable_indexes), bytes(table.readonly_indexes))
                for table in message.address_table_lookups
            ]
        return cls(
            raw[1:65],
            static,
            static[: signers - readonly_signed] + static[signers : count - readonly_unsigned],
            raw[at : at + 32],
            lookups,
            version,
            signers,
            message_at,
        )


Keys = list[bytes]


class Entry:
    """A transaction that landed.

    `before` and `after` are the lamports of its `keys`; `fault` is None if it succeeded. Keys are read from the bytes
    on demand, since they would take most of an entry's memory.
    """

    __slots__ = ("_wire", "after", "before", "fault", "loaded", "meta", "raw", "slot", "tokens_after", "tokens_before")

    def __init__(self, slot: int, raw: bytes, wire: Wire, loaded: tuple[Keys, Keys]) -> None:
        self.slot = slot
        self.raw = raw
        self.loaded = loaded if loaded[0] or loaded[1] else _NOTHING_LOADED
        self._wire: Wire | None = wire
        self.before = self.after = _NO_BALANCES
        self.tokens_before: tuple[TokenBalance, ...] = ()
        self.tokens_after: tuple[TokenBalance, ...] = ()
        self.fault: TransactionFault | None = None
        self.meta: TransactionMetadata

    def compact(self) -> None:
        """Drops all data that can be read from the bytes again."""
        self._wire = None

    @property
    def wire(self) -> Wire:
        """The transaction's parts."""
        return self._wire or Wire.parse(self.raw)

    @property
    def keys(self) -> Keys:
        """All its accounts: static, then loaded writable, then loaded readonly."""
        return self.wire.static + self.loaded[0] + self.loaded[1]

    @property
    def written(self) -> Keys:
        """The accounts that the transaction locks for writing."""
        return self.wire.writable + self.loaded[0]

    def mentions(self, key: bytes) -> bool:
        """Whether a key is one of its accounts."""
        # a search through the bytes is far cheaper, and excludes most transactions
        return (key in self.raw or key in self.loaded[0] or key in self.loaded[1]) and key in self.keys

    @property
    def signature(self) -> bytes:
        """The first signature, 64 bytes."""
        return self.raw[1:65]

    @property
    def signature_text(self) -> bytes:
        """The signature in base58."""
        return str(Signature.from_bytes(self.signature)).encode()


_NOTHING_LOADED: tuple[Keys, Keys] = ([], [])
_NO_BALANCES = array("Q")


class LandedStatus(NamedTuple):
    """Where a transaction landed, and its error."""

    slot: int
    fault: TransactionFault | None


class History:
    """The transactions that landed.

    Args:
        most: how many transactions are kept whole.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: dict[bytes, Entry] = {}
        self._blocks: dict[int, list[Entry]] = {}
        self._order: deque[Entry] = deque()
        self._statuses: dict[bytes, LandedStatus] = {}
        self._status_order: deque[bytes] = deque()
        self._gone_up_to = -1
        self.count = 0
        """transactions since the start"""

    def add(self, entry: Entry) -> None:
        """Remembers a transaction, and forgets the oldest one beyond the limit."""
        signature = entry.signature
        self.count += 1
        self._statuses[signature] = LandedStatus(entry.slot, entry.fault)
        self._status_order.append(signature)
        self._entries[signature] = entry
        self._order.append(entry)
        self._blocks.setdefault(entry.slot, []).append(entry)
        if len(self._order) > self._most:
            oldest = self._order.popleft()
            del self._entries[oldest.signature]
            self._gone_up_to = oldest.slot
            block = self._blocks[oldest.slot]
            block.pop(0)
            if not block:
                del self._blocks[oldest.slot]

    def expire(self, oldest: int) -> None:
        """Forgets the statuses of transactions before a slot, unless they are kept whole."""
        order = self._status_order
        while order and order[0] not in self._entries and self._statuses[order[0]].slot < oldest:
            del self._statuses[order.popleft()]

    def entry(self, signature: bytes) -> Entry | None:
        """A transaction, as long as it is kept whole."""
        return self._entries.get(signature)

    def status(self, signature: bytes) -> LandedStatus | None:
        """Whether and how a transaction has landed, at least as long as its blockhash is valid."""
        return self._statuses.get(signature)

    def block(self, slot: int) -> list[Entry]:
        """A slot's transactions, in order."""
        return self._blocks.get(slot, [])

    @property
    def first_slot(self) -> int:
        """The oldest slot whose transactions are all kept."""
        return self._gone_up_to + 1

    def newest(self, address: bytes, before: bytes | None, until: bytes | None, limit: int) -> Iterator[Entry]:
        """Transactions that mention an address, newest first, from after `before` to before `until`.

        With an unknown `before` there are none; an unknown `until` does not end them.
        """
        # No index: this scan takes 20 ms and is rare, and an index would cost every transaction.
        skipping = before is not None
        for entry in reversed(self._order):
            if skipping:
                if entry.signature == until:
                    return
                skipping = entry.signature != before
                continue
            if limit <= 0 or entry.signature == until:
                return
            if entry.mentions(address):
                limit -= 1
                yield entry
