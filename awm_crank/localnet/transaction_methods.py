"""JSON-RPC methods about transactions: sent, simulated, looked up, paid for."""

from __future__ import annotations

from itertools import count
from typing import Any

from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message, from_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from . import costs, ledger
from .bank import MAX_TRANSACTION_BYTES, Bank
from .faults import INVALID_REQUEST, PREFLIGHT_FAILURE, RequestError, invalid_params, undecodable
from .history import Entry
from .method_group import MethodGroup
from .outcome import RefusedError, Simulation
from .params import blob, key, parse_key, parse_signature, refuse_processed, supported_version
from .pubsub import Topics
from .views import AccountView

FAUCET_LAMPORTS = 2**62
_TRANSACTION = "solana_transaction::versioned::VersionedTransaction"
_MESSAGE = "solana_message::non_bpf_modules::versions::VersionedMessage"


class TransactionMethods(MethodGroup):
    """Transactions: sent, simulated, looked up, paid for.

    Args:
        topics: notified of every transaction that lands.
        faucet: pays for airdrops.
    """

    def __init__(self, bank: Bank, identity: Keypair, topics: Topics, faucet: Keypair) -> None:
        super().__init__(bank, identity)
        self._topics = topics
        self._faucet = faucet
        self._airdrops = count()

    def get_fee_for_message(self, params: list[Any]) -> bytes:
        raw = blob(params[0], "base64", _MESSAGE, MAX_TRANSACTION_BYTES)
        self._config(params, 1)
        try:
            message = from_bytes_versioned(raw)
            unsigned = VersionedTransaction.populate(
                message, [Signature.default()] * message.header.num_required_signatures
            )
        except Exception as error:
            raise undecodable(_MESSAGE, error) from None
        transaction, wire = self._bank.parse(bytes(unsigned))
        if self._bank.hash_slot(wire.blockhash) is None and self._bank.nonce_account(transaction, wire) is None:
            return self._context(b"null")
        # the VM knows the fee of a transaction that would fail, too
        outcome = self._bank.simulate(transaction, wire, verify=False, check_hash=False)
        return self._context(b"null" if outcome.meta is None else b"%d" % outcome.meta.fee())

    def get_transaction(self, params: list[Any]) -> bytes:
        signature = parse_signature(params[0])
        found = params[1]
        settings = {"encoding": found} if isinstance(found, str) else self._config(params, 1)
        refuse_processed(settings)
        encoding = settings.get("encoding") or "json"
        entry = self._bank.history.entry(signature)
        if entry is None:
            return b"null"
        return ledger.entry_json(self._bank, entry, encoding, supported_version(settings))

    def get_signature_statuses(self, params: list[Any]) -> bytes:
        wanted = params[0]
        if len(wanted) > 256:
            raise invalid_params("Too many inputs provided; max 256")
        rows = []
        for item in wanted:
            found = self._bank.history.status(parse_signature(item))
            rows.append(
                b"null"
                if found is None
                else b'{"confirmationStatus":"finalized","confirmations":null,"err":%b,"slot":%d,"status":%b}'
                % (ledger.fault_json(found.fault), found.slot, ledger.status_json(found.fault))
            )
        return self._context(ledger.join(rows))

    def get_signatures_for_address(self, params: list[Any]) -> bytes:
        address = key(params, 0)
        settings = self._config(params, 1)
        refuse_processed(settings)
        limit = settings.get("limit")
        limit = 1000 if limit is None else limit
        if not 1 <= limit <= 1000:
            raise invalid_params("Invalid limit; max 1000")
        before = settings.get("before")
        before = None if before is None else parse_signature(before)
        until = settings.get("until")
        until = None if until is None else parse_signature(until)
        return ledger.join(
            b'{"blockTime":%d,"confirmationStatus":"finalized","err":%b,"memo":%b,"signature":"%b","slot":%d}'
            % (
                self._bank.time_of(entry.slot),
                ledger.fault_json(entry.fault),
                ledger.memo_json(entry),
                entry.signature_text,
                entry.slot,
            )
            for entry in self._bank.history.newest(address, before, until, limit)
        )

    def send_transaction(self, params: list[Any]) -> bytes:
        encoded = params[0]
        settings = self._config(params, 1)
        raw = blob(encoded, settings.get("encoding"), _TRANSACTION, MAX_TRANSACTION_BYTES)
        transaction, wire = self._bank.parse(raw)
        preflight = settings.get("skipPreflight") is not True
        try:
            self._land(self._bank.execute(raw, transaction, wire, preflight=preflight))
        except RefusedError as refusal:
            if preflight:
                loaded = costs.loaded_bytes(self._bank, refusal.keys, len(wire.lookups)) if refusal.keys else 0
                raise RequestError(
                    PREFLIGHT_FAILURE,
                    f"Transaction simulation failed: {refusal.fault.text}",
                    ledger.simulation_json(Simulation(refusal.fault, refusal.meta), loaded),
                ) from None
            # without preflight, a validator answers before it drops the transaction
        return b'"%b"' % str(Signature.from_bytes(wire.signature)).encode()

    def _land(self, entry: Entry) -> None:
        self._topics.transaction(entry)
        self._topics.flush()
        entry.compact()

    def simulate_transaction(self, params: list[Any]) -> bytes:
        encoded = params[0]
        settings = self._config(params, 1)
        raw = blob(encoded, settings.get("encoding"), _TRANSACTION, MAX_TRANSACTION_BYTES)
        verify = settings.get("sigVerify") is True
        replace = settings.get("replaceRecentBlockhash") is True
        if verify and replace:
            raise invalid_params("sigVerify may not be used with replaceRecentBlockhash")
        wanted = settings.get("accounts")
        transaction, wire = self._bank.parse(raw)
        if wanted is not None and len(wanted["addresses"]) > len(wire.static):
            raise invalid_params(f"Too many accounts provided; max {len(wire.static)}")
        outcome = self._bank.simulate(transaction, wire, verify=verify, check_hash=not replace)
        accounts = b"null"
        if wanted is not None:
            accounts = self._simulated_accounts(wanted, outcome)
        inner = b"null"
        if settings.get("innerInstructions") is True and outcome.meta is not None:
            inner = ledger.inner_instructions(outcome.meta, outcome.keys)
        ran = outcome.meta is not None and (outcome.fault is None or bool(outcome.meta.logs()))
        loaded = costs.loaded_bytes(self._bank, outcome.keys, outcome.tables) if ran else 0
        replaced = b"null"
        if replace:
            slot = self._bank.slot
            replaced = b'{"blockhash":"%b","lastValidBlockHeight":%d}' % (
                self._hash_text(slot),
                slot + self._bank.hash_slots,
            )
        return self._context(ledger.simulation_json(outcome, loaded, accounts, inner, replaced, whole=True))

    def _simulated_accounts(self, wanted: dict[str, Any], outcome: Simulation) -> bytes:
        view = AccountView.parse(wanted, "base64")
        if view.encoding in ("binary", "base58"):
            raise invalid_params("base58 encoding not supported")
        addresses = [parse_key(address) for address in wanted["addresses"]]
        if outcome.fault is not None:
            return ledger.join([b"null"] * len(addresses))
        found = [outcome.accounts.get(address) or self._bank.account(address) for address in addresses]
        return ledger.join(b"null" if account is None else view.render(account, self._bank.find) for account in found)

    def request_airdrop(self, params: list[Any]) -> bytes:
        address, lamports = Pubkey.from_bytes(key(params, 0)), params[1]
        named = self._config(params, 2).get("recentBlockhash")
        if named is not None:
            parse_key(named)
        if lamports > FAUCET_LAMPORTS:
            raise RequestError(INVALID_REQUEST, "airdrop request failed. The faucet has fewer lamports than that.")
        faucet = self._faucet.pubkey()
        # Two equal airdrops in one slot must not be the same transaction: a different compute limit prevents that.
        limit = set_compute_unit_limit(1000 + next(self._airdrops) % 1_000_000)
        pay = transfer(TransferParams(from_pubkey=faucet, to_pubkey=address, lamports=lamports))
        blockhash = Hash(self._bank.blockhash(self._bank.slot))
        message = Message.new_with_blockhash([pay, limit], faucet, blockhash)
        raw = bytes(VersionedTransaction(message, [self._faucet]))
        transaction, wire = self._bank.parse(raw)
        try:
            self._land(self._bank.execute(raw, transaction, wire, preflight=True))
        except RefusedError as refusal:
            raise RequestError(INVALID_REQUEST, f"airdrop request failed. {refusal.fault.text}") from None
        return b'"%b"' % str(Signature.from_bytes(wire.signature)).encode()
