"""The bank: LiteSVM plus what a validator keeps around its VM. No sockets, and time comes in as an argument.

It keeps slots and blockhashes with their expiry, recognizes duplicates, and remembers executed transactions with
balances and metadata. There is one node and there are no forks: what has been executed is final at once, as on
MagicBlock's rollup, so every commitment sees the same state.

A slot is `slot_ms` long and counted from the start, so slot, block height and block time follow from the clock. The
blockhash of a slot follows from the genesis hash. That leaves nothing to store for slots without transactions.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from typing import TypeAlias

import msgspec
from solders.account import Account
from solders.clock import Clock
from solders.hash import Hash
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, SimulatedTransactionInfo, TransactionMetadata

from .faults import SIGNATURE_FAILURE, RequestError, TransactionFault, invalid_params

SLOTS_PER_EPOCH = 432_000
MAX_TRANSACTION_BYTES = 1232
HASH_LIFE_MS = 60_000
"""How long a blockhash is accepted. Validators count 150 slots, a minute at theirs; clients count on the minute."""
MIN_HASH_SLOTS = 150

CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
_LOOKUP_PROGRAM = bytes(Pubkey.from_string("AddressLookupTab1e1111111111111111111111111"))
_NO_SIGNATURE = Signature.default()
_LOOKUP_HEADER_BYTES = 56

Meta: TypeAlias = TransactionMetadata


class Wire(msgspec.Struct):
    """What the bank needs of a transaction, read straight from its bytes.

    Args:
        signature: the first one, 64 bytes.
        static: the message's own keys, 32 bytes each.
        writable: those of them that are locked for writing.
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
    def parse(cls, raw: bytes, transaction: VersionedTransaction) -> Wire:
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
            message = transaction.message
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


class Entry:
    """A transaction that landed.

    `keys` are all its accounts (static, then loaded writable, then loaded readonly), `written` those locked for
    writing; `fault` is None when it succeeded; `before` and `after` are the balances of `keys`.
    """

    __slots__ = ("after", "before", "fault", "keys", "loaded", "meta", "raw", "signature", "slot", "wire", "written")

    def __init__(self, slot: int, raw: bytes, wire: Wire, loaded: tuple[list[bytes], list[bytes]]) -> None:
        self.slot = slot
        self.raw = raw
        self.wire = wire
        self.signature = wire.signature
        self.written = wire.writable + loaded[0] if loaded[0] else wire.writable
        self.loaded = loaded
        self.keys = wire.static + loaded[0] + loaded[1]
        self.before: list[int] = []
        self.after: list[int] = []
        self.fault: TransactionFault | None = None
        self.meta: Meta

    @property
    def signature_text(self) -> bytes:
        """The signature in base58."""
        return str(Signature.from_bytes(self.signature)).encode()


class RefusedError(Exception):
    """A transaction that does not land. `meta` is there when it ran."""

    def __init__(self, fault: TransactionFault, meta: Meta | None = None) -> None:
        super().__init__(fault.text)
        self.fault = fault
        self.meta = meta


class Bank:
    """See the module.

    Args:
        slot_ms: length of a slot.
        now: Unix time of slot 1, in seconds.
        genesis: 32 bytes, the genesis hash; a fresh one for each chain keeps transactions of another chain out.
        history: how many transactions are remembered at least (older ones while their blockhash lives, too).
    """

    def __init__(self, *, slot_ms: float, now: float, genesis: bytes, history: int = 50_000) -> None:
        # mainnet's feature set gives validators' own limits, the stack depth among them; LiteSVM's blockhash check
        # knows only the newest one and its history only 32 transactions, so both are done here
        self.svm = LiteSVM().with_mainnet_features().with_blockhash_check(False).with_transaction_history(0)
        self.slot_ms = slot_ms
        self.genesis = genesis
        self.started = now
        self.slot = 1
        self.hash_slots = max(MIN_HASH_SLOTS, round(HASH_LIFE_MS / slot_ms))
        self.transactions = 0
        self.entries: dict[bytes, Entry] = {}
        self.blocks: dict[int, list[Entry]] = {}
        self._order: deque[Entry] = deque()
        self._history = history
        self._hashes: dict[bytes, int] = {self.blockhash(slot): slot for slot in (0, 1)}
        self._hash_order: deque[bytes] = deque(self._hashes)
        self._clock_slot = -1

    # ---- time

    def blockhash(self, slot: int) -> bytes:
        """The blockhash of a slot, 32 bytes: SHA-256(genesis ‖ slot u64)."""
        return hashlib.sha256(self.genesis + slot.to_bytes(8, "little")).digest()

    def time_of(self, slot: int) -> int:
        """Unix time of a slot, in whole seconds."""
        return int(self.started + (slot - 1) * self.slot_ms / 1000)

    def slot_at(self, now: float) -> int:
        """The slot that a Unix time falls into; never one before the present slot."""
        return max(self.slot, 1 + int((now - self.started) * 1000 / self.slot_ms))

    def advance(self, slot: int) -> None:
        """Moves on to a slot; blockhashes that are too old expire."""
        for fresh in range(max(self.slot + 1, slot - self.hash_slots), slot + 1):
            digest = self.blockhash(fresh)
            self._hashes[digest] = fresh
            self._hash_order.append(digest)
        self.slot = slot
        oldest = slot - self.hash_slots
        while self._hashes[self._hash_order[0]] < oldest:
            del self._hashes[self._hash_order.popleft()]
        while self._order and len(self._order) > self._history and self._order[0].slot < oldest:
            self._forget(self._order.popleft())

    def _forget(self, entry: Entry) -> None:
        del self.entries[entry.signature]
        block = self.blocks.get(entry.slot)
        if block is not None:
            block.remove(entry)
            if not block:
                del self.blocks[entry.slot]

    @property
    def first_slot(self) -> int:
        """The oldest slot whose block is still whole."""
        return self._order[0].slot if len(self._order) >= self._history else 0

    @property
    def epoch(self) -> int:
        """Of the present slot."""
        return self.slot // SLOTS_PER_EPOCH

    def hash_slot(self, blockhash: bytes) -> int | None:
        """The slot of a blockhash that is still valid."""
        return self._hashes.get(blockhash)

    def sync_clock(self) -> None:
        """Writes the clock sysvar for the present slot, where that has not been done."""
        if self._clock_slot != self.slot:
            self._clock_slot = self.slot
            epoch = self.epoch
            first = self.time_of(max(1, epoch * SLOTS_PER_EPOCH))
            self.svm.set_clock(Clock(self.slot, first, epoch, epoch + 1, self.time_of(self.slot)))

    def _sync_slot_hashes(self) -> None:
        # only creating a lookup table reads them, and writing them costs 50 µs: done when that program is called
        first = max(0, self.slot - 512)
        self.svm.set_slot_hashes([(s, Hash(self.blockhash(s))) for s in range(self.slot - 1, first, -1)])

    def newest(self, address: bytes, before: bytes | None, until: bytes | None, limit: int) -> Iterator[Entry]:
        """Transactions that mention an address, newest first, from after `before` to before `until`.

        Raises nothing for unknown signatures: with an unknown `before` there is nothing after it.
        """
        # no index: a scan of all that is remembered takes 20 ms and is rare, an index would cost every transaction
        skipping = before is not None
        for entry in reversed(self._order):
            if skipping:
                skipping = entry.signature != before
                continue
            if limit <= 0 or entry.signature == until:
                return
            if address in entry.keys:
                limit -= 1
                yield entry

    # ---- accounts

    def account(self, key: bytes) -> Account | None:
        """An account as it is now; one without lamports does not exist."""
        pubkey = Pubkey.from_bytes(key)
        if pubkey == CLOCK:
            self.sync_clock()
        found = self.svm.get_account(pubkey)
        return found if found is not None and (found.lamports or found.data) else None

    def _balances(self, keys: list[bytes]) -> list[int]:
        get = self.svm.get_balance
        return [get(Pubkey.from_bytes(key)) or 0 for key in keys]

    # ---- transactions

    def parse(self, raw: bytes) -> tuple[VersionedTransaction, Wire]:
        """Parses and sanitizes a transaction; raises RequestError (invalid params) as validators do."""
        if len(raw) > MAX_TRANSACTION_BYTES:
            raise invalid_params(
                f"decoded solana_transaction::versioned::VersionedTransaction too large: {len(raw)} bytes"
                f" (max: {MAX_TRANSACTION_BYTES} bytes)"
            )
        try:
            transaction = VersionedTransaction.from_bytes(raw)
        except Exception as error:
            raise invalid_params(
                f"failed to deserialize solana_transaction::versioned::VersionedTransaction: {error}"
            ) from None
        try:
            transaction.sanitize()
            wire = Wire.parse(raw, transaction)
        except Exception:
            raise invalid_params(
                "invalid transaction: Transaction failed to sanitize accounts offsets correctly"
            ) from None
        return transaction, wire

    def execute(self, raw: bytes, transaction: VersionedTransaction, wire: Wire, *, preflight: bool) -> Entry:
        """Runs a transaction; its effects are there when this returns.

        With `preflight`, one that fails leaves nothing behind. Running it and putting the fee back does what
        simulating it first would, at half the price: a failed transaction changes its payer only.

        Raises:
            RefusedError: it did not land.
            RequestError: its signatures are wrong (with preflight; without, that too is RefusedError).
        """
        if self._hashes.get(wire.blockhash) is None or wire.signature in self.entries:
            if preflight:
                self.require_signatures(transaction)
            known = wire.signature in self.entries
            raise RefusedError(TransactionFault.named("AlreadyProcessed" if known else "BlockhashNotFound"))
        self.sync_clock()
        if _LOOKUP_PROGRAM in wire.static:
            self._sync_slot_hashes()
        loaded = self._load_lookups(wire)
        entry = Entry(self.slot, raw, wire, loaded)
        entry.before = self._balances(entry.keys)
        payer = Pubkey.from_bytes(wire.static[0])
        payer_before = self.svm.get_account(payer) if preflight else None
        result = self.svm.send_transaction(transaction)
        if isinstance(result, FailedTransactionMetadata):
            entry.fault = fault = TransactionFault.of(result.err())
            entry.meta = meta = result.meta()
            ran = meta.signature() != _NO_SIGNATURE
            if preflight:
                if payer_before is not None:
                    self.svm.set_account(payer, payer_before)
                if fault.json == b'"SignatureFailure"':
                    raise signature_fault()
                raise RefusedError(fault, meta if ran else None)
            if not ran:
                raise RefusedError(fault)
        else:
            entry.meta = result
        entry.after = self._balances(entry.keys)
        self.transactions += 1
        self.entries[wire.signature] = entry
        self._order.append(entry)
        self.blocks.setdefault(self.slot, []).append(entry)
        return entry

    def simulate(self, transaction: VersionedTransaction, wire: Wire, *, verify: bool, check_hash: bool) -> Simulation:
        """Runs a transaction without effects; raises RequestError when its signatures are to be verified and wrong."""
        if verify:
            self.require_signatures(transaction)
        if check_hash and self._hashes.get(wire.blockhash) is None:
            return Simulation(TransactionFault.named("BlockhashNotFound"), None, {})
        if check_hash and wire.signature in self.entries:
            return Simulation(TransactionFault.named("AlreadyProcessed"), None, {})
        self.sync_clock()
        if _LOOKUP_PROGRAM in wire.static:
            self._sync_slot_hashes()
        self.svm.with_sigverify(False)
        try:
            result = self.svm.simulate_transaction(transaction)
        finally:
            self.svm.with_sigverify(True)
        if isinstance(result, SimulatedTransactionInfo):
            return Simulation(None, result.meta(), {bytes(key): account for key, account in result.post_accounts()})
        return Simulation(TransactionFault.of(result.err()), result.meta(), {})

    def require_signatures(self, transaction: VersionedTransaction) -> None:
        """Raises RequestError unless every signature of the transaction is right."""
        if not all(transaction.verify_with_results()):
            raise signature_fault()

    def _load_lookups(self, wire: Wire) -> tuple[list[bytes], list[bytes]]:
        """The keys that lookup tables add, (writable, readonly). Indexes that do not exist are the VM's to refuse."""
        writable: list[bytes] = []
        readonly: list[bytes] = []
        for table, writable_indexes, readonly_indexes in wire.lookups:
            account = self.svm.get_account(Pubkey.from_bytes(table))
            addresses = account.data[_LOOKUP_HEADER_BYTES:] if account is not None else b""
            for indexes, keys in ((writable_indexes, writable), (readonly_indexes, readonly)):
                found = (addresses[32 * index : 32 * index + 32] for index in indexes)
                keys.extend(key for key in found if len(key) == 32)
        return writable, readonly


class Simulation(msgspec.Struct):
    """What a simulated transaction did: its fault, its metadata (None when it did not run) and its accounts after."""

    fault: TransactionFault | None
    meta: Meta | None
    accounts: dict[bytes, Account]


def signature_fault() -> RequestError:
    """What sendTransaction's preflight answers to a wrong signature."""
    return RequestError(SIGNATURE_FAILURE, "Transaction signature verification failure")
