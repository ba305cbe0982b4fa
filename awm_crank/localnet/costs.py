"""What a transaction costs a block, and how much account data it loads: Agave's cost model."""

from __future__ import annotations

from collections.abc import Sequence

from solders.pubkey import Pubkey

from .bank import Bank

_SIGNATURE_UNITS = 720
_WRITE_LOCK_UNITS = 300
_BYTES_A_UNIT = 4
_PAGE_BYTES = 32 * 1024
_PAGE_UNITS = 8
_ACCOUNT_BYTES = 64
"""Counted for each account in addition to its data."""
_TABLE_BYTES = 8248
"""Counted for each address lookup table, whatever its size."""
_LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
_PROGRAM_BYTES = 36


def loaded_bytes(bank: Bank, keys: Sequence[bytes], tables: int) -> int:
    """Bytes of account data that a transaction loads, by the accounts' present sizes.

    Args:
        keys: all of its accounts.
        tables: how many address lookup tables it names.
    """
    wanted = dict.fromkeys(keys)
    total = tables * _TABLE_BYTES
    programs: list[bytes] = []
    for key in wanted:
        account = bank.account(key)
        if account is not None:
            total += _ACCOUNT_BYTES + len(account.data)
            if account.executable and account.owner == _LOADER and len(account.data) == _PROGRAM_BYTES:
                programs.append(bytes(account.data)[4:])
    for key in programs:
        # the program's code is in another account
        account = bank.account(key) if key not in wanted else None
        if account is not None:
            total += _ACCOUNT_BYTES + len(account.data)
    return total


def units(*, signatures: int, write_locks: int, data_bytes: int, executed: int, loaded: int) -> int:
    """What a block is charged: signatures, write locks, instruction data, execution, and loaded data by the page."""
    fixed = signatures * _SIGNATURE_UNITS + write_locks * _WRITE_LOCK_UNITS + data_bytes // _BYTES_A_UNIT
    return fixed + executed + -(-loaded // _PAGE_BYTES) * _PAGE_UNITS
