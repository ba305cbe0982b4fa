"""Landed transactions and blocks as JSON text: getTransaction, getBlock, and the parts that other answers share."""

from __future__ import annotations

import binascii
from array import array
from collections.abc import Iterable

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import TransactionMetadata

from . import base58, costs, instructions
from .bank import Bank
from .faults import UNSUPPORTED_VERSION, RequestError, TransactionFault
from .history import Entry
from .instructions import Call
from .outcome import Simulation
from .tokens import Amount, TokenBalance


def join(parts: Iterable[bytes]) -> bytes:
    """A JSON array of JSON texts."""
    return b"[%b]" % b",".join(parts)


def key_text(key: bytes) -> bytes:
    """A key as a JSON string."""
    return b'"%b"' % str(Pubkey.from_bytes(key)).encode()


def fault_json(fault: TransactionFault | None) -> bytes:
    """An `err` value."""
    return b"null" if fault is None else fault.json


def status_json(fault: TransactionFault | None) -> bytes:
    """A `status` value, the old form of `err`."""
    return b'{"Ok":null}' if fault is None else b'{"Err":%b}' % fault.json


def return_data(meta: TransactionMetadata | None) -> bytes:
    """A `returnData` value; null if the transaction returned nothing."""
    if meta is None:
        return b"null"
    data = meta.return_data()
    raw = bytes(data.data)
    if not raw:
        return b"null"
    return b'{"data":["%b","base64"],"programId":"%b"}' % (
        binascii.b2a_base64(raw, newline=False),
        str(data.program_id).encode(),
    )


_AFTER_THE_FEE = (b'"ProgramAccountNotFound"', b'"InvalidProgramForExecution"', b'"MaxLoadedAccountsDataSizeExceeded"')


def simulation_json(
    outcome: Simulation,
    loaded_bytes: int = 0,
    accounts: bytes = b"null",
    inner: bytes = b"null",
    replaced: bytes = b"null",
    *,
    whole: bool = False,
) -> bytes:
    """A simulation's result: simulateTransaction's value with `whole`, without it the data of a preflight failure."""
    meta = outcome.meta
    # an error that came before the fee was known
    no_fee = meta is None or (
        outcome.fault is not None and not meta.logs() and outcome.fault.json not in _AFTER_THE_FEE
    )
    logs = msgspec.json.encode(meta.logs()) if meta is not None else b"[]"
    units = meta.compute_units_consumed() if meta is not None else 0
    known = bool(outcome.keys)
    return (
        b'{"accounts":%b,"err":%b,"fee":%b,"innerInstructions":%b,"loadedAccountsDataSize":%d,"loadedAddresses":%b,'
        b'"logs":%b,"postBalances":%b,"postTokenBalances":%b,"preBalances":%b,"preTokenBalances":%b,'
        b'"replacementBlockhash":%b,"returnData":%b,"unitsConsumed":%d}'
    ) % (
        accounts,
        fault_json(outcome.fault),
        b"null" if meta is None or no_fee else b"%d" % meta.fee(),
        inner,
        loaded_bytes,
        loaded_addresses(outcome.loaded) if whole else b"null",
        logs,
        _numbers(outcome.after) if known else b"null",
        _token_balances(outcome.tokens_after, 0.0) if known else b"null",
        _numbers(outcome.before) if known else b"null",
        _token_balances(outcome.tokens_before, 0.0) if known else b"null",
        replaced,
        return_data(meta),
        units,
    )


def inner_instructions(meta: TransactionMetadata, keys: list[bytes] | None = None) -> bytes:
    """An `innerInstructions` value: those of each top-level instruction that has any.

    Args:
        keys: all of the transaction's accounts, for the encoding jsonParsed; None for json.
    """
    groups: list[bytes] = []
    for index, inner in enumerate(meta.inner_instructions()):
        if inner:
            rows = []
            for item in inner:
                made = item.instruction()
                call = Call(made.program_id_index, bytes(made.accounts), bytes(made.data), item.stack_height() or 2)
                rows.append(instructions.plain(call) if keys is None else instructions.parsed(call, keys))
            groups.append(b'{"index":%d,"instructions":%b}' % (index, join(rows)))
    return join(groups)


def calls(transaction: VersionedTransaction) -> list[Call]:
    """A transaction's top-level instructions."""
    return [
        Call(made.program_id_index, bytes(made.accounts), bytes(made.data), 1)
        for made in transaction.message.instructions
    ]


def loaded_addresses(loaded: tuple[list[bytes], list[bytes]]) -> bytes:
    """A `loadedAddresses` value."""
    return b'{"readonly":%b,"writable":%b}' % (join(map(key_text, loaded[1])), join(map(key_text, loaded[0])))


def memo_json(entry: Entry) -> bytes:
    """A `memo` value: the lengths and texts of the transaction's memos, null without any."""
    transaction = VersionedTransaction.from_bytes(entry.raw)
    memos = [call.data for call in calls(transaction) if entry.wire.static[call.program] in instructions.MEMOS]
    if not memos:
        return b"null"
    return msgspec.json.encode("; ".join(f"[{len(memo)}] {memo.decode(errors='replace')}" for memo in memos))


def _numbers(values: array[int]) -> bytes:
    return b"[%b]" % b",".join(b"%d" % value for value in values)


def _token_balances(balances: tuple[TokenBalance, ...], zero: float | None = None) -> bytes:
    # landed transactions show no tokens as null, simulated ones as 0.0
    return join(
        msgspec.json.encode(
            {
                "accountIndex": held.place,
                "mint": held.mint,
                "owner": held.owner,
                "programId": held.program,
                "uiTokenAmount": Amount.of(held.amount, held.decimals, zero=zero),
            }
        )
        for held in balances
    )


def _balances(entry: Entry) -> bytes:
    """The members of a `meta` about lamports and tokens."""
    return b'"postBalances":%b,"postTokenBalances":%b,"preBalances":%b,"preTokenBalances":%b' % (
        _numbers(entry.after),
        _token_balances(entry.tokens_after),
        _numbers(entry.before),
        _token_balances(entry.tokens_before),
    )


def short_meta_json(entry: Entry, rewards: bytes) -> bytes:
    """A transaction's `meta` in a block whose transactions are asked for as accounts."""
    return b'{"err":%b,"fee":%d,%b,%b"status":%b}' % (
        fault_json(entry.fault),
        entry.meta.fee(),
        _balances(entry),
        rewards,
        status_json(entry.fault),
    )


def meta_json(bank: Bank, entry: Entry, encoding: str, rewards: bytes = b"[]") -> bytes:
    """A transaction's `meta`."""
    meta, parsed = entry.meta, encoding == "jsonParsed"
    returned = return_data(meta)
    return (
        b'{"computeUnitsConsumed":%d,"costUnits":%d,"err":%b,"fee":%d,"innerInstructions":%b,%b"logMessages":%b,%b,'
        b'%b"rewards":%b,"status":%b}'
    ) % (
        meta.compute_units_consumed(),
        _cost(bank, entry),
        fault_json(entry.fault),
        meta.fee(),
        inner_instructions(meta, entry.keys if parsed else None),
        b"" if parsed else b'"loadedAddresses":%b,' % loaded_addresses(entry.loaded),
        msgspec.json.encode(meta.logs()),
        _balances(entry),
        b"" if returned == b"null" else b'"returnData":%b,' % returned,
        rewards,
        status_json(entry.fault),
    )


def _cost(bank: Bank, entry: Entry) -> int:
    """`costUnits`. Loaded data counts with its present size: reading it at each execution would be too slow."""
    wire = entry.wire
    return costs.units(
        signatures=wire.signers,
        write_locks=len(entry.written),
        data_bytes=sum(len(call.data) for call in calls(VersionedTransaction.from_bytes(entry.raw))),
        executed=entry.meta.compute_units_consumed(),
        loaded=costs.loaded_bytes(bank, entry.keys, len(wire.lookups)),
    )


def transaction_json(entry: Entry, encoding: str) -> bytes:
    """A `transaction` value: json, jsonParsed, base58, base64 or binary."""
    match encoding:
        case "base64":
            return b'["%b","base64"]' % binascii.b2a_base64(entry.raw, newline=False)
        case "base58":
            return b'["%b","base58"]' % base58.encode(entry.raw)
        case "binary":
            return b'"%b"' % base58.encode(entry.raw)
    transaction = VersionedTransaction.from_bytes(entry.raw)
    signatures = join(b'"%b"' % str(signature).encode() for signature in transaction.signatures)
    body = _message_parsed(entry, transaction) if encoding == "jsonParsed" else _message(entry, transaction)
    return b'{"message":%b,"signatures":%b}' % (body, signatures)


def _lookups(entry: Entry) -> bytes:
    if entry.wire.version is None:
        return b""
    rows = [
        b'{"accountKey":%b,"readonlyIndexes":%b,"writableIndexes":%b}'
        % (key_text(table), msgspec.json.encode(list(readonly)), msgspec.json.encode(list(writable)))
        for table, writable, readonly in entry.wire.lookups
    ]
    return b',"addressTableLookups":' + join(rows)


def _message(entry: Entry, transaction: VersionedTransaction) -> bytes:
    message = transaction.message
    header = message.header
    return (
        b'{"accountKeys":%b,"header":{"numReadonlySignedAccounts":%d,"numReadonlyUnsignedAccounts":%d,'
        b'"numRequiredSignatures":%d},"instructions":%b,"recentBlockhash":"%b"%b}'
    ) % (
        join(map(key_text, entry.wire.static)),
        header.num_readonly_signed_accounts,
        header.num_readonly_unsigned_accounts,
        header.num_required_signatures,
        join(map(instructions.plain, calls(transaction))),
        str(message.recent_blockhash).encode(),
        _lookups(entry),
    )


def _message_parsed(entry: Entry, transaction: VersionedTransaction) -> bytes:
    keys = entry.keys
    return b'{"accountKeys":%b,"instructions":%b,"recentBlockhash":"%b"%b}' % (
        account_list(entry),
        join(instructions.parsed(call, keys) for call in calls(transaction)),
        str(transaction.message.recent_blockhash).encode(),
        _lookups(entry),
    )


def account_list(entry: Entry) -> bytes:
    """The accounts with their roles, as in jsonParsed and in getBlock's `accounts`."""
    written = set(entry.written)
    static = len(entry.wire.static)
    return join(
        b'{"pubkey":%b,"signer":%b,"source":"%b","writable":%b}'
        % (
            key_text(key),
            b"true" if index < entry.wire.signers else b"false",
            b"transaction" if index < static else b"lookupTable",
            b"true" if key in written else b"false",
        )
        for index, key in enumerate(entry.keys)
    )


def version_json(entry: Entry, supported: int | None) -> bytes:
    """The member `,"version":…`, which only clients that name a version get. Raises RequestError (-32015)."""
    version = entry.wire.version
    if version is not None and supported is None:
        raise RequestError(
            UNSUPPORTED_VERSION,
            f"Transaction version ({version}) is not supported by the requesting client. Please try the request again"
            f' with the following configuration parameter: "maxSupportedTransactionVersion": {version}',
        )
    if supported is None:
        return b""
    return b',"version":%b' % (b'"legacy"' if version is None else b"%d" % version)


def entry_json(bank: Bank, entry: Entry, encoding: str, supported: int | None) -> bytes:
    """getTransaction's result."""
    return b'{"blockTime":%d,"meta":%b,"slot":%d,"transaction":%b%b}' % (
        bank.time_of(entry.slot),
        meta_json(bank, entry, encoding),
        entry.slot,
        transaction_json(entry, encoding),
        version_json(entry, supported),
    )


def block_json(bank: Bank, slot: int, encoding: str, details: str, rewards: bool, supported: int | None) -> bytes:
    """getBlock's result. `details` is full, accounts, signatures or none."""
    entries = bank.history.block(slot)
    body = b""

    def shown(entry: Entry) -> bytes:
        return meta_json(bank, entry, encoding, b"[]" if rewards else b"null")

    if details == "signatures":
        body = b',"signatures":' + join(b'"%b"' % entry.signature_text for entry in entries)
    elif details == "full":
        body = b',"transactions":' + join(
            b'{"meta":%b,"transaction":%b%b}'
            % (shown(entry), transaction_json(entry, encoding), version_json(entry, supported))
            for entry in entries
        )
    elif details == "accounts":
        body = b',"transactions":' + join(
            b'{"meta":%b,"transaction":{"accountKeys":%b,"signatures":%b}%b}'
            % (
                short_meta_json(entry, b'"rewards":[],' if rewards else b""),
                account_list(entry),
                _signatures(entry),
                version_json(entry, supported),
            )
            for entry in entries
        )
    return b'{"blockHeight":%d,"blockTime":%d,"blockhash":"%b","parentSlot":%d,"previousBlockhash":"%b"%b%b}' % (
        slot,
        bank.time_of(slot),
        base58.encode(bank.blockhash(slot)),
        max(0, slot - 1),
        base58.encode(bank.blockhash(max(0, slot - 1))),
        body,
        b',"rewards":[]' if rewards else b"",
    )


def _signatures(entry: Entry) -> bytes:
    starts = range(1, 1 + 64 * entry.wire.signers, 64)
    return join(b'"%b"' % str(Signature.from_bytes(entry.raw[at : at + 64])).encode() for at in starts)
