"""The accounts that exist before slot 1, and the files that they come from."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import zstandard
from localnet.kit import SOL, Node
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from awm_crank.errors import AwmError, ConfigError
from awm_crank.localnet import base58, genesis
from awm_crank.wire import bolt, ids

KEY = Pubkey.from_bytes(b"\3" * 32)


def account_file(path: Path, data: Any, **fields: Any) -> Path:
    """A file as `solana account --output json` writes it."""
    account = {"data": data, "executable": False, "lamports": 9, "owner": str(KEY), "rentEpoch": 0, "space": 3} | fields
    path.write_text(json.dumps({"pubkey": str(KEY), "account": account}))
    return path


def test_shipped_programs_are_all_and_whole() -> None:
    """Every program that has an IDL is shipped, at its id."""
    assert {key for key, _ in genesis.shipped_programs()} == set(ids.PROGRAMS.values())


def test_altered_program_is_refused(tmp_path: Path) -> None:
    """A program file that differs from the built one is named, with both hashes."""
    folder = tmp_path / "programs"
    shutil.copytree(genesis.PROGRAMS, folder)
    elf = folder / "world.so"
    data = bytearray(elf.read_bytes())
    data[-1] ^= 1
    elf.write_bytes(data)
    with pytest.raises(AwmError, match=r"SHA-256 of .*world\.so; expected"):
        genesis.shipped_programs(folder)
    (folder / "programs.json").write_text("[")
    with pytest.raises(AwmError, match="cannot be read"):
        genesis.shipped_programs(folder)


@pytest.mark.parametrize(
    "data",
    [
        [base64.b64encode(b"abc").decode(), "base64"],
        [base64.b64encode(zstandard.ZstdCompressor().compress(b"abc")).decode(), "base64+zstd"],
        [base58.encode(b"abc").decode(), "base58"],
        base58.encode(b"abc").decode(),
    ],
)
def test_account_files(tmp_path: Path, data: Any) -> None:
    """All encodings of the CLI's account files are read, and a rent epoch beyond u64 is clamped."""
    path = account_file(tmp_path / "a.json", data, rentEpoch=18446744073709551616)
    key, account = genesis.read_account(path)
    assert (key, account.data, account.lamports, account.owner) == (KEY, b"abc", 9, KEY)
    assert account.rent_epoch == 2**64 - 1


@pytest.mark.parametrize(
    "change", [{"data": ["!", "hex"]}, {"data": ["0", "base58"]}, {"owner": "x"}, {"lamports": "many"}, {"data": []}]
)
def test_broken_account_files(tmp_path: Path, change: dict[str, Any]) -> None:
    """A file that cannot be read is named."""
    path = account_file(tmp_path / "a.json", **({"data": ["", "base64"]} | change))
    with pytest.raises(ConfigError, match=r"a\.json"):
        genesis.read_account(path)


def test_load(tmp_path: Path) -> None:
    """Programs, accounts and funds exist, and World's registry counts no worlds."""
    node, funded = Node(), Keypair().pubkey()
    path = account_file(tmp_path / "a.json", ["YWJj", "base64"])
    extra = Keypair().pubkey()
    programs = [(extra, genesis.PROGRAMS / "submit_input.so")]
    genesis.load(node.bank, node.payer, bare=False, programs=programs, accounts=[path], fund=[(funded, 5 * SOL)])
    registry = node.bank.account(bytes(bolt.registry_pda()))
    assert registry is not None
    assert registry.owner == ids.WORLD
    assert registry.data[8:] == bytes(8)
    for key in (extra, *ids.PROGRAMS.values()):
        program = node.bank.account(bytes(key))
        assert program is not None
        assert program.executable
    assert node.bank.svm.get_balance(funded) == 5 * SOL
    loaded = node.bank.account(bytes(KEY))
    assert loaded is not None
    assert loaded.data == b"abc"


def test_bare_is_empty_and_no_program_is_refused(tmp_path: Path) -> None:
    """`bare` leaves the project's programs out, and a file that is not a program is named by its id."""
    node = Node()
    genesis.load(node.bank, node.payer, bare=True, programs=[], accounts=[], fund=[])
    assert node.bank.account(bytes(ids.WORLD)) is None
    broken = tmp_path / "x.so"
    broken.write_bytes(b"no ELF")
    with pytest.raises(ConfigError, match=f"program {KEY}"):
        genesis.load(node.bank, node.payer, bare=True, programs=[(KEY, broken)], accounts=[], fund=[])
