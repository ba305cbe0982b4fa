"""Recognizes World programs whose interface is not that of BOLT 0.2.4, and refuses them by name.

BOLT's development branch passes a `cpi_auth` signer to components where 0.2.4 passes the instructions sysvar, and World
0.1 calls a system's `execute` where 0.2.4 calls `bolt_execute` (reference/bolt-abi.md). Both differences show in the
binary and in the logs of a refused call. A program without these signs counts as 0.2.4, because an optimized build, or
another implementation, need not contain 0.2.4's own strings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from solders.pubkey import Pubkey

from ..errors import ProgramError
from . import ids
from .bolt import SUPPORTED_VERSION, program_data_pda
from .idl import load

DEVELOPMENT = "BOLT's development branch (cpi_auth)"
VERSION_0_1 = "BOLT 0.1 (execute)"

_ELF = b"\x7fELF"
_EXECUTE = load("run_inference").instructions["execute"].discriminator
_BOLT_EXECUTE = load("run_inference").instructions["bolt_execute"].discriminator
_CAUSED = re.compile(r"caused by account: (\w+)")
_DEVELOPMENT_ACCOUNTS = {"cpi_auth", "buffer"}


def _refuse(name: str, sign: str) -> ProgramError:
    return ProgramError(
        f"World {ids.WORLD} has the interface of {name}",
        expected=f"BOLT {SUPPORTED_VERSION}",
        found=sign,
        hint=f"use an endpoint where World {SUPPORTED_VERSION} is deployed",
    )


def _holds(binary: bytes, eight: bytes) -> bool:
    """Whether an SBF binary holds eight bytes, as data or as the two halves that `lddw` loads."""
    loaded = re.escape(eight[:4]) + rb"\x00{4}" + re.escape(eight[4:])
    return eight in binary or re.search(rb"\x18[\x00-\x0f]\x00\x00" + loaded, binary, re.DOTALL) is not None


def check_world_program(data: bytes) -> None:
    """Refuses a World binary of another interface.

    Args:
        data: the program's ELF, or the account that holds it (a ProgramData account has a header before it).

    Raises:
        ProgramError: the data is not an ELF file, or has the interface of the development branch or of 0.1. The error
            names it.
    """
    start = data.find(_ELF, 0, 256)
    if start < 0:
        raise ProgramError(
            f"World {ids.WORLD}",
            expected="an ELF program",
            found=f"{len(data)} bytes without one",
            hint="check the endpoint: World is not deployed there, or behind a ProgramData account",
        )
    if _holds(data[start:], b"cpi_auth"):
        raise _refuse(DEVELOPMENT, "cpi_auth in its binary")
    if _holds(data[start:], _EXECUTE) and not _holds(data[start:], _BOLT_EXECUTE):
        raise _refuse(VERSION_0_1, "execute and no bolt_execute in its binary")


def world_accounts() -> tuple[Pubkey, Pubkey]:
    """The addresses where World's binary may be: the program's account and its ProgramData."""
    return ids.WORLD, program_data_pda(ids.WORLD)


def check_world_accounts(accounts: Sequence[bytes | None]) -> None:
    """Refuses a World of another interface, from the data of `world_accounts()` (None: no such account).

    If neither holds a binary, World passes: a rollup may keep its copy elsewhere.

    Raises:
        ProgramError: as `check_world_program`; or World is not deployed, which is recoverable.
    """
    if accounts[0] is None:
        raise ProgramError(
            f"World {ids.WORLD} is not deployed", hint="check the endpoint, or wait for it", recoverable=True
        )
    for data in accounts:
        if data is not None and _ELF in data[:256]:
            check_world_program(data)


def check_world_logs(logs: Sequence[str]) -> None:
    """Refuses the development branch by its logs, when it was called as 0.2.4.

    Raises:
        ProgramError: an Anchor error names an account that only that interface takes.
    """
    for line in logs:
        match = _CAUSED.search(line)
        if match and match[1] in _DEVELOPMENT_ACCOUNTS:
            raise _refuse(DEVELOPMENT, line)
