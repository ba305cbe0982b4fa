"""Landed transactions and blocks as JSON text: getTransaction, getBlock, and the parts that other answers share."""

from __future__ import annotations

import binascii
from collections.abc import Iterable

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import TransactionMetadata

from . import base58
from .bank import Bank, Entry, Simulation
from .faults import UNSUPPORTED_VERSION, RequestError, TransactionFault

ENCODINGS = ("json", "jsonParsed", "base58", "base64", "binary")


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
    """A `returnData` value; null where the transaction returned none."""
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


def simulation_json(
    outcome: Simulation, accounts: bytes = b"null", inner: bytes = b"null", replaced: bytes = b"null"
) -> bytes:
    """A simulation's result: simulateTransaction's value, and the data of a preflight failure."""
    meta = outcome.meta
    logs = msgspec.json.encode(meta.logs()) if meta is not None else b"[]"
    units = meta.compute_units_consumed() if meta is not None else 0
    return (
        b'{"accounts":%b,"err":%b,"innerInstructions":%b,"logs":%b,"replacementBlockhash":%b,"returnData":%b,'
        b'"unitsConsumed":%d}'
    ) % (accounts, fault_json(outcome.fault), inner, logs, replaced, return_data(meta), units)


def inner_instructions(meta: TransactionMetadata) -> bytes:
    """An `innerInstructions` value: those of each top-level instruction that has any."""
    groups: list[bytes] = []
    for index, inner in enumerate(meta.inner_instructions()):
        if inner:
            rows = []
            for item in inner:
                call = item.instruction()
                rows.append(
                    _instruction(call.program_id_index, bytes(call.accounts), bytes(call.data), item.stack_height())
                )
            groups.append(b'{"index":%d,"instructions":%b}' % (index, join(rows)))
    return join(groups)


def _instruction(program: int, accounts: bytes, data: bytes, height: int | None) -> bytes:
    return b'{"accounts":%b,"data":"%b","programIdIndex":%d,"stackHeight":%b}' % (
        msgspec.json.encode(list(accounts)),
        base58.encode(data),
        program,
        b"null" if height is None else b"%d" % height,
    )


def meta_json(entry: Entry) -> bytes:
    """A transaction's `meta`."""
    meta = entry.meta
    returned = return_data(meta)
    return (
        b'{"computeUnitsConsumed":%d,"err":%b,"fee":%d,"innerInstructions":%b,'
        b'"loadedAddresses":{"readonly":%b,"writable":%b},"logMessages":%b,"postBalances":%b,"postTokenBalances":[],'
        b'"preBalances":%b,"preTokenBalances":[],%b"rewards":[],"status":%b}'
    ) % (
        meta.compute_units_consumed(),
        fault_json(entry.fault),
        meta.fee(),
        inner_instructions(meta),
        join(map(key_text, entry.loaded[1])),
        join(map(key_text, entry.loaded[0])),
        msgspec.json.encode(meta.logs()),
        msgspec.json.encode(entry.after),
        msgspec.json.encode(entry.before),
        b"" if returned == b"null" else b'"returnData":%b,' % returned,
        status_json(entry.fault),
    )


def transaction_json(entry: Entry, encoding: str) -> bytes:
    """A `transaction` value in an encoding of ENCODINGS."""
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
    calls = [
        _instruction(call.program_id_index, bytes(call.accounts), bytes(call.data), None)
        for call in message.instructions
    ]
    return (
        b'{"accountKeys":%b,"header":{"numReadonlySignedAccounts":%d,"numReadonlyUnsignedAccounts":%d,'
        b'"numRequiredSignatures":%d},"instructions":%b,"recentBlockhash":"%b"%b}'
    ) % (
        join(map(key_text, entry.wire.static)),
        header.num_readonly_signed_accounts,
        header.num_readonly_unsigned_accounts,
        header.num_required_signatures,
        join(calls),
        str(message.recent_blockhash).encode(),
        _lookups(entry),
    )


def _message_parsed(entry: Entry, transaction: VersionedTransaction) -> bytes:
    message = transaction.message
    calls = [
        b'{"accounts":%b,"data":"%b","programId":%b,"stackHeight":null}'
        % (
            join(key_text(entry.keys[index]) for index in bytes(call.accounts)),
            base58.encode(bytes(call.data)),
            key_text(entry.keys[call.program_id_index]),
        )
        for call in message.instructions
    ]
    return b'{"accountKeys":%b,"instructions":%b,"recentBlockhash":"%b"%b}' % (
        account_list(entry),
        join(calls),
        str(message.recent_blockhash).encode(),
        _lookups(entry),
    )


def account_list(entry: Entry) -> bytes:
    """The accounts with their roles, as jsonParsed and getBlock's `accounts` show them."""
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
    """The `,"version":…` member, which is there only for clients that named a version; raises RequestError (-32015)."""
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
        meta_json(entry),
        entry.slot,
        transaction_json(entry, encoding),
        version_json(entry, supported),
    )


def block_json(bank: Bank, slot: int, encoding: str, details: str, rewards: bool, supported: int | None) -> bytes:
    """getBlock's result. `details` is full, accounts, signatures or none."""
    entries = bank.blocks.get(slot, [])
    body = b""
    if details == "signatures":
        body = b',"signatures":' + join(b'"%b"' % entry.signature_text for entry in entries)
    elif details == "full":
        body = b',"transactions":' + join(
            b'{"meta":%b,"transaction":%b%b}'
            % (meta_json(entry), transaction_json(entry, encoding), version_json(entry, supported))
            for entry in entries
        )
    elif details == "accounts":
        body = b',"transactions":' + join(
            b'{"meta":%b,"transaction":{"accountKeys":%b,"signatures":%b}%b}'
            % (meta_json(entry), account_list(entry), _signatures(entry), version_json(entry, supported))
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
