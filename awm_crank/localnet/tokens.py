"""Reads accounts of the SPL token programs: mints, token accounts and multisigs."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from solders.account import Account
from solders.pubkey import Pubkey

TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
PROGRAMS = {TOKEN: "spl-token", TOKEN_2022: "spl-token-2022"}
_PROGRAM_KEYS = {bytes(program) for program in PROGRAMS}
MINT_BYTES, ACCOUNT_BYTES, MULTISIG_BYTES = 82, 165, 355
NATIVE_DECIMALS = 9
_MAX_SIGNERS = 11
_STATES = ("uninitialized", "initialized", "frozen")
_KIND_MINT, _KIND_ACCOUNT = 1, 2
_EXTENSIONS = (
    "uninitialized", "transferFeeConfig", "transferFeeAmount", "mintCloseAuthority", "confidentialTransferMint",
    "confidentialTransferAccount", "defaultAccountState", "immutableOwner", "memoTransfer", "nonTransferable",
    "interestBearingConfig", "cpiGuard", "permanentDelegate", "nonTransferableAccount", "transferHook",
    "transferHookAccount", "confidentialTransferFeeConfig", "confidentialTransferFeeAmount", "metadataPointer",
    "tokenMetadata", "groupPointer", "tokenGroup", "groupMemberPointer", "tokenGroupMember",
    "confidentialMintBurn", "scaledUiAmountConfig", "pausableConfig", "pausableAccount",
)  # fmt: skip
"""Token-2022's extensions by number."""

Find = Callable[[Pubkey], Account | None]
"""Looks an account up."""


class Amount(msgspec.Struct, frozen=True, rename="camel"):
    """A number of tokens as clients get it; field order and names are the RPC's `UiTokenAmount`."""

    amount: str
    decimals: int
    ui_amount: float | None
    ui_amount_string: str

    @classmethod
    def of(cls, raw: int, decimals: int, *, zero: float | None = 0.0) -> Amount:
        """1,234,567 with 6 decimals is 1.234567. `zero` is the float for no tokens: transactions show null."""
        whole, part = divmod(raw, 10**decimals)
        text = f"{whole}.{part:0{decimals}d}".rstrip("0").rstrip(".") if decimals else str(whole)
        return cls(str(raw), decimals, raw / 10**decimals if raw else zero, text)


class Mint(NamedTuple):
    """A mint: the account that defines one kind of token."""

    mint_authority: Pubkey | None
    supply: int
    decimals: int
    freeze_authority: Pubkey | None


class TokenAccount(NamedTuple):
    """A token account: one owner's tokens of one kind. `native` is the rent that wrapped SOL sets aside, None for other
    tokens.
    """

    mint: Pubkey
    owner: Pubkey
    amount: int
    delegate: Pubkey | None
    state: int
    native: int | None
    delegated: int
    close_authority: Pubkey | None


class TokenBalance(NamedTuple):
    """A token account's balance before or after a transaction. `place` is its index in the transaction's keys."""

    place: int
    mint: str
    owner: str
    program: str
    amount: int
    decimals: int


# C-like options: u32 1 or 0, then the value. solders' decoders panic on other bytes, which any program could write.
_MINT = struct.Struct("<I32sQBBI32s")
_ACCOUNT = struct.Struct("<32s32sQI32sBIQQI32s")


def _option(tag: int, key: bytes) -> Pubkey | None:
    if tag > 1:
        raise ValueError("no option")
    return Pubkey.from_bytes(key) if tag else None


def mint_of(account: Account | None) -> Mint | None:
    """The mint that an account holds, None if it holds none."""
    if account is None or account.owner not in PROGRAMS or _kind(account) != _KIND_MINT:
        return None
    authority, key, supply, decimals, initialized, freeze, freezer = _MINT.unpack_from(account.data)
    try:
        mint = Mint(_option(authority, key), supply, decimals, _option(freeze, freezer))
    except ValueError:
        return None
    return mint if initialized == 1 else None


def token_account_of(account: Account | None) -> TokenAccount | None:
    """The token account that an account holds, None if it holds none."""
    if account is None or account.owner not in PROGRAMS or _kind(account) != _KIND_ACCOUNT:
        return None
    mint, owner, amount, has_delegate, delegate, state, is_native, native, delegated, has_close, close = (
        _ACCOUNT.unpack_from(account.data)
    )
    if not 0 < state < len(_STATES) or is_native > 1:
        return None
    try:
        return TokenAccount(
            Pubkey.from_bytes(mint), Pubkey.from_bytes(owner), amount, _option(has_delegate, delegate), state,
            native if is_native else None, delegated, _option(has_close, close),
        )  # fmt: skip
    except ValueError:
        return None


_STATE_AT = 108


def is_token_account(data: bytes) -> bool:
    """Whether data is that of a token account, as the filter tokenAccountState wants."""
    if len(data) == ACCOUNT_BYTES:
        return data[_STATE_AT] != 0
    return len(data) > ACCOUNT_BYTES and len(data) != MULTISIG_BYTES and data[ACCOUNT_BYTES] == _KIND_ACCOUNT


def decimals_of(held: TokenAccount, find: Find) -> int | None:
    """The decimals of a token account's mint; None if there is no such mint."""
    if held.native is not None:
        return NATIVE_DECIMALS
    mint = mint_of(find(held.mint))
    return None if mint is None else mint.decimals


def balances(keys: Sequence[bytes], find: Find) -> tuple[TokenBalance, ...]:
    """The balances of those of a transaction's keys that are token accounts."""
    if _PROGRAM_KEYS.isdisjoint(keys):
        return ()
    found = []
    for place, key in enumerate(keys):
        account = find(Pubkey.from_bytes(key))
        held = token_account_of(account)
        decimals = None if held is None else decimals_of(held, find)
        if account is not None and held is not None and decimals is not None:
            words = (str(held.mint), str(held.owner), str(account.owner))
            found.append(TokenBalance(place, *words, held.amount, decimals))
    return tuple(found)


def _kind(account: Account) -> int:
    """1 for a mint, 2 for a token account, by its size and, with extensions, the byte behind the 165th; else 0."""
    data = account.data
    if len(data) == MINT_BYTES:
        return _KIND_MINT
    if len(data) == ACCOUNT_BYTES:
        return _KIND_ACCOUNT
    if account.owner == TOKEN_2022 and len(data) > ACCOUNT_BYTES and len(data) != MULTISIG_BYTES:
        return data[ACCOUNT_BYTES]
    return 0


def parsed(account: Account, find: Find) -> dict[str, object] | None:
    """The `parsed` member of a mint, a token account or a multisig; None for anything else."""
    mint = mint_of(account)
    if mint is not None:
        info: dict[str, object] = {
            "decimals": mint.decimals,
            "freezeAuthority": _text(mint.freeze_authority),
            "isInitialized": True,
            "mintAuthority": _text(mint.mint_authority),
            "supply": str(mint.supply),
        }
        return {"type": "mint", "info": info | _extensions(account)}
    held = token_account_of(account)
    if held is not None:
        decimals = decimals_of(held, find)
        return (
            None if decimals is None else {"type": "account", "info": _account(held, decimals) | _extensions(account)}
        )
    if len(account.data) == MULTISIG_BYTES:
        return _multisig(account)
    return None


def _account(held: TokenAccount, decimals: int) -> dict[str, object]:
    info: dict[str, object] = {
        "isNative": held.native is not None,
        "mint": str(held.mint),
        "owner": str(held.owner),
        "state": _STATES[held.state],
        "tokenAmount": Amount.of(held.amount, decimals),
    }
    if held.delegate is not None:
        info |= {"delegate": str(held.delegate), "delegatedAmount": Amount.of(held.delegated, decimals)}
    if held.native is not None:
        info["rentExemptReserve"] = Amount.of(held.native, decimals)
    if held.close_authority is not None:
        info["closeAuthority"] = str(held.close_authority)
    return info


def _multisig(account: Account) -> dict[str, object] | None:
    data = bytes(account.data)
    required, valid, initialized = data[:3]
    if initialized != 1 or valid > _MAX_SIGNERS:
        return None
    info = {
        "isInitialized": True,
        "numRequiredSigners": required,
        "numValidSigners": valid,
        "signers": [str(Pubkey.from_bytes(data[at : at + 32])) for at in range(3, 3 + 32 * valid, 32)],
    }
    return {"type": "multisig", "info": info}


def _extensions(account: Account) -> dict[str, object]:
    """Token-2022's extensions by name: u16 type and u16 length from byte 166 on. What they hold is left out."""
    data = bytes(account.data)
    names: list[dict[str, str]] = []
    at = ACCOUNT_BYTES + 1
    while at + 4 <= len(data):
        kind, size = int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 2 : at + 4], "little")
        if not 0 < kind < len(_EXTENSIONS):
            break
        names.append({"extension": _EXTENSIONS[kind]})
        at += 4 + size
    return {"extensions": names} if names else {}


def extension_name(number: int) -> str:
    """A Token-2022 extension's name; raises IndexError for an unknown one."""
    return _EXTENSIONS[number]


def _text(key: Pubkey | None) -> str | None:
    return None if key is None else str(key)
