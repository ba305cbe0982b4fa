"""The bank: LiteSVM plus the state that a validator keeps around its VM. It has no sockets, and time is an argument.

It keeps slots and blockhashes with their expiry, knows durable nonces, recognizes duplicates, and remembers executed
transactions with balances and metadata. There is one node and there are no forks, so a transaction is final once it has
run, as on MagicBlock's rollup, and every commitment sees the same state.

Slots are `slot_ms` long and counted from the start, so slot, block height and block time follow from the clock. The
blockhash of a slot follows from the genesis hash. So slots without transactions take no memory.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import deque
from typing import NamedTuple

from solders.account import Account
from solders.clock import Clock
from solders.epoch_schedule import EpochSchedule
from solders.hash import Hash
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, SimulatedTransactionInfo

from ..wire import ids
from . import tokens
from .faults import TransactionFault, invalid_params, undecodable
from .history import Entry, History, Wire
from .outcome import RefusedError, Simulation

SLOTS_PER_EPOCH = 432_000
MAX_TRANSACTION_BYTES = 1232
HASH_LIFE_MS = 60_000
"""How long a blockhash is accepted. Validators count 150 slots, which take a minute; clients rely on the minute."""
MIN_HASH_SLOTS = 150
DEFAULT_HISTORY = 20_000
SAMPLE_MS = 60_000
MAX_SAMPLES = 720

CLOCK = ids.CLOCK_SYSVAR
_LOOKUP_PROGRAM = bytes(Pubkey.from_string("AddressLookupTab1e1111111111111111111111111"))
_NO_SIGNATURE = Signature.default()
_RECENT_HASHES = bytes(Pubkey.from_string("SysvarRecentB1ockHashes11111111111111111111"))
_LOOKUP_HEADER_BYTES = 56
_SYSTEM = bytes(32)
_COMPUTE_BUDGET = bytes(Pubkey.from_string("ComputeBudget111111111111111111111111111111"))
_ADVANCE_NONCE = (4).to_bytes(4, "little")
_ADVANCE_ACCOUNTS = 3
NONCE_BYTES = 80
_NONCE_READY = bytes([1, 0, 0, 0, 1, 0, 0, 0])
"""A nonce account's version (1) and state (initialized)."""


class Sample(NamedTuple):
    """How many transactions were executed in the `slots` slots up to `slot`."""

    slot: int
    slots: int
    transactions: int


class Bank:
    """The state of one chain. The module's docstring says what it includes.

    Args:
        slot_ms: length of a slot.
        now: Unix time of slot 1, in seconds.
        genesis: the genesis hash, 32 bytes. Use a fresh one for each chain, so that no chain accepts another's
        transactions. history: how many transactions are kept whole.
    """

    def __init__(self, *, slot_ms: float, now: float, genesis: bytes, history: int = DEFAULT_HISTORY) -> None:
        # Mainnet's feature set has validators' own limits, such as the stack depth. LiteSVM's blockhash check knows
        # only the newest one, and its history only 32 transactions, so this class does both.
        self.svm = LiteSVM().with_mainnet_features().with_blockhash_check(False).with_transaction_history(0)
        self.svm.set_epoch_schedule(EpochSchedule.custom(SLOTS_PER_EPOCH, SLOTS_PER_EPOCH, False))
        self.slot_ms = slot_ms
        self.genesis = genesis
        self.started = now
        self.slot = 1
        self.hash_slots = max(MIN_HASH_SLOTS, round(HASH_LIFE_MS / slot_ms))
        self.history = History(history)
        self.samples: deque[Sample] = deque(maxlen=MAX_SAMPLES)
        """what was executed in each minute, the newest first"""
        self._sampled = (1, 0)
        self._hashes: dict[bytes, int] = {self.blockhash(slot): slot for slot in (0, 1)}
        self._hash_order: deque[bytes] = deque(self._hashes)
        self._clock_slot = self._nonce_slot = -1

    # ---- time

    def blockhash(self, slot: int) -> bytes:
        """The blockhash of a slot, 32 bytes: SHA-256(genesis ‖ slot u64)."""
        return hashlib.sha256(self.genesis + slot.to_bytes(8, "little")).digest()

    def time_of(self, slot: int) -> int:
        """The Unix time of a slot, in whole seconds."""
        return int(self.started + (slot - 1) * self.slot_ms / 1000)

    def slot_at(self, now: float) -> int:
        """The slot at a Unix time, but never earlier than the current slot."""
        return max(self.slot, 1 + int((now - self.started) * 1000 / self.slot_ms))

    def advance(self, slot: int) -> None:
        """Advances to a slot. Blockhashes that are too old expire."""
        for fresh in range(max(self.slot + 1, slot - self.hash_slots), slot + 1):
            digest = self.blockhash(fresh)
            self._hashes[digest] = fresh
            self._hash_order.append(digest)
        self.slot = slot
        oldest = slot - self.hash_slots
        while self._hashes[self._hash_order[0]] < oldest:
            del self._hashes[self._hash_order.popleft()]
        self.history.expire(oldest)
        since, count = self._sampled
        if (slot - since) * self.slot_ms >= SAMPLE_MS:
            self.samples.appendleft(Sample(slot, slot - since, self.history.count - count))
            self._sampled = (slot, self.history.count)

    @property
    def epoch(self) -> int:
        """The present slot's epoch."""
        return self.slot // SLOTS_PER_EPOCH

    def hash_slot(self, blockhash: bytes) -> int | None:
        """The slot of a blockhash, None if the blockhash is not valid."""
        return self._hashes.get(blockhash)

    def sync_clock(self) -> None:
        """Writes the clock sysvar for the current slot, unless it is written already."""
        if self._clock_slot != self.slot:
            self._clock_slot = self.slot
            epoch = self.epoch
            first = self.time_of(max(1, epoch * SLOTS_PER_EPOCH))
            self.svm.set_clock(Clock(self.slot, first, epoch, epoch + 1, self.time_of(self.slot)))

    def _sync(self, wire: Wire) -> None:
        """Updates the sysvars that a transaction may read."""
        self.sync_clock()
        if _LOOKUP_PROGRAM in wire.static:
            self._sync_slot_hashes()
        if _RECENT_HASHES in wire.static and self._nonce_slot != self.slot:
            # A nonce advances to the VM's newest blockhash, which changes only here: so once a slot, as elsewhere.
            self._nonce_slot = self.slot
            self.svm.expire_blockhash()

    def _sync_slot_hashes(self) -> None:
        # Only the creation of a lookup table reads them, and writing them takes 50 µs, so this runs when that program
        # is called. They include the present slot, since clients get it as the newest finalized slot.
        first = max(0, self.slot - 512)
        self.svm.set_slot_hashes([(s, Hash(self.blockhash(s))) for s in range(self.slot, first, -1)])

    # ---- accounts

    def account(self, key: bytes) -> Account | None:
        """Returns an account, or None if it does not exist."""
        pubkey = Pubkey.from_bytes(key)
        if pubkey == CLOCK:
            self.sync_clock()
        found = self.svm.get_account(pubkey)
        return found if found is not None and (found.lamports or found.data) else None

    def find(self, key: Pubkey) -> Account | None:
        """As `account`."""
        return self.account(bytes(key))

    def balances(self, keys: list[bytes]) -> array[int]:
        """The lamports of accounts."""
        get = self.svm.get_balance
        return array("Q", [get(Pubkey.from_bytes(key)) or 0 for key in keys])

    # ---- transactions

    def parse(self, raw: bytes) -> tuple[VersionedTransaction, Wire]:
        """Parses and sanitizes a transaction. Raises RequestError (invalid params) with validators' words."""
        if len(raw) > MAX_TRANSACTION_BYTES:
            raise invalid_params(
                f"decoded solana_transaction::versioned::VersionedTransaction too large: {len(raw)} bytes"
                f" (max: {MAX_TRANSACTION_BYTES} bytes)"
            )
        try:
            transaction = VersionedTransaction.from_bytes(raw)
        except Exception as error:
            raise undecodable("solana_transaction::versioned::VersionedTransaction", error) from None
        try:
            transaction.sanitize()
            wire = Wire.parse(raw, transaction)
        except Exception:
            raise invalid_params(
                "invalid transaction: Transaction failed to sanitize accounts offsets correctly"
            ) from None
        twice = _repeated_budget(transaction, wire)
        if twice is not None:
            raise invalid_params(
                f"invalid transaction: Transaction contains a duplicate instruction ({twice}) that is not allowed"
            )
        return transaction, wire

    def execute(self, raw: bytes, transaction: VersionedTransaction, wire: Wire, *, preflight: bool) -> Entry:
        """Runs a transaction; its effects are visible when this returns.

        With `preflight`, a transaction that fails has no effect. It runs, and then its fee is put back: that does the
        same as a simulation first, in half the time, since a failed transaction changes only its payer.

        Raises:
            RefusedError: it did not land.
        """
        nonce = None if wire.blockhash in self._hashes else self.nonce_account(transaction, wire)
        valid = nonce is not None or wire.blockhash in self._hashes
        if not valid or self.history.status(wire.signature) is not None:
            if preflight and not _signed(transaction):
                raise RefusedError(_UNSIGNED)
            raise RefusedError(TransactionFault.named("AlreadyProcessed" if valid else "BlockhashNotFound"))
        self._sync(wire)
        loaded = self.load_lookups(wire)
        entry = Entry(self.slot, raw, wire, loaded)
        keys = entry.keys
        entry.before = self.balances(keys)
        entry.tokens_before = tokens.balances(keys, self.find)
        payer = Pubkey.from_bytes(wire.static[0])
        payer_before = self.svm.get_account(payer) if preflight else None
        result = self.svm.send_transaction(transaction)
        if isinstance(result, FailedTransactionMetadata):
            entry.fault = fault = self._fault(result, transaction, wire)
            entry.meta = meta = result.meta()
            ran = meta.signature() != _NO_SIGNATURE
            if preflight:
                if payer_before is not None:
                    self.svm.set_account(payer, payer_before)
                known = ran or fault.json == b'"ProgramAccountNotFound"'
                raise RefusedError(fault, meta if known else None, keys if meta.logs() else [])
            if not ran:
                raise RefusedError(fault)
            if nonce is not None:
                self._advance_nonce(nonce)
        else:
            entry.meta = result
        entry.after = self.balances(keys)
        entry.tokens_after = tokens.balances(keys, self.find)
        self.history.add(entry)
        return entry

    def simulate(self, transaction: VersionedTransaction, wire: Wire, *, verify: bool, check_hash: bool) -> Simulation:
        """Runs a transaction and discards its effects. With `verify`, a wrong signature is reported as its error."""
        if verify and not _signed(transaction):
            return Simulation(_UNSIGNED)
        if check_hash and wire.blockhash not in self._hashes and self.nonce_account(transaction, wire) is None:
            return self._not_run(wire, "BlockhashNotFound")
        if check_hash and self.history.status(wire.signature) is not None:
            return self._not_run(wire, "AlreadyProcessed")
        self._sync(wire)
        self.svm.with_sigverify(False)
        try:
            result = self.svm.simulate_transaction(transaction)
        finally:
            self.svm.with_sigverify(True)
        outcome = self._not_run(wire, None)
        outcome.meta = meta = result.meta()
        if isinstance(result, SimulatedTransactionInfo):
            outcome.accounts = {bytes(key): account for key, account in result.post_accounts()}
            changed = outcome.accounts
            outcome.tokens_after = tokens.balances(outcome.keys, lambda key: changed.get(bytes(key)) or self.find(key))
            for place, key in enumerate(outcome.keys):
                if key in outcome.accounts:
                    outcome.after[place] = outcome.accounts[key].lamports
            return outcome
        outcome.fault = self._fault(result, transaction, wire)
        outcome.after[0] -= min(outcome.after[0], meta.fee())
        return outcome

    def _not_run(self, wire: Wire, fault: str | None) -> Simulation:
        """The parts of a transaction's result that are known without running it."""
        loaded = self.load_lookups(wire)
        keys = wire.static + loaded[0] + loaded[1]
        before, held = self.balances(keys), tokens.balances(keys, self.find)
        return Simulation(
            None if fault is None else TransactionFault.named(fault),
            keys=keys,
            loaded=loaded,
            tables=len(wire.lookups),
            before=before,
            after=before[:],
            tokens_before=held,
            tokens_after=held,
        )

    def _fault(
        self, result: FailedTransactionMetadata, transaction: VersionedTransaction, wire: Wire
    ) -> TransactionFault:
        """A transaction's error. LiteSVM does not tell a missing program from an account that is no program."""
        fault = TransactionFault.of(result.err())
        if fault.json == b'"InvalidProgramForExecution"':
            indexes = [call.program_id_index for call in transaction.message.instructions]
            if any(self.account(wire.static[index]) is None for index in indexes if index < len(wire.static)):
                return TransactionFault.named("ProgramAccountNotFound")
        return fault

    # ---- durable nonces

    def nonce_account(self, transaction: VersionedTransaction, wire: Wire) -> Pubkey | None:
        """The nonce account that makes a transaction's blockhash valid; None if there is none.

        Its first instruction is the system program's AdvanceNonceAccount, signed by the nonce's authority, and the
        blockhash is what the nonce account holds.
        """
        instructions = transaction.message.instructions
        if not instructions:
            return None
        first = instructions[0]
        indexes = bytes(first.accounts)
        if bytes(first.data) != _ADVANCE_NONCE or wire.static[first.program_id_index] != _SYSTEM:
            return None
        if len(indexes) < _ADVANCE_ACCOUNTS or max(indexes) >= len(wire.static):
            return None
        key = wire.static[indexes[0]]
        account = self.svm.get_account(Pubkey.from_bytes(key))
        if account is None or bytes(account.owner) != _SYSTEM or len(account.data) != NONCE_BYTES:
            return None
        data = bytes(account.data)
        signers = [wire.static[index] for index in indexes if index < wire.signers]
        if data[:8] != _NONCE_READY or data[8:40] not in signers or data[40:72] != wire.blockhash:
            return None
        return Pubkey.from_bytes(key) if key in wire.writable else None

    def _advance_nonce(self, key: Pubkey) -> None:
        """Uses up the nonce of a failed transaction, as validators do, so that it cannot be sent again."""
        account = self.svm.get_account(key)
        if account is not None:
            data = bytes(account.data)
            fresh = hashlib.sha256(b"DURABLE_NONCE" + bytes(self.svm.latest_blockhash())).digest()
            data = data[:40] + fresh + data[72:]
            self.svm.set_account(key, Account(account.lamports, data, account.owner, False, account.rent_epoch))

    def load_lookups(self, wire: Wire) -> tuple[list[bytes], list[bytes]]:
        """The keys that lookup tables add, as (writable, readonly). The VM refuses indexes that do not exist."""
        writable: list[bytes] = []
        readonly: list[bytes] = []
        for table, writable_indexes, readonly_indexes in wire.lookups:
            account = self.svm.get_account(Pubkey.from_bytes(table))
            addresses = account.data[_LOOKUP_HEADER_BYTES:] if account is not None else b""
            for indexes, keys in ((writable_indexes, writable), (readonly_indexes, readonly)):
                found = (addresses[32 * index : 32 * index + 32] for index in indexes)
                keys.extend(key for key in found if len(key) == 32)
        return writable, readonly


_UNSIGNED = TransactionFault.named("SignatureFailure")


def _signed(transaction: VersionedTransaction) -> bool:
    """Whether all signatures of a transaction are right."""
    return all(transaction.verify_with_results())


def _repeated_budget(transaction: VersionedTransaction, wire: Wire) -> int | None:
    """The index of the first compute-budget instruction that repeats an earlier one's kind; None if none does."""
    seen: set[bytes] = set()
    for index, call in enumerate(transaction.message.instructions):
        if wire.static[call.program_id_index] == _COMPUTE_BUDGET:
            kind = bytes(call.data[:1])
            if kind in seen:
                return index
            seen.add(kind)
    return None
