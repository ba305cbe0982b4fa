"""Converts Solana's transaction errors to typed errors, with the contract's names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from solders.pubkey import Pubkey

from ..errors import AwmError, ProgramError, RpcError
from . import ids
from .contract import OURS_ERRORS, WORLD_ERRORS, Error
from .contract import Code as Code

_NAMES = {str(key): name for name, key in ids.PROGRAMS.items()}
_FAILED = re.compile(r"^Program (\w{32,44}) failed: custom program error: 0x([0-9a-fA-F]{1,8})$")
_IN_WORDS = re.compile(r"Error processing Instruction (\d{1,3}): (?:custom program error: 0x([0-9a-fA-F]{1,8})$)?(.*)")
_TRANSIENT = {"BlockhashNotFound", "AccountInUse", "TooManyAccountLocks", "WouldExceedMaxBlockCostLimit"}
"""Transaction errors that another try, with a fresh blockhash, can get past."""
_SYSVAR_AWAY = ("UnsupportedSysvar", "Unsupported sysvar")
"""MagicBlock's 0.1.7 rebuilds its sysvars at each slot. For a moment it refuses whatever reads one."""


def failed_program(logs: Sequence[str], code: int) -> Pubkey | None:
    """The program that raised `code`: the first one that failed with it in the logs. None when the logs name none."""
    for line in logs:
        match = _FAILED.match(line)
        if match and int(match[2], 16) == code:
            try:
                return Pubkey.from_string(match[1])
            except ValueError:
                return None
    return None


def known_error(code: int, program: Pubkey | None = None) -> Error | None:
    """A custom error's name, sentence and hint, from the contract.

    If the program is not known, the number must be unique: World's own six errors and ours both begin at 6000, so such
    a number gives None unless both have the same name for it.
    """
    if program is not None:
        name = _NAMES.get(str(program))
        return (WORLD_ERRORS if program == ids.WORLD else OURS_ERRORS).get(code) if name else None
    ours, worlds = OURS_ERRORS.get(code), WORLD_ERRORS.get(code)
    if ours and worlds and ours.name != worlds.name:
        return Error(f"{ours.name} or {worlds.name}", "one of two programs refused", "read the logs: they tell which")
    return ours or worlds


def program_error(
    code: int, *, program: Pubkey | None = None, instruction: int | None = None, logs: Sequence[str] = ()
) -> ProgramError:
    """A custom program error as ProgramError, named from the contract where it is known.

    Args:
        code: the custom error's number.
        program: the program that raised it, if known. Otherwise the logs tell.
        instruction: its index in the transaction.
        logs: the transaction's logs, if any.
    """
    program = program or failed_program(logs, code)
    who = _NAMES.get(str(program), str(program)) if program is not None else "a program"
    where = "" if instruction is None else f" in instruction {instruction}"
    known = known_error(code, program)
    if known is None:
        return ProgramError(f"{who} refused{where}: custom error {code}", code=code, hint="read its logs")
    return ProgramError(f"{who} refused{where}: {known.name} ({code})", code=code, found=known.says, hint=known.hint)


def transaction_error(err: object, logs: Sequence[str] = ()) -> AwmError:
    """A transaction's `err`, as RPC gives it in JSON, as a typed error.

    Args:
        err: a string such as "BlockhashNotFound", or {"InstructionError": [index, "Name" or {"Custom": code}]}, or
            anything else that an endpoint sends.
        logs: the transaction's logs, if any.

    Returns: ProgramError if an instruction failed (with `code` if the error is custom), else RpcError.
    """
    if isinstance(err, dict) and isinstance(detail := err.get("InstructionError"), list) and len(detail) == 2:
        index, reason = detail
        where = index if isinstance(index, int) else None
        if isinstance(reason, dict) and isinstance(code := reason.get("Custom"), int):
            return program_error(code, instruction=where, logs=logs)
        name = next(iter(reason), "unknown") if isinstance(reason, dict) else reason
        last = next((line for line in reversed(logs) if " failed: " in line), None)
        return ProgramError(f"instruction {where} refused: {name}", found=last, recoverable=name in _SYSVAR_AWAY)
    name = str(next(iter(err), "unknown")) if isinstance(err, dict) else str(err)
    return RpcError(f"transaction refused: {name}", data=err, recoverable=name in _TRANSIENT)


def error_in_words(message: str) -> AwmError | None:
    """Reads a transaction's error out of an RPC error's message, where MagicBlock's validators put it. None where the
    message is about something else.

    Returns: as `transaction_error`.
    """
    match = _IN_WORDS.search(message)
    if match:
        if match[2]:
            return program_error(int(match[2], 16), instruction=int(match[1]))
        return ProgramError(f"instruction {match[1]} refused: {match[3]}", recoverable=match[3] in _SYSVAR_AWAY)
    if message.endswith("Blockhash not found"):
        return transaction_error("BlockhashNotFound")
    if message.endswith("already been processed"):
        return transaction_error("AlreadyProcessed")
    return None
