"""The JSON-RPC methods of the HTTP endpoint: params in, results as JSON text out."""

from __future__ import annotations

from itertools import count
from typing import Any

from solders.account import Account
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message, from_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from . import base58, ledger
from .bank import MAX_TRANSACTION_BYTES, SLOTS_PER_EPOCH, Bank, Entry, RefusedError, Simulation
from .faults import (
    BLOCK_CLEANED_UP,
    BLOCK_NOT_AVAILABLE,
    INVALID_REQUEST,
    PREFLIGHT_FAILURE,
    RequestError,
    invalid_params,
)
from .jsonrpc import Handler
from .params import blob, config, key, keys, number, parse_key, parse_signature, required, supported_version, text
from .pubsub import Hub
from .views import AccountView, Filters, is_u64

CORE_VERSION = "3.1.12"
"""The Agave version whose RPC this one follows."""
FAUCET_LAMPORTS = 2**62
_TRANSACTION = "solana_transaction::versioned::VersionedTransaction"
_MESSAGE = "solana_message::versions::VersionedMessage"
_TRUE, _FALSE = b"true", b"false"


def _bool(value: bool) -> bytes:
    return _TRUE if value else _FALSE


class Methods:
    """The methods over one bank.

    Args:
        hub: is told of every transaction that lands.
        identity: what getIdentity and getSlotLeader name.
        faucet: pays for airdrops; gets its lamports here.
    """

    def __init__(self, bank: Bank, hub: Hub, *, identity: Keypair, faucet: Keypair) -> None:
        self._bank = bank
        self._hub = hub
        self._identity = b'"%b"' % str(identity.pubkey()).encode()
        self._faucet = faucet
        self._airdrops = count()
        bank.svm.set_account(faucet.pubkey(), Account(FAUCET_LAMPORTS, b"", Pubkey.default()))
        # get_epoch_info serves getEpochInfo
        self.table: dict[str, Handler] = {
            name[0] + "".join(part.capitalize() for part in name.split("_"))[1:]: getattr(self, name)
            for name in vars(Methods)
            if not name.startswith("_") and name != "table"
        }

    # ---- shared

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

    # ---- accounts

    def get_account_info(self, params: list[Any]) -> bytes:
        address = key(params, 0)
        view = AccountView.parse(self._config(params, 1))
        account = self._bank.account(address)
        if account is None:
            return self._context(b"null")
        view.refuse_long(account)
        return self._context(view.render(account))

    def get_multiple_accounts(self, params: list[Any]) -> bytes:
        wanted = keys(required(params, 0), 100)
        view = AccountView.parse(self._config(params, 1), "base64")
        rows = []
        for address in wanted:
            account = self._bank.account(address)
            if account is not None:
                view.refuse_long(account)
            rows.append(b"null" if account is None else view.render(account))
        return self._context(ledger.join(rows))

    def get_program_accounts(self, params: list[Any]) -> bytes:
        program = Pubkey.from_bytes(key(params, 0))
        settings = self._config(params, 1)
        view = AccountView.parse(settings)
        filters = Filters.parse(settings.get("filters"))
        rows = []
        for address, account in self._bank.svm.get_program_accounts(program):
            if filters.match(account):
                view.refuse_long(account)
                rows.append(b'{"account":%b,"pubkey":"%b"}' % (view.render(account), str(address).encode()))
        found = ledger.join(rows)
        return self._context(found) if settings.get("withContext") is True else found

    def get_balance(self, params: list[Any]) -> bytes:
        address = key(params, 0)
        self._config(params, 1)
        return self._context(b"%d" % (self._bank.svm.get_balance(Pubkey.from_bytes(address)) or 0))

    def get_minimum_balance_for_rent_exemption(self, params: list[Any]) -> bytes:
        size = number(params, 0)
        self._config(params, 1)
        return b"%d" % self._bank.svm.minimum_balance_for_rent_exemption(size)

    # ---- chain

    def get_health(self, _params: list[Any]) -> bytes:
        return b'"ok"'

    def get_version(self, _params: list[Any]) -> bytes:
        return b'{"feature-set":0,"solana-core":"%b"}' % CORE_VERSION.encode()

    def get_identity(self, _params: list[Any]) -> bytes:
        return b'{"identity":%b}' % self._identity

    def get_genesis_hash(self, _params: list[Any]) -> bytes:
        return b'"%b"' % base58.encode(self._bank.genesis)

    def get_slot(self, params: list[Any]) -> bytes:
        self._config(params, 0)
        return b"%d" % self._bank.slot

    def get_block_height(self, params: list[Any]) -> bytes:
        self._config(params, 0)
        return b"%d" % self._bank.slot

    def get_slot_leader(self, params: list[Any]) -> bytes:
        self._config(params, 0)
        return self._identity

    def get_slot_leaders(self, params: list[Any]) -> bytes:
        number(params, 0)
        limit = number(params, 1)
        if not 1 <= limit <= 5000:
            raise invalid_params("Invalid limit; max 5000")
        return ledger.join([self._identity] * limit)

    def get_epoch_info(self, params: list[Any]) -> bytes:
        self._config(params, 0)
        slot = self._bank.slot
        return (
            b'{"absoluteSlot":%d,"blockHeight":%d,"epoch":%d,"slotIndex":%d,"slotsInEpoch":%d,"transactionCount":%d}'
        ) % (slot, slot, self._bank.epoch, slot % SLOTS_PER_EPOCH, SLOTS_PER_EPOCH, self._bank.transactions)

    def get_epoch_schedule(self, _params: list[Any]) -> bytes:
        return (
            b'{"firstNormalEpoch":0,"firstNormalSlot":0,"leaderScheduleSlotOffset":%d,"slotsPerEpoch":%d,"warmup":false}'
        ) % (SLOTS_PER_EPOCH, SLOTS_PER_EPOCH)

    def get_transaction_count(self, params: list[Any]) -> bytes:
        self._config(params, 0)
        return b"%d" % self._bank.transactions

    def get_latest_blockhash(self, params: list[Any]) -> bytes:
        self._config(params, 0)
        bank = self._bank
        return self._context(
            b'{"blockhash":"%b","lastValidBlockHeight":%d}' % (self._hash_text(bank.slot), bank.slot + bank.hash_slots)
        )

    def is_blockhash_valid(self, params: list[Any]) -> bytes:
        wanted = parse_key(required(params, 0))
        self._config(params, 1)
        return self._context(_bool(self._bank.hash_slot(wanted) is not None))

    def get_recent_prioritization_fees(self, params: list[Any]) -> bytes:
        keys(params[0] if params else [], 128)
        slot = self._bank.slot
        return ledger.join(b'{"prioritizationFee":0,"slot":%d}' % past for past in range(max(1, slot - 149), slot + 1))

    def get_fee_for_message(self, params: list[Any]) -> bytes:
        raw = blob(text(params, 0), "base64", _MESSAGE, MAX_TRANSACTION_BYTES)
        self._config(params, 1)
        try:
            message = from_bytes_versioned(raw)
            unsigned = VersionedTransaction.populate(
                message, [Signature.default()] * message.header.num_required_signatures
            )
        except Exception as error:
            raise invalid_params(f"failed to deserialize {_MESSAGE}: {error}") from None
        transaction, wire = self._bank.parse(bytes(unsigned))
        if self._bank.hash_slot(wire.blockhash) is None:
            return self._context(b"null")
        # the VM knows the fee even of what would fail
        outcome = self._bank.simulate(transaction, wire, verify=False, check_hash=False)
        return self._context(b"null" if outcome.meta is None else b"%d" % outcome.meta.fee())

    # ---- blocks

    def get_first_available_block(self, _params: list[Any]) -> bytes:
        return b"%d" % self._bank.first_slot

    minimum_ledger_slot = get_first_available_block

    def get_block_time(self, params: list[Any]) -> bytes:
        return b"%d" % self._bank.time_of(self._known_slot(number(params, 0)))

    def get_block(self, params: list[Any]) -> bytes:
        slot = number(params, 0)
        found = params[1] if len(params) > 1 else None
        settings = {"encoding": found} if isinstance(found, str) else self._config(params, 1)
        details = settings.get("transactionDetails") or "full"
        if details not in ("full", "accounts", "signatures", "none"):
            raise invalid_params(f"Invalid params: unknown variant `{details}` of transactionDetails.")
        rewards = settings.get("rewards") is not False
        encoding = self._encoding(settings)
        return ledger.block_json(
            self._bank, self._known_slot(slot), encoding, details, rewards, supported_version(settings)
        )

    def get_blocks(self, params: list[Any]) -> bytes:
        start = number(params, 0)
        end = params[1] if len(params) > 1 and not isinstance(params[1], dict) else None
        if end is not None and not is_u64(end):
            raise invalid_params("Invalid params: invalid type: expected u64.")
        return self._blocks(start, self._bank.slot if end is None else end)

    def get_blocks_with_limit(self, params: list[Any]) -> bytes:
        start, limit = number(params, 0), number(params, 1)
        return self._blocks(start, start + limit - 1)

    def _blocks(self, start: int, end: int) -> bytes:
        if end - start > 500_000:
            raise invalid_params("Slot range too large; max 500000")
        end = min(end, self._bank.slot)
        return ledger.join(b"%d" % slot for slot in range(max(start, self._bank.first_slot), end + 1))

    def _known_slot(self, slot: int) -> int:
        if slot > self._bank.slot:
            raise RequestError(BLOCK_NOT_AVAILABLE, f"Block not available for slot {slot}")
        if slot < self._bank.first_slot:
            raise RequestError(
                BLOCK_CLEANED_UP,
                f"Block {slot} cleaned up, does not exist on node. First available block: {self._bank.first_slot}",
            )
        return slot

    def _encoding(self, settings: dict[str, Any]) -> str:
        encoding = settings.get("encoding") or "json"
        if encoding not in ledger.ENCODINGS:
            raise invalid_params(f"Invalid params: unknown variant `{encoding}` of encoding.")
        return str(encoding)

    # ---- transactions

    def get_transaction(self, params: list[Any]) -> bytes:
        signature = parse_signature(required(params, 0))
        found = params[1] if len(params) > 1 else None
        settings = {"encoding": found} if isinstance(found, str) else self._config(params, 1)
        encoding = self._encoding(settings)
        entry = self._bank.entries.get(signature)
        if entry is None:
            return b"null"
        return ledger.entry_json(self._bank, entry, encoding, supported_version(settings))

    def get_signature_statuses(self, params: list[Any]) -> bytes:
        wanted = required(params, 0)
        if not isinstance(wanted, list):
            raise invalid_params("Invalid params: invalid type: expected a sequence.")
        if len(wanted) > 256:
            raise invalid_params("Too many inputs provided; max 256")
        rows = []
        for item in wanted:
            entry = self._bank.entries.get(parse_signature(item))
            rows.append(
                b"null"
                if entry is None
                else b'{"confirmationStatus":"finalized","confirmations":null,"err":%b,"slot":%d,"status":%b}'
                % (ledger.fault_json(entry.fault), entry.slot, ledger.status_json(entry.fault))
            )
        return self._context(ledger.join(rows))

    def get_signatures_for_address(self, params: list[Any]) -> bytes:
        address = key(params, 0)
        settings = self._config(params, 1)
        limit = settings.get("limit")
        limit = 1000 if limit is None else limit
        if not is_u64(limit) or not 1 <= limit <= 1000:
            raise invalid_params("Invalid limit; max 1000")
        before = settings.get("before")
        before = None if before is None else parse_signature(before)
        until = settings.get("until")
        until = None if until is None else parse_signature(until)
        return ledger.join(
            b'{"blockTime":%d,"confirmationStatus":"finalized","err":%b,"memo":null,"signature":"%b","slot":%d}'
            % (self._bank.time_of(entry.slot), ledger.fault_json(entry.fault), entry.signature_text, entry.slot)
            for entry in self._bank.newest(address, before, until, limit)
        )

    def send_transaction(self, params: list[Any]) -> bytes:
        encoded = text(params, 0)
        settings = self._config(params, 1)
        raw = blob(encoded, settings.get("encoding"), _TRANSACTION, MAX_TRANSACTION_BYTES)
        transaction, wire = self._bank.parse(raw)
        preflight = settings.get("skipPreflight") is not True
        try:
            self._land(self._bank.execute(raw, transaction, wire, preflight=preflight))
        except RefusedError as refusal:
            if preflight:
                outcome = Simulation(refusal.fault, refusal.meta, {})
                raise RequestError(
                    PREFLIGHT_FAILURE,
                    f"Transaction simulation failed: {refusal.fault.text}",
                    ledger.simulation_json(outcome),
                ) from None
            # without preflight a validator has answered long before it drops the transaction
        return b'"%b"' % str(Signature.from_bytes(wire.signature)).encode()

    def _land(self, entry: Entry) -> None:
        self._hub.transaction(entry)
        self._hub.flush()

    def simulate_transaction(self, params: list[Any]) -> bytes:
        encoded = text(params, 0)
        settings = self._config(params, 1)
        raw = blob(encoded, settings.get("encoding"), _TRANSACTION, MAX_TRANSACTION_BYTES)
        verify = settings.get("sigVerify") is True
        replace = settings.get("replaceRecentBlockhash") is True
        if verify and replace:
            raise invalid_params("sigVerify may not be used with replaceRecentBlockhash")
        wanted = settings.get("accounts")
        transaction, wire = self._bank.parse(raw)
        outcome = self._bank.simulate(transaction, wire, verify=verify, check_hash=not replace)
        accounts = b"null"
        if wanted is not None:
            accounts = self._simulated_accounts(wanted, outcome)
        inner = b"null"
        if settings.get("innerInstructions") is True and outcome.meta is not None:
            inner = ledger.inner_instructions(outcome.meta)
        replaced = b"null"
        if replace:
            slot = self._bank.slot
            replaced = b'{"blockhash":"%b","lastValidBlockHeight":%d}' % (
                self._hash_text(slot),
                slot + self._bank.hash_slots,
            )
        return self._context(ledger.simulation_json(outcome, accounts, inner, replaced))

    def _simulated_accounts(self, wanted: object, outcome: Simulation) -> bytes:
        if not isinstance(wanted, dict):
            raise invalid_params("Invalid params: invalid type: accounts must be an object.")
        view = AccountView.parse(wanted, "base64")
        if view.encoding in ("binary", "base58"):
            raise invalid_params("base58 encoding not supported")
        addresses = keys(wanted.get("addresses"), 64)
        if outcome.fault is not None:
            return ledger.join([b"null"] * len(addresses))
        found = [outcome.accounts.get(address) or self._bank.account(address) for address in addresses]
        return ledger.join(b"null" if account is None else view.render(account) for account in found)

    def request_airdrop(self, params: list[Any]) -> bytes:
        address, lamports = Pubkey.from_bytes(key(params, 0)), number(params, 1)
        self._config(params, 2)
        if lamports > FAUCET_LAMPORTS:
            raise RequestError(INVALID_REQUEST, "airdrop request failed. The faucet has fewer lamports than that.")
        faucet = self._faucet.pubkey()
        # two equal airdrops in one slot must not be one transaction: the compute limit makes them differ
        limit = set_compute_unit_limit(1000 + next(self._airdrops) % 1_000_000)
        pay = transfer(TransferParams(from_pubkey=faucet, to_pubkey=address, lamports=lamports))
        blockhash = Hash(self._bank.blockhash(self._bank.slot))
        message = Message.new_with_blockhash([limit, pay], faucet, blockhash)
        raw = bytes(VersionedTransaction(message, [self._faucet]))
        transaction, wire = self._bank.parse(raw)
        try:
            self._land(self._bank.execute(raw, transaction, wire, preflight=True))
        except RefusedError as refusal:
            raise RequestError(INVALID_REQUEST, f"airdrop request failed. {refusal.fault.text}") from None
        return b'"%b"' % str(Signature.from_bytes(wire.signature)).encode()
