"""The content of the bank before slot 1: programs, accounts, funded keys, World's registry."""

from __future__ import annotations

import binascii
import hashlib
from pathlib import Path

import msgspec
import zstandard
from solders.account import Account
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from ..errors import AwmError, ConfigError
from ..wire import bolt
from . import base58
from .bank import Bank, RefusedError

PROGRAMS = Path(__file__).parent / "programs"
_U64_MAX = 2**64 - 1
_SYSTEM = Pubkey.default()


class ShippedProgram(msgspec.Struct):
    """A program's entry in programs/programs.json. Its file is NAME.so."""

    program_id: str
    sha256: str


class _CliAccount(msgspec.Struct):
    data: list[str] | str
    executable: bool
    lamports: int
    owner: str
    rentEpoch: int = 0  # noqa: N815 (the Solana CLI's name)


class _CliFile(msgspec.Struct):
    pubkey: str
    account: _CliAccount


def shipped_programs(folder: Path = PROGRAMS) -> list[tuple[Pubkey, bytes]]:
    """The project's programs as (id, ELF bytes). Raises AwmError if a file is not the one that was built."""
    return [(program, path.read_bytes()) for program, path in shipped_files(folder)]


def shipped_files(folder: Path = PROGRAMS) -> list[tuple[Pubkey, Path]]:
    """The project's programs as (id, .so file). Raises AwmError if a file is not the one that was built."""
    listing = folder / "programs.json"
    try:
        rows = msgspec.json.decode(listing.read_bytes(), type=dict[str, ShippedProgram])
    except msgspec.DecodeError as error:
        raise AwmError(f"{listing} cannot be read: {error}", hint="make programs") from None
    found = []
    for name, row in rows.items():
        path = folder / f"{name}.so"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != row.sha256:
            raise AwmError(f"SHA-256 of {path}", expected=row.sha256, found=digest, hint="make programs")
        found.append((Pubkey.from_string(row.program_id), path))
    return found


def read_account(path: Path) -> tuple[Pubkey, Account]:
    """Reads an account file in the Solana CLI's JSON format (`solana account --output json`). Raises ConfigError."""
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_CliFile)
        account = file.account
        content, encoding = account.data if isinstance(account.data, list) else (account.data, "base58")
        match encoding:
            case "base64":
                data = binascii.a2b_base64(content)
            case "base64+zstd":
                data = zstandard.ZstdDecompressor().decompressobj().decompress(binascii.a2b_base64(content))
            case "base58":
                data = base58.decode(content)
            case _:
                raise ValueError(f"encoding {encoding}")
        # in dumps, the rent epoch went through a float and is larger than a u64
        rent_epoch = min(account.rentEpoch, _U64_MAX)
        key, owner = Pubkey.from_string(file.pubkey), Pubkey.from_string(account.owner)
        return key, Account(account.lamports, data, owner, account.executable, rent_epoch)
    except (ValueError, msgspec.MsgspecError, zstandard.ZstdError) as error:
        raise ConfigError(f"account file {path}", expected="the Solana CLI's JSON format", found=error) from None


def load(
    bank: Bank,
    payer: Keypair,
    *,
    bare: bool,
    programs: list[tuple[Pubkey, Path]],
    accounts: list[Path],
    fund: list[tuple[Pubkey, int]],
) -> None:
    """Fills a bank.

    Args:
        payer: a funded key that pays for World's registry.
        bare: leave out the shipped programs and the registry.
        programs: more programs. One with the id of a shipped program replaces that.
        accounts: more accounts. One with the address of World's registry replaces that.
        fund: keys to give lamports to, as (key, lamports).
    """
    bank.sync_clock()
    table = {} if bare else dict(shipped_programs())
    for program_id, path in programs:
        table[program_id] = path.read_bytes()
    for program_id, elf in table.items():
        try:
            bank.svm.add_program(program_id, elf)
        except Exception as error:
            raise ConfigError(f"program {program_id}", expected="an SBF ELF file", found=error) from None
    for path in accounts:
        key, account = read_account(path)
        bank.svm.set_account(key, account)
    for key, lamports in fund:
        bank.svm.set_account(key, Account(lamports, b"", _SYSTEM))
    # a program can be called one slot after its deployment
    bank.advance(2)
    bank.sync_clock()
    if not bare:
        _initialize_registry(bank, payer)


def _initialize_registry(bank: Bank, payer: Keypair) -> None:
    if bank.account(bytes(bolt.registry_pda())) is not None:
        return
    call = bolt.initialize_registry(payer.pubkey())
    message = Message.new_with_blockhash([call], payer.pubkey(), Hash(bank.blockhash(bank.slot)))
    raw = bytes(VersionedTransaction(message, [payer]))
    transaction, wire = bank.parse(raw)
    try:
        bank.execute(raw, transaction, wire, preflight=True)
    except RefusedError as refusal:
        logs = refusal.meta.logs() if refusal.meta is not None else []
        what = f"World's registry could not be initialized: {refusal}"
        raise AwmError(what, found=logs, hint="make programs") from None
