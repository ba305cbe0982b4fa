"""Accounts in the encoding `jsonParsed`: those of the programs that every validator knows."""

from __future__ import annotations

import binascii
import struct

import msgspec
from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey

from . import tokens

_SYSTEM = Pubkey.default()
_LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
_LOOKUP = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
_SYSVAR = Pubkey.from_string("Sysvar1111111111111111111111111111111111111")
NONCE_BYTES = 80
_SLOT_HASHES_BYTES = 8 + 512 * 40
STAKE_HISTORY_BYTES = 8 + 512 * 32
_NONCE_STATES = ("uninitialized", "initialized")
_LOOKUP_HEADER = 56


def parse(account: Account, find: tokens.Find) -> bytes | None:
    """An account's `data` member as JSON text; None for what real validators do not parse either.

    Args:
        find: looks up other accounts: a token account's mint.
    """
    owner = account.owner
    try:
        if owner in tokens.PROGRAMS:
            return _member(tokens.PROGRAMS[owner], tokens.parsed(account, find), account)
        reader = _READERS.get(owner)
        return None if reader is None else _member(reader[0], reader[1](bytes(account.data)), account)
    except (struct.error, ValueError, IndexError, UnicodeDecodeError):
        # a program may write anything into its accounts
        return None


def _member(program: str, parsed: dict[str, object] | None, account: Account) -> bytes | None:
    if parsed is None:
        return None
    return msgspec.json.encode({"program": program, "parsed": parsed, "space": len(account.data)})


def _key(data: bytes, at: int) -> str:
    if len(data) < at + 32:
        # solders panics
        raise ValueError("the data ends before the key")
    return str(Pubkey.from_bytes(data[at : at + 32]))


def _option(data: bytes, at: int) -> str | None:
    """An Option<Pubkey> in bincode: one byte, then the key."""
    return _key(data, at + 1) if data[at] else None


def _nonce(data: bytes) -> dict[str, object] | None:
    if len(data) != NONCE_BYTES:
        return None
    state = _NONCE_STATES[struct.unpack_from("<I", data, 4)[0]]
    if state == "uninitialized":
        return {"type": state}
    info = {
        "authority": _key(data, 8),
        "blockhash": str(Hash(data[40:72])),
        "feeCalculator": {"lamportsPerSignature": str(struct.unpack_from("<Q", data, 72)[0])},
    }
    return {"type": state, "info": info}


def _lookup(data: bytes) -> dict[str, object] | None:
    kind, deactivated, extended, start, has_authority = struct.unpack_from("<IQQBB", data)
    if kind == 0:
        return {"type": "uninitialized"}
    addresses = [_key(data, at) for at in range(_LOOKUP_HEADER, len(data) - 31, 32)]
    info: dict[str, object] = {
        "addresses": addresses,
        "deactivationSlot": str(deactivated),
        "lastExtendedSlot": str(extended),
        "lastExtendedSlotStartIndex": start,
    }
    if has_authority:
        info["authority"] = _key(data, 22)
    return {"type": "lookupTable", "info": info}


def _loader(data: bytes) -> dict[str, object] | None:
    kind = struct.unpack_from("<I", data)[0]
    if kind == 0:
        return {"type": "uninitialized"}
    if kind == 2:
        return {"type": "program", "info": {"programData": _key(data, 4)}}
    if kind == 1:
        code = binascii.b2a_base64(data[37:], newline=False).decode()
        return {"type": "buffer", "info": {"authority": _option(data, 4), "data": [code, "base64"]}}
    if kind == 3:
        code = binascii.b2a_base64(data[45:], newline=False).decode()
        slot = struct.unpack_from("<Q", data, 4)[0]
        return {"type": "programData", "info": {"authority": _option(data, 12), "data": [code, "base64"], "slot": slot}}
    return None


def _sysvar(data: bytes) -> dict[str, object] | None:
    """By its size, since the reader does not see the address: each of those read here has its own."""
    if len(data) == 40:
        slot, started, epoch, leaders, now = struct.unpack("<QqQQq", data)
        info: dict[str, object] = {
            "epoch": epoch, "epochStartTimestamp": started, "leaderScheduleEpoch": leaders, "slot": slot,
            "unixTimestamp": now,
        }  # fmt: skip
        return {"type": "clock", "info": info}
    if len(data) == 17:
        rate, threshold, burn = struct.unpack("<QdB", data)
        info = {"burnPercent": burn, "exemptionThreshold": threshold, "lamportsPerByteYear": str(rate)}
        return {"type": "rent", "info": info}
    if len(data) == 33:
        slots, offset, warmup, epoch, slot = struct.unpack("<QQ?QQ", data)
        info = {
            "firstNormalEpoch": epoch, "firstNormalSlot": slot, "leaderScheduleSlotOffset": offset,
            "slotsPerEpoch": slots, "warmup": warmup,
        }  # fmt: skip
        return {"type": "epochSchedule", "info": info}
    if len(data) == _SLOT_HASHES_BYTES:
        rows = [
            {"slot": slot, "hash": str(Hash(digest))} for slot, digest in struct.iter_unpack("<Q32s", _counted(data))
        ]
        return {"type": "slotHashes", "info": rows}
    if len(data) == 8:
        return {"type": "lastRestartSlot", "info": {"lastRestartSlot": struct.unpack("<Q", data)[0]}}
    if len(data) == STAKE_HISTORY_BYTES:
        names = ("activating", "deactivating", "effective")
        found = []
        for at in range(8, 8 + 32 * struct.unpack_from("<Q", data)[0], 32):
            epoch, effective, activating, deactivating = struct.unpack_from("<QQQQ", data, at)
            stakes = dict(zip(names, (activating, deactivating, effective), strict=True))
            found.append({"epoch": epoch, "stakeHistory": stakes})
        return {"type": "stakeHistory", "info": found}
    if len(data) == 81:
        height, partitions, parent, low, high, total, paid, active = struct.unpack("<QQ32sQQQQ?", data)
        info = {
            "active": active, "distributedRewards": str(paid), "distributionStartingBlockHeight": height,
            "numPartitions": partitions, "parentBlockhash": str(Hash(parent)), "totalPoints": str(low | high << 64),
            "totalRewards": str(total),
        }  # fmt: skip
        return {"type": "epochRewards", "info": info}
    if len(data) % 40 == 8:
        hashes = struct.iter_unpack("<32sQ", _counted(data))
        found = [
            {"blockhash": str(Hash(digest)), "feeCalculator": {"lamportsPerSignature": str(fee)}}
            for digest, fee in hashes
        ]
        return {"type": "recentBlockhashes", "info": found}
    return None


def _counted(data: bytes) -> bytes:
    """The elements of a bincode Vec of 40-byte elements, behind their u64 count."""
    return data[8 : 8 + 40 * struct.unpack_from("<Q", data)[0]]


_READERS = {
    _SYSTEM: ("nonce", _nonce),
    _LOOKUP: ("address-lookup-table", _lookup),
    _LOADER: ("bpf-upgradeable-loader", _loader),
    _SYSVAR: ("sysvar", _sysvar),
}
