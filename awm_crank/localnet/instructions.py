"""Instructions in the encoding `jsonParsed`: of the system, token, associated-token, lookup-table and memo programs.

Other programs' instructions, and those that do not parse, are shown with their accounts and base58 data, as validators
show unknown programs.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from solders.pubkey import Pubkey

from . import base58, tokens


class _Kind(NamedTuple):
    """How to read one kind of instruction.

    Args:
        name: its type.
        accounts: the names of its accounts, in order. A name with `*` is a signer that several other keys may replace.
        fields: the fields of its data after the number, as (name, type); `_Reader.read` lists the types.
    """

    name: str
    accounts: tuple[str, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()


def _kind(name: str, accounts: str = "", fields: str = "") -> _Kind:
    pairs = (field.split(":") for field in fields.split())
    return _Kind(name, tuple(accounts.split()), tuple((field, form) for field, form in pairs))


_SYSTEM_KINDS = {
    0: _kind("createAccount", "source newAccount", "lamports:u64 space:u64 owner:key"),
    1: _kind("assign", "account", "owner:key"),
    2: _kind("transfer", "source destination", "lamports:u64"),
    3: _kind("createAccountWithSeed", "source newAccount", "base:key seed:text lamports:u64 space:u64 owner:key"),
    4: _kind("advanceNonce", "nonceAccount recentBlockhashesSysvar nonceAuthority"),
    5: _kind(
        "withdrawFromNonce",
        "nonceAccount destination recentBlockhashesSysvar rentSysvar nonceAuthority",
        "lamports:u64",
    ),
    6: _kind("initializeNonce", "nonceAccount recentBlockhashesSysvar rentSysvar", "nonceAuthority:key"),
    7: _kind("authorizeNonce", "nonceAccount nonceAuthority", "newAuthorized:key"),
    8: _kind("allocate", "account", "space:u64"),
    9: _kind("allocateWithSeed", "account", "base:key seed:text space:u64 owner:key"),
    10: _kind("assignWithSeed", "account", "base:key seed:text owner:key"),
    11: _kind("transferWithSeed", "source sourceBase destination", "lamports:u64 sourceSeed:text sourceOwner:key"),
    12: _kind("upgradeNonce", "nonceAccount"),
}
_TOKEN_KINDS = {
    0: _kind("initializeMint", "mint rentSysvar", "decimals:u8 mintAuthority:key freezeAuthority:option"),
    1: _kind("initializeAccount", "account mint owner rentSysvar"),
    3: _kind("transfer", "source destination authority*", "amount:amount"),
    4: _kind("approve", "source delegate owner*", "amount:amount"),
    5: _kind("revoke", "source owner*"),
    7: _kind("mintTo", "mint account mintAuthority*", "amount:amount"),
    8: _kind("burn", "account mint authority*", "amount:amount"),
    9: _kind("closeAccount", "account destination owner*"),
    10: _kind("freezeAccount", "account mint freezeAuthority*"),
    11: _kind("thawAccount", "account mint freezeAuthority*"),
    12: _kind("transferChecked", "source mint destination authority*", "tokenAmount:tokens"),
    13: _kind("approveChecked", "source mint delegate owner*", "tokenAmount:tokens"),
    14: _kind("mintToChecked", "mint account mintAuthority*", "tokenAmount:tokens"),
    15: _kind("burnChecked", "account mint authority*", "tokenAmount:tokens"),
    16: _kind("initializeAccount2", "account mint rentSysvar", "owner:key"),
    17: _kind("syncNative", "account"),
    18: _kind("initializeAccount3", "account mint", "owner:key"),
    20: _kind("initializeMint2", "mint", "decimals:u8 mintAuthority:key freezeAuthority:option"),
    21: _kind("getAccountDataSize", "mint", "extensionTypes:extensions"),
    22: _kind("initializeImmutableOwner", "account"),
}
_TABLE_KINDS = {
    0: _kind(
        "createLookupTable", "lookupTableAccount lookupTableAuthority payerAccount systemProgram",
        "recentSlot:u64 bumpSeed:u8",
    ),
    1: _kind("freezeLookupTable", "lookupTableAccount lookupTableAuthority"),
    2: _kind(
        "extendLookupTable", "lookupTableAccount lookupTableAuthority payerAccount systemProgram", "newAddresses:keys"
    ),
    3: _kind("deactivateLookupTable", "lookupTableAccount lookupTableAuthority"),
    4: _kind("closeLookupTable", "lookupTableAccount lookupTableAuthority recipient"),
}  # fmt: skip
_ASSOCIATED = "source account wallet mint systemProgram tokenProgram"
_ASSOCIATED_KINDS = {0: _kind("create", _ASSOCIATED), 1: _kind("createIdempotent", _ASSOCIATED)}
MEMOS = {
    bytes(Pubkey.from_string(key))
    for key in ("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo", "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
}
# program → name, kinds, bytes of the number that the data begins with
_PROGRAMS = {
    bytes(Pubkey.from_string(key)): (name, kinds, size)
    for key, name, kinds, size in (
        ("11111111111111111111111111111111", "system", _SYSTEM_KINDS, 4),
        (str(tokens.TOKEN), "spl-token", _TOKEN_KINDS, 1),
        (str(tokens.TOKEN_2022), "spl-token", _TOKEN_KINDS, 1),
        ("AddressLookupTab1e1111111111111111111111111", "address-lookup-table", _TABLE_KINDS, 4),
        ("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL", "spl-associated-token-account", _ASSOCIATED_KINDS, 1),
    )
}


class Call(NamedTuple):
    """One instruction: indexes into the transaction's keys, and its data."""

    program: int
    accounts: bytes
    data: bytes
    height: int
    """1 at the top level, 2 for what that calls, and so on"""


def plain(call: Call) -> bytes:
    """An instruction in the encoding `json`."""
    return b'{"accounts":%b,"data":"%b","programIdIndex":%d,"stackHeight":%d}' % (
        msgspec.json.encode(list(call.accounts)),
        base58.encode(call.data),
        call.program,
        call.height,
    )


def parsed(call: Call, keys: list[bytes]) -> bytes:
    """An instruction in the encoding `jsonParsed`. `keys` are all of the transaction's accounts."""
    program = keys[call.program]
    accounts = [str(Pubkey.from_bytes(keys[index])) for index in call.accounts]
    shown: dict[str, object] = {"programId": str(Pubkey.from_bytes(program)), "stackHeight": call.height}
    try:
        shown |= _parse(program, accounts, call.data)
    except (ValueError, IndexError):
        shown |= {"accounts": accounts, "data": base58.encode(call.data).decode()}
    return msgspec.json.encode(shown)


def _parse(program: bytes, accounts: list[str], data: bytes) -> dict[str, object]:
    """The members `program` and `parsed`; raises ValueError or IndexError where it does not parse."""
    if program in MEMOS:
        return {"program": "spl-memo", "parsed": data.decode()}
    if program not in _PROGRAMS:
        raise ValueError("an unknown program")
    name, kinds, size = _PROGRAMS[program]
    # the associated-token program takes no data for 0
    number = int.from_bytes(data[:size], "little")
    if number not in kinds or (len(data) < size and kinds is not _ASSOCIATED_KINDS):
        raise ValueError("an unknown instruction")
    kind = kinds[number]
    reader = _Reader(data, size)
    info: dict[str, object] = _accounts(kind.accounts, accounts)
    for field, form in kind.fields:
        value = reader.read(form)
        if value is not None:
            info[field] = value
    return {"program": name, "parsed": {"type": kind.name, "info": info}}


def _accounts(names: tuple[str, ...], accounts: list[str]) -> dict[str, object]:
    if len(accounts) < len(names):
        raise IndexError("too few accounts")
    info: dict[str, object] = {}
    for place, name in enumerate(names):
        if name.endswith("*"):
            name, signers = name[:-1], accounts[place + 1 :]
            if signers:
                info |= {f"multisig{name[0].upper()}{name[1:]}": accounts[place], "signers": signers}
                continue
        info[name] = accounts[place]
    return info


class _Reader:
    """Reads an instruction's fields one after the other; raises ValueError where the data ends before them."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise ValueError("the data is too short")
        self._at += size
        return taken

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _key(self) -> str:
        return str(Pubkey.from_bytes(self._take(32)))

    def read(self, form: str) -> object:
        """One field: u8, u64, key, text (u64 length, UTF-8), keys (u64 count), option (u8, then a key), amount (u64 as
        text), tokens (u64 and u8 decimals), extensions (u16 each, to the end)."""
        match form:
            case "u8":
                return self._number(1)
            case "u64":
                return self._number(8)
            case "amount":
                return str(self._number(8))
            case "tokens":
                return tokens.Amount.of(self._number(8), self._number(1))
            case "key":
                return self._key()
            case "option":
                return self._key() if self._number(1) else None
            case "text":
                return self._take(self._number(8)).decode()
            case "keys":
                return [self._key() for _ in range(self._number(8))]
            case _:
                rest = self._take(len(self._data) - self._at)
                return [
                    tokens.extension_name(int.from_bytes(rest[at : at + 2], "little")) for at in range(0, len(rest), 2)
                ]
